"""pyeventsourcing's PostgreSQL recorder: what a well-kept event store does with the same events.

It is called in the process, without HTTP and without checks; it keeps no states.
"""

import asyncio
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self
from urllib.parse import parse_qs, urlsplit

import orjson
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from pydantic import SecretStr

from app.demo.bench import bench_lifecycle
from app.domain.access import LOCAL
from app.domain.events.wire import read_message
from app.factory import open_factory
from app.settings import Settings


class Recorder:
    """Records events into tables of its own in the database of the bench."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        host = parse_qs(parts.query).get("host", [parts.hostname or "localhost"])[0]
        self._store = PostgresDatastore(
            parts.path.lstrip("/"),
            host,
            parts.port or 5432,
            parts.username or "postgres",
            parts.password or "",
            pool_size=16,
        )
        self._recorder = PostgresApplicationRecorder(self._store)
        self._recorder.create_table()

    def record(self, events: int, *, size: int, threads: int) -> float:
        """Insert new events, `size` at once, by so many threads; gives the seconds."""
        made = list(_events(events))
        parts = [made[start : start + size] for start in range(0, events, size)]
        with ThreadPoolExecutor(threads) as pool:
            begin = time.perf_counter()
            for _ in pool.map(self._recorder.insert_events, parts):
                pass
            return time.perf_counter() - begin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()


async def call_singly(url: str, bodies: Sequence[bytes], *, callers: int) -> float:
    """Let this service's ingest take events one by one, without HTTP; gives the seconds."""
    waiting = iter(bodies)

    async with open_factory(Settings(database_url=SecretStr(url))) as factory:

        async def call() -> None:
            for body in waiting:
                message = read_message(body, "application/json")
                taken = await factory.ingest.ingest(message, principal=LOCAL)
                if taken.accepted != 1:
                    raise RuntimeError(taken.answer().decode())

        begin = time.perf_counter()
        await asyncio.gather(*(call() for _ in range(callers)))
        return time.perf_counter() - begin


def _events(count: int) -> Iterator[StoredEvent]:
    for event in bench_lifecycle(count, ["B00", "B01", "B02", "B03"], 1):
        yield StoredEvent(uuid.uuid4(), 1, event["type"], orjson.dumps(event["data"]))
