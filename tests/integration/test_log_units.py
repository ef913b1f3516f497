"""Units of work: identity, order, and what fails by itself."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.db.engine import Pool
from app.db.event_log import EventLog
from app.domain.access import LOCAL
from app.domain.errors import NotFoundError
from app.domain.events.envelope import Kind
from app.factory import Factory, open_factory
from app.services import appender as appender_module
from app.services.append_session import AppendSession
from app.services.desk import Caller
from app.services.group_states import GroupStates
from app.services.time_source import MovableTimeSource
from app.services.units import Sweep, Unit
from app.settings import Settings
from tests.support.facts import delivered, event, opened
from tests.support.histories import CloudEvent
from tests.support.logs import check_store, read_log, read_states
from tests.support.posting import add_store, outcomes, post

MANY = 32


async def facts(pool: Pool) -> list[str]:
    """List the ids of what was posted and accepted, in order of seq."""
    return [event.id for event in await read_log(pool) if not event.own]


# -- order and identity


async def test_a21_seqs_follow_the_order_of_the_batch_in_each_store(
    factory: Factory, pool: Pool
) -> None:
    await add_store(factory, "S2")
    batch = [opened(f"R{number}", store=f"S{1 + number % 2}") for number in range(6)]
    assert await outcomes(factory, *batch) == ["1", "1", "2", "2", "3", "3"]
    await check_store(pool, "S1")
    await check_store(pool, "S2")


async def test_the_same_event_again_is_a_duplicate_with_the_first_seq(
    factory: Factory, pool: Pool
) -> None:
    one, other = opened("R1"), opened("R2")
    assert await outcomes(factory, one, other, one) == ["1", "2", "=1"]
    assert await outcomes(factory, other, opened("R3")) == ["=2", "3"]
    assert await outcomes(factory, opened("R1", store="S9", event_id=one["id"])) == [
        "unknown-store"
    ]


async def test_identity_is_of_the_store(factory: Factory) -> None:
    await add_store(factory, "S2")
    one = opened("R1")
    assert await outcomes(factory, one, {**one, "store": "S2"}) == ["1", "1"]
    assert await outcomes(factory, {**one, "source": "/dms/other"}) == ["2"]


def nothing_else(event: CloudEvent) -> CloudEvent:
    return dict(reversed(event.items())) | {"data": dict(reversed(event["data"].items()))}


SAME: dict[str, Callable[[CloudEvent], CloudEvent]] = {
    "another order of keys": nothing_else,
    "1 for 1.0": lambda event: event | {"data": event["data"] | {"odometer_km": 1200}},
    "a number as text": lambda event: event | {"data": event["data"] | {"odometer_km": "1200.00"}},
    "null for absent": lambda event: event | {"data": event["data"] | {"pay_type": None}},
    "another offset": lambda event: event | {"time": "2026-06-01T01:00:00Z"},
    "version 1 named": lambda event: event | {"dataschema": "https://example.com/x/v1"},
    "null in an unknown field": lambda event: event | {"data": event["data"] | {"x": None}},
}
OTHER: dict[str, Callable[[CloudEvent], CloudEvent]] = {
    "another value": lambda event: event | {"data": event["data"] | {"advisor": "A2"}},
    "another personal value": lambda event: event | {"data": event["data"] | {"plate": "沪B"}},
    "another unknown field": lambda event: event | {"data": event["data"] | {"remark": "x"}},
    "another time": lambda event: event | {"time": "2026-06-01T01:00:00.000001Z"},
    "another subject": lambda event: event | {"subject": "R2"},
    "another type": lambda event: event | {"type": "repair_order.cleaned"},
}


async def test_a9_what_is_the_same_content(factory: Factory, pool: Pool) -> None:
    first = opened("R1", odometer_km=1200.0, plate="沪A", extra={"a": 1})
    assert await outcomes(factory, first) == ["1"]
    for change, make in SAME.items():
        assert await outcomes(factory, make(first)) == ["=1"], change
    assert await pool.fetchval("SELECT count(*) FROM quarantine") == 0


async def test_a9_what_is_another_content(factory: Factory, pool: Pool) -> None:
    first = opened("R1", odometer_km=1200.0, plate="沪A", extra={"a": 1})
    await post(factory, first)
    for change, make in OTHER.items():
        assert await outcomes(factory, make(first)) == ["identity-conflict"], change
    assert await pool.fetchval("SELECT count(*) FROM quarantine") == len(OTHER)
    assert len(await check_store(pool)) == 1


async def test_a8_of_two_contents_at_once_one_is_the_fact(
    factory: Factory, database_url: str, time_source: MovableTimeSource, pool: Pool
) -> None:
    settings = Settings(database_url=SecretStr(database_url))
    async with open_factory(settings, time_source=time_source) as other:
        for round_number in range(5):
            versions = [
                opened("R1", event_id=f"e{round_number}", advisor=advisor)
                for advisor in ("A1", "A2")
            ]
            words = await asyncio.gather(
                *(outcomes(factory, versions[0]) for _ in range(3)),
                *(outcomes(other, versions[1]) for _ in range(3)),
            )
            said = [word for (word,) in words]
            seq = next(word for word in said if word.isdigit())
            assert sorted(said) == sorted([seq, *[f"={seq}"] * 2, *["identity-conflict"] * 3])
    await check_store(pool)


async def test_the_same_event_from_many_callers_at_once_enters_once(
    factory: Factory, pool: Pool
) -> None:
    one = opened("R1")
    words = await asyncio.gather(*(outcomes(factory, one) for _ in range(MANY)))
    assert sorted(word for (word,) in words) == sorted(["1", *["=1"] * (MANY - 1)])
    await check_store(pool)


async def test_a24_the_same_fact_from_two_sources_is_two_facts(
    factory: Factory, pool: Pool
) -> None:
    one = event("repair_order.inspected", "R1", level=1, inspector="Q1", passed=False)
    assert await outcomes(factory, one, {**one, "source": "/dms/b"}) == ["1", "2"]
    _, state = (await read_states(pool))[Kind.REPAIR_ORDER, "R1"]
    assert getattr(state, "inspections_failed", None) == 2


# -- what fails, fails alone


async def spoil(pool: Pool, ro_number: str) -> None:
    """Leave a state that nobody can read, as no code of ours would write it."""
    await pool.execute(
        "UPDATE repair_order SET state = '{\"ro_number\": 5}' WHERE ro_number = $1", ro_number
    )


async def test_a_bad_unit_fails_alone(factory: Factory, pool: Pool) -> None:
    await post(factory, opened("bad"))
    await spoil(pool, "bad")
    posts = [post(factory, opened(f"R{number}")) for number in range(MANY)]
    posts.insert(MANY // 2, post(factory, delivered("bad")))
    with capture_logs():
        results = await asyncio.gather(*posts, return_exceptions=True)
    failed = [result for result in results if isinstance(result, BaseException)]
    assert len(failed) == 1
    assert results[MANY // 2] is failed[0]
    assert sorted(
        int(result["results"][0]["seq"])
        for result in results
        if not isinstance(result, BaseException)
    ) == list(range(2, MANY + 2))
    await pool.execute("DELETE FROM repair_order WHERE ro_number = 'bad'")
    await post(factory, event("repair_order.cleaned", "R1"))


async def test_a_unit_of_an_unknown_store_fails_alone(factory: Factory, pool: Pool) -> None:
    results = await asyncio.gather(
        factory.appender.submit(Sweep("S9")),
        post(factory, opened("R1")),
        factory.appender.submit(Sweep("S9")),
        return_exceptions=True,
    )
    assert isinstance(results[0], NotFoundError)
    assert isinstance(results[2], NotFoundError)
    assert await facts(pool) == [(await read_log(pool))[0].id]


async def test_a_refused_command_leaves_the_others_of_its_group_alone(
    factory: Factory, pool: Pool
) -> None:
    caller = Caller(LOCAL)
    results = await asyncio.gather(
        *(post(factory, opened(f"R{number}")) for number in range(5)),
        factory.follow_ups.cancel("S1", "nobody", {"reason": "x"}, caller, lambda _: b""),
        *(post(factory, opened(f"R{number}")) for number in range(5, 10)),
        return_exceptions=True,
    )
    assert [type(result) for result in results if isinstance(result, BaseException)] == [
        NotFoundError
    ]
    assert len(await check_store(pool)) == 10


# -- when others write at the same time


async def test_a_head_that_moved_sends_the_group_under_the_locks(
    factory: Factory,
    database_url: str,
    time_source: MovableTimeSource,
    pool: Pool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process appends between the read and the write of a group."""
    settings = Settings(database_url=SecretStr(database_url))
    write = AppendSession.write
    async with open_factory(settings, time_source=time_source) as other:
        attempts = 0

        async def write_late(session: AppendSession) -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                monkeypatch.setattr(AppendSession, "write", write)
                await post(other, opened("R1", event_id="theirs"))
                monkeypatch.setattr(AppendSession, "write", write_late)
            await write(session)

        monkeypatch.setattr(AppendSession, "write", write_late)
        assert await outcomes(factory, opened("R1", event_id="ours"), delivered("R1")) == [
            "2",
            "3",
        ]
        assert attempts == 2
    assert (await facts(pool))[:2] == ["theirs", "ours"]
    await check_store(pool)


