"""Runs over the quarantine under real processes, shared and killed; and nothing is ever lost."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from app.db.engine import Pool
from app.domain.access import LOCAL, Principal, Scope
from app.domain.events.wire import read_message
from app.domain.quarantine import NO_STORE, QuarantinedItem, QuarantineFilter, QuarantineState
from app.domain.quarantine_runs import QuarantineRun, QuarantineRunState, RunAction, RunKind
from app.factory import Factory, open_factory
from app.services.quarantine_runs import LEASE, RETRY_AFTER
from app.services.suggestions import SuggestionService
from app.services.time_source import MovableTimeSource
from app.settings import Settings
from tests.support.facts import delivered, event, opened, retraction
from tests.support.histories import CloudEvent
from tests.support.logs import check_store, read_log
from tests.support.posting import BATCH, add_store, post, word

ROOT = Path(__file__).parents[2]
NAIVE = "2026-06-01 09:00:00"


async def start_worker(database_url: str, part: int) -> Process:
    """Start a process that does runs once it is told to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.quarantine_worker", database_url, str(part)),
        cwd=ROOT,
        stdin=PIPE,
        stdout=PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def let_go(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    await process.stdin.drain()


async def replay_all(factory: Factory, **action: Any) -> QuarantineRun:
    return await factory.quarantine_runs.start(
        RunKind.REPLAY, QuarantineFilter(), RunAction(**action), principal=LOCAL
    )


async def get(factory: Factory, run: QuarantineRun) -> QuarantineRun:
    return await factory.quarantine_runs.get(run.run_id, run.kind, principal=LOCAL)


async def states(pool: Pool) -> dict[str, int]:
    rows = await pool.fetch("SELECT state, count(*) AS items FROM quarantine GROUP BY state")
    return {row["state"]: row["items"] for row in rows}


async def test_processes_share_the_runs_and_each_item_enters_once(
    factory: Factory, database_url: str, pool: Pool
) -> None:
    """Three runs over the same items at once: whoever comes first."""
    await add_store(factory, "S2")
    stores = ("S1", "S2")
    await post(
        factory,
        *(opened(f"R{n}", NAIVE, store=store) for n in range(200) for store in stores),
        *(opened(f"B{n}", NAIVE, advisor=None) for n in range(20)),
    )
    runs = [await replay_all(factory, suggestions=("add-store-offset",)) for _ in range(3)]
    workers = await asyncio.gather(*(start_worker(database_url, 20) for _ in range(3)))
    await asyncio.gather(*(let_go(worker) for worker in workers))
    assert [await worker.wait() for worker in workers] == [0, 0, 0]
    for store_id in stores:
        log = await check_store(pool, store_id)
        assert sorted(logged.key for logged in log) == sorted(f"R{n}" for n in range(200))
    assert await states(pool) == {"replayed": 400, "waiting": 20}
    found = [await get(factory, run) for run in runs]
    assert {run.state for run in found} == {QuarantineRunState.FINISHED}
    assert sum(run.accepted for run in found) >= 400
    assert all(run.done + run.gone == run.total == 420 for run in found)


async def test_a_process_that_is_killed_leaves_its_run_to_the_next_one(
    factory: Factory, database_url: str, pool: Pool, time_source: MovableTimeSource
) -> None:
    await post(factory, *(opened(f"R{n}", NAIVE) for n in range(100)))
    run = await replay_all(factory, suggestions=("add-store-offset",))
    worker = await start_worker(database_url, 5)
    await let_go(worker)
    assert worker.stdout is not None
    for _ in range(3):
        await worker.stdout.readline()
    worker.kill()
    await worker.wait()
    done = (await states(pool))["replayed"]
    assert 15 <= done < 100
    assert await factory.quarantine_runs.tick() == [], "its lease is not over"
    time_source.set(await time_source.now() + LEASE + timedelta(seconds=1))
    (taken_over,) = await factory.quarantine_runs.tick()
    assert (taken_over.run_id, taken_over.state) == (run.run_id, QuarantineRunState.FINISHED)
    assert (taken_over.accepted, taken_over.done, taken_over.gone) == (100, 100, 0)
    assert len(await check_store(pool)) == 100


async def test_a_patch_is_applied_once_though_the_process_died_in_between(
    factory: Factory, pool: Pool, time_source: MovableTimeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the corrections were kept, before anything entered the log."""
    await post(factory, *(event("tyre.rotated", f"R{n}", technician="T1") for n in range(5)))
    patch = [
        {"op": "replace", "path": "/type", "value": "repair_order.work_started"},
        {"op": "move", "from": "/data/technician", "path": "/data/bay"},
    ]
    run = await replay_all(factory, patch=patch)

    async def die(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(factory.appender, "submit", die)
        with pytest.raises(ConnectionError):
            await factory.quarantine_runs.tick()
    assert (await get(factory, run)).state is QuarantineRunState.RUNNING
    rows = await pool.fetch("SELECT jsonb_array_length(corrections) AS n FROM quarantine")
    assert [row["n"] for row in rows] == [1] * 5
    time_source.set(await time_source.now() + LEASE * 2)
    (done,) = await factory.quarantine_runs.tick()
    assert (done.accepted, done.waiting) == (5, {})
    assert {logged.payload.bay for logged in await read_log(pool)} == {"T1"}  # type: ignore[attr-defined]
    rows = await pool.fetch("SELECT jsonb_array_length(corrections) AS n FROM quarantine")
    assert [row["n"] for row in rows] == [1] * 5


async def test_a_process_that_stops_hands_its_run_on_at_once(
    factory: Factory, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post(factory, *(opened(f"R{n}", NAIVE) for n in range(5)))
    run = await replay_all(factory, suggestions=("add-store-offset",))
    reached = asyncio.Event()

    async def wait(*_: Any) -> None:
        reached.set()
        await asyncio.sleep(60)

    with monkeypatch.context() as patched:
        patched.setattr(factory.appender, "submit", wait)
        ticking = asyncio.create_task(factory.quarantine_runs.tick())
        await reached.wait()
        ticking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ticking
    lease = await pool.fetchval("SELECT lease_until FROM quarantine_run")
    assert lease <= await factory.time_source.now()
    await pool.execute("UPDATE quarantine_run SET lease_until = lease_until - interval '1 s'")
    (done,) = await factory.quarantine_runs.tick()
    assert (done.run_id, done.accepted) == (run.run_id, 5)


async def test_who_lost_a_lease_while_working_leaves_the_run_to_who_has_it(
    factory: Factory,
    database_url: str,
    pool: Pool,
    time_source: MovableTimeSource,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that was held up for longer than its lease, in the middle of a part."""
    monkeypatch.setattr("app.services.quarantine_runs.PART", 2)
    await post(factory, *(opened(f"R{n}", NAIVE) for n in range(10)))
    run = await replay_all(factory, suggestions=("add-store-offset",))
    settings = Settings(database_url=SecretStr(database_url))
    async with open_factory(settings, time_source=time_source) as other:
        held, other_began, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()
        submits = {id(each): each.appender.submit for each in (factory, other)}
        parts: list[str] = []

        async def held_up(unit: Any) -> None:
            parts.append("first")
            held.set()
            await other_began.wait()
            await submits[id(factory)](unit)

        async def second(unit: Any) -> None:
            parts.append("second")
            other_began.set()
            await go_on.wait()
            await submits[id(other)](unit)

        monkeypatch.setattr(factory.appender, "submit", held_up)
        monkeypatch.setattr(other.appender, "submit", second)
        first = asyncio.create_task(factory.quarantine_runs.tick())
        await held.wait()
        time_source.set(await time_source.now() + LEASE + timedelta(seconds=1))
        taken_over = asyncio.create_task(other.quarantine_runs.tick())
        (left,) = await first
        assert left.state is QuarantineRunState.RUNNING
        go_on.set()
        (done,) = await taken_over
    assert parts.count("first") == 1, "it does nothing more in the name of the other"
    assert (done.run_id, done.state) == (run.run_id, QuarantineRunState.FINISHED)
    assert (done.accepted, done.gone) == (10, 0)
    assert len(await check_store(pool)) == 10


async def test_a_backlog_of_a_store_that_is_made_survives_a_crash(
    factory: Factory, database_url: str, pool: Pool, time_source: MovableTimeSource
) -> None:
    await post(factory, *(opened(f"R{n}", store="S2") for n in range(60)))
    await add_store(factory, "S2")
    worker = await start_worker(database_url, 5)
    await let_go(worker)
    assert worker.stdout is not None
    await worker.stdout.readline()
    worker.kill()
    await worker.wait()
    # one that was on its way while the store was made comes late
    late = opened("late", store="S2")
    await pool.execute("DELETE FROM store WHERE store_id = 'S2'")
    factory.store_directory._kept.clear()
    await post(factory, late)
    await add_store(factory, "S2")
    time_source.set(await time_source.now() + LEASE * 2)
    while await factory.quarantine_runs.tick():
        pass
    assert len(await check_store(pool, "S2")) == 61
    assert await states(pool) == {"replayed": 61}


async def test_a_run_that_fails_says_why_and_is_tried_again_later(
    factory: Factory, time_source: MovableTimeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post(factory, opened("R1", store="S2"))
    await add_store(factory, "S2")

    async def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a defect")

    with monkeypatch.context() as patched:
        patched.setattr(factory.quarantine_runs._repository, "list_page", fail)
        (failed,) = await factory.quarantine_runs.tick()
    assert (failed.state, failed.error) == (
        QuarantineRunState.FAILED,
        "ZeroDivisionError: a defect",
    )
    assert await factory.quarantine_runs.tick() == [], "not every second"
    time_source.set(await time_source.now() + RETRY_AFTER * 2)
    (done,) = await factory.quarantine_runs.tick()
    assert (done.state, done.accepted) == (QuarantineRunState.FINISHED, 1)


async def test_an_item_that_nothing_can_be_made_of_does_not_end_the_run(
    factory: Factory, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits on, and the others enter."""
    await post(factory, *(opened(f"R{n}", NAIVE) for n in range(5)))
    run = await replay_all(factory, suggestions=("add-store-offset",))
    repair = SuggestionService.repair

    async def fail_on_one(
        self: SuggestionService, item: QuarantinedItem, names: Any, **among: Any
    ) -> Any:
        if item.subject == "R2":
            raise ZeroDivisionError("a defect")
        return await repair(self, item, names, **among)

    monkeypatch.setattr(SuggestionService, "repair", fail_on_one)
    (done,) = await factory.quarantine_runs.tick()
    assert (done.run_id, done.state) == (run.run_id, QuarantineRunState.FINISHED)
    assert (done.accepted, done.waiting) == (4, {"invalid-data": 1})
    assert await states(pool) == {"replayed": 4, "waiting": 1}


# Nothing is dropped


async def keep(factory: Factory, *sent: Any, principal: Principal = LOCAL) -> list[str]:
    """Send events; gives the outcome of each in a word."""
    message = read_message(orjson.dumps(sent), BATCH)
    taken = await factory.ingest.ingest(message, principal=principal)
    return [word(result) for result in orjson.loads(taken.answer())["results"]]


async def test_whatever_becomes_of_an_event_its_bytes_are_found_again(
    factory: Factory, pool: Pool, time_source: MovableTimeSource
) -> None:
    """Each outcome, and each way on from there: in the log, or in quarantine as it was sent."""
    bound = Principal("bound", "bound", frozenset(Scope), frozenset({"S1"}))
    first = opened("R1")
    sent: dict[str, tuple[Any, Principal]] = {
        "1": (first, LOCAL),
        "=1": (first, LOCAL),
        "missing-attribute": ({"id": "lone"}, LOCAL),
        "unsupported-version": (opened("R2") | {"specversion": "2.0"}, LOCAL),
        "unknown-type": (event("tyre.rotated", "R1"), LOCAL),
        "unknown-store": (opened("R3", store="S9"), LOCAL),
        "invalid-data": (opened("R4", NAIVE, waiter="是"), LOCAL),
        "time-in-future": (opened("R5", "2027-01-01T00:00:00+08:00"), LOCAL),
        "identity-conflict": (first | {"time": "2026-06-01T10:00:00+08:00"}, LOCAL),
        "retraction-target-unknown": (retraction(delivered("R6")), LOCAL),
    }
    others = [
        (opened("R7", store="S2"), bound, "unknown-store"),
        (7, LOCAL, "missing-attribute"),
        (opened("R8", store="S 8"), LOCAL, "unknown-store"),
        (opened("R9", advisor="\0"), LOCAL, "invalid-data"),
    ]
    bytes_of = {}
    for expected, (value, principal) in sent.items():
        assert await keep(factory, value, principal=principal) == [expected]
        if not expected.removeprefix("=").isdigit():
            bytes_of[expected] = orjson.dumps(value)
    for number, (value, principal, expected) in enumerate(others):
        assert await keep(factory, value, principal=principal) == [expected]
        bytes_of[f"other {number}"] = orjson.dumps(value)

    async def check(paths: str) -> None:
        kept = {bytes(row["body"]) for row in await pool.fetch("SELECT body FROM quarantine")}
        for name, body in bytes_of.items():
            assert body in kept, f"{name} is lost after {paths}"
        for found in await pool.fetch("SELECT state, seq FROM quarantine"):
            assert (found["state"] == "replayed") == (found["seq"] is not None)

    async def find(name: str) -> QuarantinedItem:
        row = await pool.fetchval(
            "SELECT quarantine_id FROM quarantine WHERE body = $1", bytes_of[name]
        )
        return await factory.quarantine.get(row, principal=LOCAL)

    await check("arrival")
    for name in bytes_of:
        item = await find(name)
        await factory.quarantine.replay(item.quarantine_id, principal=LOCAL)
    await check("a replay as it is")
    broken: dict[str, Any] = {"type": "x", "store": "S1"}
    for name in bytes_of:
        item = await find(name)
        await factory.quarantine.replay(item.quarantine_id, event=broken, principal=LOCAL)
    await check("a correction that is worse")
    await add_store(factory, "S9")
    await factory.quarantine_runs.tick()
    await check("its store was made")
    await factory.quarantine.replay(
        (await find("invalid-data")).quarantine_id,
        event=opened("R4", event_id="e-corrected"),
        principal=LOCAL,
    )
    assert (await find("invalid-data")).state is QuarantineState.REPLAYED
    await check("a correction that is right")
    time_source.set(await time_source.now() + timedelta(days=400))
    run = await replay_all(factory, suggestions=("all",))
    await factory.quarantine_runs.tick()
    assert (await get(factory, run)).state is QuarantineRunState.FINISHED
    await check("a replay of all")
    discard = await factory.quarantine_runs.start(
        RunKind.DISCARD,
        QuarantineFilter(stores=["S1", "S9", NO_STORE]),
        RunAction(reason="the end"),
        principal=LOCAL,
    )
    await factory.quarantine_runs.tick()
    assert (await get(factory, discard)).discarded > 5
    assert (await states(pool)).keys() == {"replayed", "discarded"}
    await check("a discarding of all")
    await check_store(pool)


async def test_an_item_that_moves_to_where_its_bytes_wait_already_is_counted_there(
    factory: Factory, pool: Pool
) -> None:
    """The one case in which two items become one: they hold the same bytes."""
    broken: CloudEvent = opened("R1", store="S2", advisor=None)
    await post(factory, broken)
    await add_store(factory, "S2")
    await post(factory, broken)
    assert await pool.fetchval("SELECT count(*) FROM quarantine") == 2
    await factory.quarantine_runs.tick()
    (row,) = await pool.fetch("SELECT store_id, body, seen_count FROM quarantine")
    assert (row["store_id"], row["seen_count"]) == ("S2", 2)
    assert row["body"] == orjson.dumps(broken)


async def test_what_was_discarded_while_it_entered_the_log_is_told_as_replayed(
    factory: Factory, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post(factory, opened("R1", NAIVE))
    item_id = await pool.fetchval("SELECT quarantine_id FROM quarantine")
    submit = factory.appender.submit

    async def discard_first(unit: Any) -> None:
        await factory.quarantine.discard(item_id, reason="late", principal=LOCAL)
        await submit(unit)

    monkeypatch.setattr(factory.appender, "submit", discard_first)
    done = await factory.quarantine.replay(item_id, apply=["add-store-offset"], principal=LOCAL)
    assert (done.state, done.seq) == (QuarantineState.REPLAYED, 1)
    # and what entered is not put back by somebody who comes late with another correction
    row = {"store_id": "S1", "quarantine_id": item_id, "state": "waiting"}
    document = orjson.dumps({"heads": [], "resolved": [row]}).decode()
    await pool.fetch("SELECT * FROM append_group($1)", document)
    assert (await factory.quarantine.get(item_id, principal=LOCAL)).seq == 1
