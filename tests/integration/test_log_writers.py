"""The log under real concurrency: no seq missing, doubled, or visible out of order."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from app.db.engine import Pool
from app.domain.access import LOCAL
from app.factory import Factory, open_factory
from app.services.event_feed import FeedQuery
from app.services.time_source import MovableTimeSource
from app.settings import Settings
from tests.support.facts import delivered, opened
from tests.support.logs import check_store, read_log, watched
from tests.support.posting import add_store, post

ROOT = Path(__file__).parents[2]
WRITERS = 32
ROUNDS = 6


async def write(factory: Factory, name: str, stores: list[str]) -> dict[str, list[str]]:
    """Write as one of many: each round goes to the next store. Gives the seqs by store."""
    seqs: dict[str, list[str]] = {store_id: [] for store_id in stores}
    for number in range(ROUNDS):
        store_id = stores[number % len(stores)]
        ro_number = f"{name}-{number}"
        answer = await post(
            factory, opened(ro_number, store=store_id), delivered(ro_number, store=store_id)
        )
        assert answer["accepted"] == 2
        first, second = (int(result["seq"]) for result in answer["results"])
        assert second == first + 1, "a batch is in one piece, in its order (A21)"
        seqs[store_id] += [result["seq"] for result in answer["results"]]
    return seqs


async def write_at_once(factories: list[Factory], stores: list[str], pool: Pool) -> None:
    """Let 32 writers loose while a reader watches; then check everything."""
    async with watched(pool, *stores) as watcher, asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                write(
                    factories[number % len(factories)],
                    f"W{number}",
                    stores[number % len(stores) :] + stores[: number % len(stores)],
                )
            )
            for number in range(WRITERS)
        ]
    assert watcher.polls > 1
    for store_id in stores:
        log = await check_store(pool, store_id)
        answered = [int(seq) for task in tasks for seq in task.result()[store_id]]
        facts = [event.seq for event in log if not event.own]
        assert sorted(answered) == facts, "each seq was answered once, and none that is not there"
        assert len(log) == 2 * len(facts) - len(facts) // 2, "each delivery planned its call"


async def test_32_writers_of_one_store_through_one_appender(factory: Factory, pool: Pool) -> None:
    await write_at_once([factory], ["S1"], pool)


async def test_32_writers_of_many_stores_through_one_appender(
    factory: Factory, pool: Pool
) -> None:
    stores = [f"S{number}" for number in range(1, 9)]
    for store_id in stores:
        await add_store(factory, store_id)
    await write_at_once([factory], stores, pool)


@pytest.mark.parametrize("stores", [["S1"], ["S1", "S2", "S3"]])
async def test_32_writers_through_three_appenders(
    stores: list[str], database_url: str, time_source: MovableTimeSource, pool: Pool
) -> None:
    settings = Settings(database_url=SecretStr(database_url))
    async with AsyncExitStack() as stack:
        factories = [
            await stack.enter_async_context(open_factory(settings, time_source=time_source))
            for _ in range(3)
        ]
        for store_id in stores:
            await add_store(factories[0], store_id)
        await write_at_once(factories, stores, pool)


async def start_writer(database_url: str, name: str, stores: list[str], posts: int) -> Process:
    """Start a process that writes, once it is ready to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.log_writer", database_url, name, ",".join(stores), str(posts)),
        cwd=ROOT,
        stdout=PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def answers_of(process: Process, *, most: int | None = None) -> list[tuple[str, int, str]]:
    """Read what a process says was answered, to the end or up to so many."""
    assert process.stdout is not None
    answers: list[tuple[str, int, str]] = []
    async for line in process.stdout:
        if line.endswith(b"\n"):
            store_id, seq, event_id = line.decode().split()
            answers.append((store_id, int(seq), event_id))
        if len(answers) == most:
            break
    return answers