async def test_a1_a_retraction_that_comes_while_its_target_is_written_is_not_lost(
    factory: Factory,
    database_url: str,
    time_source: MovableTimeSource,
    pool: Pool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process quarantines it after this one saw that none waits: no seq moves by that."""
    settings = Settings(database_url=SecretStr(database_url))
    write = AppendSession.write
    target = opened("R1")
    taken_back = event("event.retracted", "R1") | {
        "data": {"source": target["source"], "id": target["id"], "reason": "x"}
    }
    async with open_factory(settings, time_source=time_source) as other:

        async def write_late(session: AppendSession) -> None:
            monkeypatch.setattr(AppendSession, "write", write)
            assert await outcomes(other, taken_back) == ["retraction-target-unknown"]
            await write(session)

        monkeypatch.setattr(AppendSession, "write", write_late)
        assert await outcomes(factory, target) == ["1"]
    assert await read_states(pool) == {}
    assert len(await check_store(pool)) == 2


async def test_a_caller_that_goes_away_disturbs_nobody(factory: Factory, pool: Pool) -> None:
    """Its events are in the log or not, and never half of them."""
    batches = [[opened(f"R{number}"), delivered(f"R{number}")] for number in range(MANY)]
    tasks = [asyncio.create_task(post(factory, *batch)) for batch in batches]
    for number, task in enumerate(tasks):
        if number % 2:
            await asyncio.sleep(0.0005)
            task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await post(factory, opened("after"))
    await check_store(pool)
    logged = set(await facts(pool))
    for number, (batch, result) in enumerate(zip(batches, results, strict=True)):
        there = [event["id"] in logged for event in batch]
        assert there in ([True, True], [False, False])
        assert number % 2 or there == [True, True], result


async def test_close_finishes_what_was_handed_in(factory: Factory, pool: Pool) -> None:
    await post(factory, opened("first"))  # now the process knows the store, and nothing waits
    tasks = [asyncio.create_task(post(factory, opened(f"R{number}"))) for number in range(MANY)]
    while len(factory.appender._waiting.get("S1", ())) < MANY // 2:
        await asyncio.sleep(0)
    await factory.appender.close()
    assert all(answer["accepted"] for answer in await asyncio.gather(*tasks))
    assert len(await check_store(pool)) == 1 + MANY
    with pytest.raises(RuntimeError, match="closed"):
        await post(factory, opened("late"))


async def test_a_busy_store_does_not_starve_the_others(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender_module, "GROUP_WEIGHT", 2)
    for store_id in ("S2", "S3"):
        await add_store(factory, store_id)
        await post(factory, opened("R", store=store_id))  # now the process knows the store
    done = 0

    async def keep_busy(store_id: str) -> None:
        nonlocal done
        while True:
            await post(factory, opened("R", store=store_id), opened("R", store=store_id))
            done += 1

    busy = [
        asyncio.create_task(keep_busy(store_id)) for store_id in ("S1", "S2") for _ in range(4)
    ]
    while done < 10:
        await asyncio.sleep(0.001)
    before = done
    try:
        await asyncio.wait_for(post(factory, opened("R", store="S3")), timeout=10)
    finally:
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
    assert done - before < 20


async def test_the_loop_is_free_while_a_large_batch_is_read(factory: Factory, pool: Pool) -> None:
    """A batch of thousands lets others run in between."""
    batch = [opened(f"R{number}") for number in range(3_000)]
    task = asyncio.create_task(post(factory, *batch))
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    assert task.result()["accepted"] == 3_000
    assert turns > 8
    assert await pool.fetchval("SELECT seq FROM stream_head") == 3_000


async def test_outcomes_of_a_unit_are_those_of_its_last_attempt(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group that fails is done again; what it said the first time is forgotten."""
    append = EventLog.append_group
    calls = 0

    async def fail_once(log: EventLog, document: dict[str, Any]) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ValueError("a defect")
        return await append(log, document)

    monkeypatch.setattr(EventLog, "append_group", fail_once)
    with capture_logs():
        answers = await asyncio.gather(*(outcomes(factory, opened(f"R{n}")) for n in range(6)))
    assert sorted(int(word) for (word,) in answers) == list(range(1, 7))
    assert calls == 1 + 1 + 5


async def test_what_a_group_held_goes_with_it(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group that held itself would wait for a collection, which stops everybody for a while."""
    groups: list[weakref.ref[GroupStates]] = []
    begin = AppendSession.load

    async def load(session: AppendSession, units: Sequence[Unit]) -> None:
        groups.append(weakref.ref(session._states))
        await begin(session, units)

    monkeypatch.setattr(AppendSession, "load", load)
    gc.disable()
    try:
        await post(factory, opened("R1"), delivered("R1", "2026-06-01T10:00:00+08:00"))
        await asyncio.sleep(0)
        assert len(groups) == 1
        assert groups[0]() is None
    finally:
        gc.enable()
