"""Streams that break: packed badly, the caller gone, the database gone, two of them at once."""

import asyncio
import gzip
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import orjson
import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from app.db.engine import Pool
from app.factory import Factory
from app.services.bulk import CHUNK_LINES
from app.settings import Settings
from tests.api.test_bulk import NDJSON, lines, results, send
from tests.support.facts import opened
from tests.support.logs import check_store
from tests.support.posting import add_store
from tests.support.proxy import Wire, wired

MEBIBYTE = 1024 * 1024


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[Wire]:
    async with wired(database_url) as laid:
        yield laid


@pytest.fixture
def settings(wire: Wire) -> Settings:
    return Settings(database_url=SecretStr(wire.url), key_cache_seconds=60)


@pytest.fixture(autouse=True)
async def store(factory: Factory) -> None:
    await add_store(factory)


@pytest.fixture
def durable(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when the service knows that the first chunk is stored."""
    known = asyncio.Event()
    take = factory.ingest.take

    async def taking(*chunk: Any) -> Any:
        taken = await take(*chunk)
        known.set()
        return taken

    monkeypatch.setattr(factory.ingest, "take", taking)
    return known


# -- packed


async def test_gzip_of_one_member_or_several_is_unpacked(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    events = [opened(f"R{number}") for number in range(50)]
    body = gzip.compress(lines(events[:20])) + gzip.compress(lines(events[20:])) + b"\0" * 512

    async def in_parts() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    (answer,) = await send(client, in_parts(), **{"Content-Encoding": "gzip"})
    assert answer["accepted"] == 50
    batch = await client.post(
        "/v1/events",
        content=gzip.compress(orjson.dumps(events)),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )
    assert batch.json()["duplicate"] == 50
    assert len(await check_store(pool)) == 50


async def test_gzip_that_was_cut_says_so_and_how_far_it_went(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    events = [opened(f"R{number}") for number in range(CHUNK_LINES + 200)]
    packed = gzip.compress(lines(events))
    for body, least, words in (
        (packed[: len(packed) // 2], 400, "ends early"),
        (packed[:-4], len(events), "ends early"),
        (packed + b"rubbish", len(events), "no gzip"),
    ):
        answer = await send(client, body, **{"Content-Encoding": "gzip"})
        problem = answer.pop()
        assert problem["type"].endswith(":malformed-body")
        assert words in problem["detail"]
        told = results(answer)
        assert least <= problem["durable_lines"] == len(told) <= len(events)
        assert {result["outcome"] for result in told} <= {"accepted", "duplicate"}
        assert f"Lines up to {len(told)} are stored" in problem["detail"]
    assert len(await check_store(pool)) == len(events)
    assert await pool.fetchval("SELECT count(*) FROM quarantine") == 0


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
async def test_what_cannot_be_unpacked_at_all_is_refused(
    encoding: str, client: httpx.AsyncClient, pool: Pool
) -> None:
    for content_type in (NDJSON, "application/json"):
        response = await client.post(
            "/v1/events",
            content=lines([opened("R1")]),
            headers={"Content-Type": content_type, "Content-Encoding": encoding},
        )
        assert response.status_code == 400, response.text
        assert "gzip" in response.json()["detail"]
    assert await pool.fetchval("SELECT count(*) FROM event") == 0


async def test_what_unpacks_to_a_thousand_times_its_size_is_never_held(
    client: httpx.AsyncClient,
) -> None:
    bomb = gzip.compress(b" " * (200 * MEBIBYTE) + b"\n" + lines([opened("R1")]), 9)
    assert len(bomb) < MEBIBYTE
    headers = {"Content-Encoding": "gzip"}
    tracemalloc.start()
    (answer,) = await send(client, bomb, **headers)
    refused = await client.post(
        "/v1/events", content=bomb, headers={**headers, "Content-Type": "application/json"}
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [result["outcome"] for result in answer["results"]] == ["quarantined", "accepted"]
    assert refused.status_code == 413
    assert peak < 40 * MEBIBYTE


# -- the database goes away and comes back


async def test_a_stream_in_whose_middle_the_database_goes_away_says_what_is_stored(
    client: httpx.AsyncClient, pool: Pool, wire: Wire, durable: asyncio.Event
) -> None:
    events = [opened(f"R{number}") for number in range(3 * CHUNK_LINES)]
    going = asyncio.Event()

    async def body(*, cut: bool) -> AsyncIterator[bytes]:
        yield lines(events[:CHUNK_LINES])
        if cut:
            await durable.wait()
            await wire.cut()
            going.set()
        yield lines(events[CHUNK_LINES:])

    answer = await send(client, body(cut=True))
    assert going.is_set()
    problem = answer.pop()
    assert problem["type"].endswith(":unavailable")
    assert problem["status"] == 503
    assert problem["durable_lines"] == CHUNK_LINES == len(results(answer))
    assert f"Send again from line {CHUNK_LINES + 1}" in problem["detail"]

    away = await client.post("/v1/events", content=lines(events), headers={"Content-Type": NDJSON})
    assert away.status_code == 503, "nothing was answered yet: an ordinary problem"
    assert int(away.headers["Retry-After"]) > 0

    await wire.mend()
    again = await send(client, body(cut=False))
    told = [result["outcome"] for result in results(again)]
    assert told[:CHUNK_LINES] == ["duplicate"] * CHUNK_LINES
    assert len(told) == len(events)
    assert len(await check_store(pool)) == len(events)


async def test_an_answer_of_the_database_that_is_lost_leads_to_no_second_event(
    client: httpx.AsyncClient, pool: Pool, wire: Wire, durable: asyncio.Event
) -> None:
    events = [opened(f"R{number}") for number in range(2 * CHUNK_LINES)]

    async def body() -> AsyncIterator[bytes]:
        yield lines(events[:CHUNK_LINES])
        await durable.wait()
        wire.lose_answers()
        yield lines(events[CHUNK_LINES:])

    problem = (await send(client, body()))[-1]
    assert problem["durable_lines"] == CHUNK_LINES
    assert f"of lines {CHUNK_LINES + 1} to {len(events)} it is not known" in problem["detail"]
    await wire.cut()
    await wire.mend()
    await send(client, lines(events))
    assert len(await check_store(pool)) == len(events)


# -- two at once


async def test_two_streams_of_the_same_events_at_once_store_each_once(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    await add_store(factory, "S2")
    events = [
        {**opened(f"R{number}"), "store": f"S{1 + number % 2}"}
        for number in range(2 * CHUNK_LINES + 10)
    ]
    both = await asyncio.gather(
        send(client, lines(events), Prefer="return=minimal"),
        send(client, lines(reversed(events)), Prefer="return=minimal"),
    )
    chunks = [chunk for answer in both for chunk in answer]
    assert sum(chunk["accepted"] for chunk in chunks) == len(events)
    assert sum(chunk["duplicate"] for chunk in chunks) == len(events)
    assert len(await check_store(pool)) + len(await check_store(pool, "S2")) == len(events)


# -- real sockets


@asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[int]:
    """Serve the application on a port of the loopback."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await serving


HEAD = (
    b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


async def test_a_caller_who_goes_away_leaves_what_was_stored_and_nothing_else(
    app: FastAPI, pool: Pool
) -> None:
    events = [opened(f"R{number}") for number in range(CHUNK_LINES + 100)]
    async with listening(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        before = asyncio.all_tasks()
        part = lines(events[:CHUNK_LINES])
        writer.write(HEAD + b"%x\r\n%b\r\n" % (len(part), part))
        status = await reader.readline()
        assert status.startswith(b"HTTP/1.1 202"), "answered while the request goes on"
        rest = lines(events[CHUNK_LINES:])[:-20]
        writer.write(b"%x\r\n%b" % (len(rest) + 1000, rest))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()
        while asyncio.all_tasks() - before:
            await asyncio.sleep(0.01)
    # what had come was whole but for its last line; it had not its turn
    assert len(await check_store(pool)) == CHUNK_LINES
    assert await pool.fetchval("SELECT count(*) FROM quarantine") == 0


async def test_a_slow_caller_hears_of_each_line_before_it_sends_the_next(
    app: FastAPI, pool: Pool
) -> None:
    async with listening(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD)
        for number in range(3):
            part = lines([opened(f"R{number}")])
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            while b'"accepted":1' not in await reader.readline():
                pass
        writer.write(b"0\r\n\r\n")
        assert await reader.readuntil(b"0\r\n\r\n") == b"\r\n0\r\n\r\n"
        writer.close()
    assert len(await check_store(pool)) == 3


def send_then_read(port: int, body: bytes) -> bytes:
    """Send all of a request before the first byte of the answer is read."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as caller:
        caller.sendall(
            HEAD.replace(
                b"Transfer-Encoding: chunked",
                b"Connection: close\r\nContent-Length: %d" % len(body),
            )
        )
        caller.sendall(body)
        return b"".join(iter(partial(caller.recv, 65_536), b""))


async def test_a_caller_who_sends_all_before_it_reads_gets_all_answers(
    app: FastAPI, pool: Pool
) -> None:
    """Most clients do. The answer is larger than what sockets hold: nobody waits for the other."""
    line = lines([opened("R1", event_id="e" * 128)])
    async with listening(app) as port:
        answer = await asyncio.to_thread(send_then_read, port, line * 40_000)
    assert answer.startswith(b"HTTP/1.1 202")
    assert answer.endswith(b"0\r\n\r\n")
    assert len(answer) > 8 * MEBIBYTE
    assert answer.count(b'"duplicate":1000') == 39
    assert len(await check_store(pool)) == 1