async def test_processes_share_the_streams_of_their_stores(
    factory: Factory, database_url: str, pool: Pool
) -> None:
    stores = ["S1", "S2"]
    await add_store(factory, "S2")
    processes = await asyncio.gather(
        *(start_writer(database_url, f"P{n}", stores, 30) for n in range(3))
    )
    async with watched(pool, *stores):
        answers = await asyncio.gather(*(answers_of(process) for process in processes))
    assert [await process.wait() for process in processes] == [0, 0, 0]
    for store_id in stores:
        log = await check_store(pool, store_id)
        facts = {event.id: event.seq for event in log if not event.own}
        assert len(facts) == 3 * 30 * 2
        assert facts == {
            event_id: seq
            for found in answers
            for store, seq, event_id in found
            if store == store_id
        }


async def consume(factory: Factory, store_id: str, name: str, events: int) -> list[dict[str, Any]]:
    """Read a log by a cursor, held for news, until so many events were seen."""
    seen: list[dict[str, Any]] = []
    await factory.event_feed.put_cursor(store_id, name, 0, principal=LOCAL)
    while len(seen) < events:
        query = FeedQuery(after=None, cursor=name, types=(), wait=10, limit=7, personal=False)
        page = await factory.event_feed.read(store_id, query, principal=LOCAL)
        assert page.items, "nobody has to wait for so long"
        seen += [orjson.loads(item) for item in page.items]
        await factory.event_feed.put_cursor(
            store_id,
            name,
            page.next_after,
            principal=LOCAL,
            expected=page.next_after - len(page.items),
        )
    return seen


async def test_consumers_see_exactly_the_log_while_processes_write_it(
    factory: Factory, database_url: str, pool: Pool
) -> None:
    stores = ["S1", "S2"]
    await add_store(factory, "S2")
    processes = await asyncio.gather(
        *(start_writer(database_url, f"P{n}", stores, 20) for n in range(2))
    )
    facts = (2 + 1) * 20 * 2  # of the processes
    own = WRITERS * (2 + 1)  # of this one
    read, *_ = await asyncio.gather(
        asyncio.gather(
            *(
                consume(factory, store_id, f"C{n}", facts + (own if store_id == "S1" else 0))
                for store_id in stores
                for n in range(3)
            )
        ),
        asyncio.gather(*(answers_of(process) for process in processes)),
        *(post(factory, opened(f"own-{n}"), delivered(f"own-{n}")) for n in range(WRITERS)),
    )
    assert [await process.wait() for process in processes] == [0, 0]
    for position, store_id in enumerate(stores):
        log = [(str(event.seq), event.id) for event in await check_store(pool, store_id)]
        for seen in read[3 * position : 3 * position + 3]:
            assert [(event["seq"], event["id"]) for event in seen] == log
    # and what came from the feed was counted with it, by all of them
    counted = await pool.fetch("SELECT sum(events) FROM feed_hour GROUP BY store_id ORDER BY 1")
    facts_by_store = await pool.fetch(
        "SELECT count(*) FROM event WHERE source <> '/servicelane' GROUP BY store_id ORDER BY 1"
    )
    assert [row[0] for row in counted] == [row[0] for row in facts_by_store]


async def test_a_process_killed_while_it_writes_loses_nothing_that_it_answered(
    factory: Factory, database_url: str, pool: Pool
) -> None:
    async with watched(pool, "S1"):
        process = await start_writer(database_url, "P", ["S1"], 10_000)
        answers = await answers_of(process, most=120)
        process.kill()
        answers += await answers_of(process)
        await process.wait()
        # the stream goes on at once: the dead one holds no lock
        await asyncio.wait_for(post(factory, opened("after")), timeout=60)
    await check_store(pool)
    logged = {event.id: event.seq for event in await read_log(pool)}
    assert len(answers) >= 120
    assert {event_id: logged[event_id] for _, _, event_id in answers} == {
        event_id: seq for _, seq, event_id in answers
    }
    halves = [
        ro_number
        for ro_number in {event_id.rpartition("-")[0] for event_id in logged if "P-" in event_id}
        if (f"{ro_number}-opened" in logged) != (f"{ro_number}-delivered" in logged)
    ]
    assert halves == [], "a batch enters whole or not at all"
