"""What somebody would write by hand: validate with Pydantic, insert with asyncpg, nothing else.

The table has the columns and the indexes of the event log. `/batch` validates a whole batch at
once and inserts it with one statement; `/single` does one INSERT per request.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import asyncpg
from fastapi import FastAPI, Request, Response
from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter, create_model

from app.domain.events.catalog import CATALOG


class Envelope(BaseModel):
    """The attributes of a CloudEvent as the log keeps them."""

    specversion: Literal["1.0"]
    id: Annotated[str, Field(min_length=1, max_length=128)]
    source: Annotated[str, Field(min_length=1, max_length=256)]
    store: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,32}$")]
    subject: Annotated[str, Field(min_length=1, max_length=64)]
    time: AwareDatetime
    correlationid: str | None = None
    causationid: str | None = None


_MODELS: list[Any] = [
    create_model(
        "Posted" + event_type.model.__name__,
        __base__=Envelope,
        type=(Literal[name], ...),
        data=(event_type.model, ...),
    )
    for name, event_type in CATALOG.items()
]
_union: Any = _MODELS[0]
for _model in _MODELS[1:]:
    _union |= _model
ONE: TypeAdapter[Any] = TypeAdapter(Annotated[_union, Field(discriminator="type")])
MANY: TypeAdapter[list[Any]] = TypeAdapter(list[Annotated[_union, Field(discriminator="type")]])

TABLE = """
    CREATE TABLE IF NOT EXISTS bench_event (
        store_id text NOT NULL, seq bigint GENERATED ALWAYS AS IDENTITY, source text NOT NULL,
        event_id text NOT NULL, type text NOT NULL, kind text NOT NULL, key text NOT NULL,
        subject text NOT NULL, occurred_at timestamptz NOT NULL, recorded_at timestamptz NOT NULL,
        schema_version smallint NOT NULL, correlation_id text, causation_id text,
        data jsonb NOT NULL,
        PRIMARY KEY (store_id, seq), UNIQUE (store_id, source, event_id)
    );
    CREATE INDEX IF NOT EXISTS bench_event_subject ON bench_event (store_id, kind, key);
"""
CHUNK = 1_000
"""Lines that are inserted together."""

_COLUMNS = (
    "store_id, source, event_id, type, kind, key, subject, occurred_at, recorded_at, "
    "schema_version, correlation_id, causation_id, data"
)
_ONE_ROW = (
    f"INSERT INTO bench_event ({_COLUMNS}) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)"
)
_ROWS = f"""
    INSERT INTO bench_event ({_COLUMNS})
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
        $7::text[], $8::timestamptz[], $9::timestamptz[], $10::smallint[], $11::text[],
        $12::text[], $13::jsonb[])
    ON CONFLICT (store_id, source, event_id) DO NOTHING
"""


def _row(event: Any, now: datetime) -> tuple[Any, ...]:
    kind = event.type.partition(".")[0]
    return (
        event.store,
        event.source,
        event.id,
        event.type,
        kind,
        event.subject,
        event.subject,
        event.time,
        now,
        1,
        event.correlationid,
        event.causationid,
        event.data.model_dump_json(exclude_none=True),
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(
        os.environ["SERVICELANE_DATABASE_URL"], min_size=16, max_size=16
    ) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=_lifespan)


@app.post("/single")
async def single(request: Request) -> Response:
    """Validate one event and insert it."""
    event = ONE.validate_json(await request.body())
    async with app.state.pool.acquire() as connection:
        await connection.execute(_ONE_ROW, *_row(event, datetime.now(UTC)))
    return Response(b'{"stored":1}', 201, media_type="application/json")


@app.post("/batch")
async def batch(request: Request) -> Response:
    """Validate a batch and insert it."""
    events = MANY.validate_json(await request.body())
    now = datetime.now(UTC)
    rows = [_row(event, now) for event in events]
    await _insert(rows)
    return Response(b'{"stored":%d}' % len(events), 201, media_type="application/json")


@app.post("/lines")
async def lines(request: Request) -> Response:
    """Validate lines of events as they come and insert them in chunks."""
    stored, rest, rows = 0, b"", []
    async for part in request.stream():
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            rows.append(_row(ONE.validate_json(line), datetime.now(UTC)))
            if len(rows) == CHUNK:
                await _insert(rows)
                stored, rows = stored + len(rows), []
    if rest:
        rows.append(_row(ONE.validate_json(rest), datetime.now(UTC)))
    if rows:
        await _insert(rows)
    return Response(b'{"stored":%d}' % (stored + len(rows)), 201, media_type="application/json")


async def _insert(rows: list[tuple[Any, ...]]) -> None:
    async with app.state.pool.acquire() as connection:
        await connection.execute(_ROWS, *zip(*rows, strict=True))
