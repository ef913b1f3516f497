"""What tests of webhooks need: a log to write to, a receiver to post to, a clock to move."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import orjson
from standardwebhooks import Webhook

from app.db.engine import Pool
from app.domain.webhooks import DEFAULT_EVENT_TYPES, Endpoint, EndpointState, secret_of

SECRET = secret_of(bytes(range(32)))


class MachineClock:
    """The machine's clock, set forward by as much as a test likes."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass(frozen=True)
class Log:
    """The logs of some stores, written without the appender."""

    pool: Pool

    async def add_store(self, store_id: str = "SH01") -> None:
        now = datetime.now(UTC)
        await self.pool.execute(
            """INSERT INTO store
                   (store_id, name, time_zone, currency, locale, created_at, updated_at)
               VALUES ($1, $1, 'Asia/Shanghai', 'CNY', 'zh-CN', $2, $2)""",
            store_id,
            now,
        )
        await self.pool.execute("INSERT INTO stream_head VALUES ($1, 0, $2, 0)", store_id, now)

    async def record(
        self,
        type: str = "follow_up.overdue",  # noqa: A002 (the word of the envelope)
        *,
        store_id: str = "SH01",
        subject: str = "8d6f0e0a-6a3e-5a86-9b55-3f0f5f0f1d11",
        event_id: str | None = None,
        late: timedelta = timedelta(),
        data: dict[str, Any] | None = None,
    ) -> int:
        """Append an event and return its seq."""
        now = datetime.now(UTC)
        async with self.pool.acquire() as connection, connection.transaction():
            seq: int = await connection.fetchval(
                """UPDATE stream_head SET seq = seq + 1, recorded_at = $2 WHERE store_id = $1
                   RETURNING seq""",
                store_id,
                now,
            )
            await connection.execute(
                """INSERT INTO event
                       (store_id, seq, source, event_id, type, kind, key, subject, occurred_at,
                        recorded_at, schema_version, data, content_hash)
                   VALUES ($1, $2, '/servicelane', $3, $4, $5, $6, $6, $7, $8, 1, $9, '')""",
                store_id,
                seq,
                event_id or str(uuid4()),
                type,
                type.partition(".")[0],
                subject,
                now - late,
                now,
                orjson.dumps(data or {"due_at": "2026-03-04T15:59:59Z"}).decode(),
            )
        return seq


def endpoint(url: str = "https://hooks.example/", **changes: Any) -> Endpoint:
    """An enabled endpoint for all stores, without a filter."""
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "endpoint_id": str(uuid4()),
        "url": url,
        "description": None,
        "event_types": None,
        "stores": None,
        "include_late": False,
        "state": EndpointState.ENABLED,
        "disabled_reason": None,
        "created_at": now,
        "updated_at": now,
    }
    return Endpoint(**(values | changes))


@dataclass(frozen=True)
class Received:
    """A request that came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The body, unverified."""
        event: dict[str, Any] = orjson.loads(self.body)
        return event

    def verify(self, secret: str = SECRET) -> dict[str, Any]:
        """The body, verified as any consumer would."""
        event: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return event


Answer = tuple[int, dict[str, str]]


@dataclass
class Receiver:
    """A consumer on loopback; `answer` says what it answers, after `delay` seconds."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], Answer] = lambda _: (204, {})
    delay: float = 0
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/"

    def ids(self) -> Sequence[str]:
        """The `webhook-id`s in order of arrival."""
        return [request.headers["webhook-id"] for request in self.received]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request."""
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            headers |= {
                name: line.split(": ", 1)[1]
                for line in head[1:]
                if (name := line.partition(":")[0].lower()).startswith("webhook-")
            }
            body = await reader.readexactly(int(headers["content-length"]))
            request = Received(head[0].split(" ")[1], headers, body)
            self.received.append(request)
            await asyncio.sleep(self.delay)
            status, more = self.answer(request)
            lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in more.items())]
            writer.write(("\r\n".join([*lines, "content-length: 2"]) + "\r\n\r\nok").encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.serving.discard(task)
            writer.close()


@asynccontextmanager
async def receiver(**how: Any) -> AsyncIterator[Receiver]:
    """Listen on loopback."""
    made = Receiver(**how)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in list(made.serving):  # who was to wait for long waits no more
            task.cancel()
        await server.wait_closed()


def scripted(
    answer: Callable[[httpx.Request], httpx.Response],
) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """A transport that answers from a script, and the requests that it got."""
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return answer(request)

    return httpx.MockTransport(handle), requests


async def public(host: str, port: int) -> list[str]:
    """A name service that knows every name, at a public address."""
    return ["8.8.8.8"]


NOT_AN_ALERT = "repair_order.dispatched"
assert NOT_AN_ALERT not in DEFAULT_EVENT_TYPES
