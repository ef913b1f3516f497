"""Clocks: what falls due is noticed once, stamped with its deadline, and never by mistake."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.db.engine import Pool
from app.domain.access import LOCAL
from app.domain.events.envelope import Kind
from app.domain.follow_up import FollowUp
from app.domain.ids import follow_up_id
from app.domain.reactions import overdue_events
from app.factory import Factory, open_factory
from app.services.desk import Caller
from app.services.time_source import MovableTimeSource
from app.settings import Settings
from tests.support.facts import (
    CRM,
    cancelled,
    complaint,
    completed,
    delivered,
    event,
    opened,
    retraction,
    scheduled,
    settled,
)
from tests.support.logs import check_store, read_log, read_states
from tests.support.posting import add_store, outcomes, post


def local(text: str) -> datetime:
    """Read a local time of Shanghai."""
    return datetime.fromisoformat(f"{text}+08:00")


def call_of(ro_number: str, kind: str = "first") -> str:
    return follow_up_id("S1", ro_number, kind)


async def clock(pool: Pool, key: str) -> dict[str, Any]:
    row = await pool.fetchrow("SELECT * FROM clock WHERE key = $1", key)
    assert row is not None
    return dict(row)


async def alerts(pool: Pool) -> list[dict[str, Any]]:
    """List what the service wrote about clocks: type, subject, times and data."""
    rows = await pool.fetch(
        "SELECT type, subject, occurred_at, recorded_at, data FROM event"
        " WHERE type ~ '(overdue|resolved)$' AND source = '/servicelane' ORDER BY seq"
    )
    return [dict(row) | {"data": orjson.loads(row["data"])} for row in rows]


async def sweep_at(factory: Factory, time_source: MovableTimeSource, text: str) -> int:
    time_source.set(local(text))
    return await factory.clocks.sweep()


@pytest.fixture
async def picked_up(
    factory: Factory, time_source: MovableTimeSource, pool: Pool
) -> MovableTimeSource:
    """The car of annex B: picked up on Friday, 1 March 2024, at 16:00; known two hours later."""
    await pool.execute("UPDATE stream_head SET recorded_at = '2024-01-01'")
    time_source.set(local("2024-03-01T18:00:00"))
    await post(
        factory,
        opened("R1", "2024-03-01T09:00:00+08:00"),
        delivered("R1", "2024-03-01T16:00:00+08:00"),
    )
    return time_source


# -- annex B


async def test_annex_b2_the_first_call(
    picked_up: MovableTimeSource, factory: Factory, pool: Pool
) -> None:
    row = await clock(pool, call_of("R1"))
    assert row["opens_at"] == local("2024-03-04T00:00:00")
    assert row["target_at"] == local("2024-03-04T23:59:59")
    assert row["due_at"] == local("2024-03-08T23:59:59")
    assert row["next_at"] == local("2024-03-09T00:00:00")
    assert (row["state"], row["detected_at"], row["lag_seconds"]) == ("running", None, None)
    assert await sweep_at(factory, picked_up, "2024-03-08T23:59:59.999999") == 0
    assert await sweep_at(factory, picked_up, "2024-03-09T00:00:00") == 1
    (alert,) = await alerts(pool)
    assert (alert["type"], alert["subject"]) == ("follow_up.overdue", call_of("R1"))
    assert alert["data"] == {"due_at": "2024-03-08T15:59:59Z"}
    assert alert["occurred_at"] == local("2024-03-08T23:59:59"), "stamped with the deadline"
    assert alert["recorded_at"] == local("2024-03-09T00:00:00")
    row = await clock(pool, call_of("R1"))
    assert (row["state"], row["detected_at"]) == ("breached", local("2024-03-09T00:00:00"))
    assert row["lag_seconds"] == 1
    await check_store(pool)


async def test_annex_b3_the_second_call(
    picked_up: MovableTimeSource, factory: Factory, pool: Pool
) -> None:
    picked_up.set(local("2024-03-06T15:30:00"))
    await post(factory, completed(call_of("R1"), "2024-03-06T15:00:00+08:00"))
    assert (await clock(pool, call_of("R1")))["state"] == "met"
    row = await clock(pool, call_of("R1", "second"))
    assert row["opens_at"] == local("2024-03-13T00:00:00")
    assert row["next_at"] == local("2024-03-21T00:00:00")
    assert await sweep_at(factory, picked_up, "2024-03-20T23:59:59.999999") == 0
    assert await sweep_at(factory, picked_up, "2024-03-21T00:00:00") == 1
    (alert,) = await alerts(pool)
    assert alert["subject"] == call_of("R1", "second")
    await check_store(pool)


async def test_annex_b4_a_complaint_is_answered_within_24_hours(
    picked_up: MovableTimeSource, factory: Factory, pool: Pool
) -> None:
    picked_up.set(local("2024-03-06T15:10:00"))
    said = complaint(at="2024-03-06T15:00:00+08:00")
    await post(factory, said)
    row = await clock(pool, said["subject"])
    assert (row["name"], row["due_at"]) == ("contact", local("2024-03-07T15:00:00"))
    assert await sweep_at(factory, picked_up, "2024-03-07T15:00:00") == 0, "the last instant"
    assert await sweep_at(factory, picked_up, "2024-03-07T15:00:30") == 1
    (alert,) = await alerts(pool)
    assert (alert["type"], alert["subject"]) == ("complaint.contact_overdue", said["subject"])
    assert alert["data"] == {"due_at": "2024-03-07T07:00:00Z"}
    assert alert["occurred_at"] == local("2024-03-07T15:00:00")
    row = await clock(pool, said["subject"])
    assert (row["state"], row["lag_seconds"]) == ("breached", 30)
    await check_store(pool)


# -- what is noticed


async def test_h9_a_missed_first_call_plans_the_second_in_the_same_breath(
    picked_up: MovableTimeSource, factory: Factory, pool: Pool
) -> None:
    assert await sweep_at(factory, picked_up, "2024-03-09T00:00:05") == 1
    row = await clock(pool, call_of("R1", "second"))
    assert row["opens_at"] == local("2024-03-15T00:00:00")
    assert row["next_at"] == local("2024-03-23T00:00:00")


async def test_a_breach_is_noticed_once_however_often_it_is_looked_for(
    picked_up: MovableTimeSource, factory: Factory, pool: Pool
) -> None:
    assert await sweep_at(factory, picked_up, "2024-03-09T00:00:00") == 1
    assert await factory.clocks.sweep() == 0
    assert await sweep_at(factory, picked_up, "2024-03-12T00:00:00") == 0
    assert len(await alerts(pool)) == 1


async def test_of_several_workers_one_claims_each_clock(
    factory: Factory, database_url: str, time_source: MovableTimeSource, pool: Pool
) -> None:
    await add_store(factory, "S2")
    for store_id in ("S1", "S2"):
        batch = [delivered(f"R{number}", store=store_id) for number in range(40)]
        await post(factory, *batch)
    settings = Settings(database_url=SecretStr(database_url))
    async with (
        open_factory(settings, time_source=time_source) as second,
        open_factory(settings, time_source=time_source) as third,
    ):
        time_source.set(local("2026-06-09T00:00:00"))
        workers = [factory, second, third]
        counts = await asyncio.gather(*(worker.clocks.sweep() for worker in workers * 3))
    assert sum(counts) == 80
    assert len(await alerts(pool)) == 80
    assert len({alert["subject"] for alert in await alerts(pool)}) == 80
    for store_id in ("S1", "S2"):
        await check_store(pool, store_id)


async def test_more_than_a_part_is_swept_at_once(
    factory: Factory, time_source: MovableTimeSource, pool: Pool
) -> None:
    await post(factory, *(delivered(f"R{number}") for number in range(620)))
    assert await sweep_at(factory, time_source, "2026-06-09T00:00:00") == 620
    assert await factory.clocks.next_due_at(local("2026-06-09T00:00:00")) == local(
        "2026-06-23T00:00:00"
    )


async def test_a_call_made_a_second_ago_raises_no_alert(
    picked_up: MovableTimeSource, factory: Factory, pool: Pool
) -> None:
    """Even if it is recorded together with the sweep."""
    picked_up.set(local("2024-03-09T00:00:10"))
    made = completed(call_of("R1"), "2024-03-08T23:59:59+08:00")
    await asyncio.gather(post(factory, opened("R2")), post(factory, made), factory.clocks.sweep())
    assert await alerts(pool) == []
    row = await clock(pool, call_of("R1"))
    assert (row["state"], row["detected_at"]) == ("met", None)


async def test_c2_what_was_cancelled_raises_no_alert(
    picked_up: MovableTimeSource, factory: Factory, pool: Pool
) -> None:
    picked_up.set(local("2024-03-05T12:00:00"))
    await post(factory, cancelled("R1", "2024-03-05T11:00:00+08:00"))
    assert (await clock(pool, call_of("R1")))["state"] == "cancelled"
    assert await sweep_at(factory, picked_up, "2024-04-01T00:00:00") == 0
    assert await alerts(pool) == []


async def test_a_moved_delivery_moves_the_clock_to_b_and_back_to_a(
    picked_up: MovableTimeSource, factory: Factory, pool: Pool
) -> None:
    """Picked up on the 1st; corrected to the 3rd; the correction was wrong."""
    picked_up.set(local("2024-03-04T12:00:00"))
    corrected = delivered("R1", "2024-03-03T16:00:00+08:00")
    await post(factory, corrected)
    assert (await clock(pool, call_of("R1")))["due_at"] == local("2024-03-10T23:59:59")
    assert await sweep_at(factory, picked_up, "2024-03-09T12:00:00") == 0
    await post(factory, retraction(corrected, "2024-03-09T12:00:00+08:00"))
    row = await clock(pool, call_of("R1"))
    # the window of the 1st was over when it was set again (H3)
    assert (row["due_at"], row["state"]) == (local("2024-03-08T23:59:59"), "missed_on_arrival")
    assert await factory.clocks.sweep() == 0
    assert await alerts(pool) == []
    await check_store(pool)


async def test_a_deadline_that_was_missed_is_not_cried_again_after_b_and_a(
    picked_up: MovableTimeSource, factory: Factory, pool: Pool
) -> None:
    assert await sweep_at(factory, picked_up, "2024-03-09T00:00:00") == 1
    corrected = delivered("R1", "2024-03-03T16:00:00+08:00")
    await post(factory, corrected)
    row = await clock(pool, call_of("R1"))
    assert (row["state"], row["detected_at"], row["lag_seconds"]) == ("running", None, None)
    await post(factory, retraction(corrected, "2024-03-09T00:00:00+08:00"))
    assert await sweep_at(factory, picked_up, "2024-03-20T00:00:00") == 0
    assert len(await alerts(pool)) == 1
    await check_store(pool)


# -- resolved


async def test_a_late_call_resolves_the_alert_under_the_same_subject(
    picked_up: MovableTimeSource, factory: Factory, pool: Pool
) -> None:
    await sweep_at(factory, picked_up, "2024-03-09T00:00:00")
    picked_up.set(local("2024-03-09T10:00:00"))
    await post(factory, completed(call_of("R1"), "2024-03-09T09:00:00+08:00"))
    overdue, resolved = await alerts(pool)
    assert (resolved["type"], resolved["subject"]) == ("follow_up.resolved", overdue["subject"])
    assert resolved["data"] == {"due_at": "2024-03-08T15:59:59Z", "late_seconds": 9 * 3600 + 1}
    assert (await clock(pool, call_of("R1")))["state"] == "breached"
    await post(factory, completed(call_of("R1"), "2024-03-09T09:30:00+08:00"))
    assert len(await alerts(pool)) == 2, "nothing new to say"


async def test_a_call_in_time_that_was_heard_of_late_resolves_it_too(
    picked_up: MovableTimeSource, factory: Factory, pool: Pool
) -> None:
    await sweep_at(factory, picked_up, "2024-03-09T00:00:00")
    await post(factory, completed(call_of("R1"), "2024-03-07T09:00:00+08:00"))
    _, resolved = await alerts(pool)
    assert resolved["data"]["late_seconds"] == 0
    assert (await clock(pool, call_of("R1")))["state"] == "met"


async def test_a_late_contact_resolves_the_complaints_alert(
    picked_up: MovableTimeSource, factory: Factory, pool: Pool
) -> None:
    picked_up.set(local("2024-03-06T15:10:00"))
    said = complaint(at="2024-03-06T15:00:00+08:00")
    await post(factory, said)
    await sweep_at(factory, picked_up, "2024-03-07T15:00:01")
    contact = event(
        "complaint.contacted",
        said["subject"],
        "2024-03-07T15:00:01+08:00",
        by="C1",
        channel="phone",
    )
    await post(factory, contact)
    overdue, resolved = await alerts(pool)
    assert (resolved["type"], resolved["subject"]) == (
        "complaint.contact_resolved",
        overdue["subject"],
    )
    assert resolved["data"] == {"due_at": "2024-03-07T07:00:00Z", "late_seconds": 1}
    reopened = event(
        "complaint.reopened", said["subject"], "2024-03-07T16:00:00+08:00", by="C1", reason="x"
    )
    await post(factory, reopened)
    await sweep_at(factory, picked_up, "2024-03-20T00:00:00")
    about = [alert["type"] for alert in await alerts(pool) if alert["subject"] == said["subject"]]
    assert about == ["complaint.contact_overdue", "complaint.contact_resolved"], "no second clock"


# -- backfills


async def test_h3_an_import_of_two_years_raises_no_alert(
    factory: Factory, time_source: MovableTimeSource, pool: Pool
) -> None:
    first_day = local("2024-05-01T09:00:00")
    batch = []
    for day in range(0, 720, 12):
        at = first_day + timedelta(days=day)
        number = f"R{day}"
        batch += [
            opened(number, at.isoformat()),
            settled(number, (at + timedelta(hours=5)).isoformat()),
            delivered(number, (at + timedelta(hours=6)).isoformat()),
            complaint(at=(at + timedelta(hours=7)).isoformat(), ro_number=number),
        ]
    answer = await post(factory, *batch)
    assert answer["accepted"] == len(batch)
    for days in (0, 1, 30):
        time_source.advance(timedelta(days=days))
        assert await factory.clocks.sweep() == 0
    assert await alerts(pool) == []
    states = await pool.fetch("SELECT DISTINCT state FROM clock")
    assert [row["state"] for row in states] == ["missed_on_arrival"]
    assert await factory.clocks.next_due_at(await time_source.now()) is None
    await check_store(pool)


async def test_h3_a_dms_that_was_down_for_days_starts_what_is_still_open(
    factory: Factory, time_source: MovableTimeSource, pool: Pool
) -> None:
    """It is 2 June, 10:00: of the 25th of May the first call is over since midnight."""
    await post(
        factory,
        delivered("R1", "2026-05-25T16:00:00+08:00"),
        delivered("R2", "2026-05-26T16:00:00+08:00"),
    )
    states = [(await clock(pool, call_of(number)))["state"] for number in ("R1", "R2")]
    assert states == ["missed_on_arrival", "running"]
    logged = await read_log(pool)
    planned = [event.payload for event in logged if event.type == "follow_up.scheduled"]
    assert [getattr(payload, "missed_on_arrival", None) for payload in planned] == [
        True,
        False,
        False,
    ], "stored with `scheduled`; the second call of R1 is still ahead"
    assert await sweep_at(factory, time_source, "2026-06-03T00:00:00") == 1


async def test_h3_a_completion_makes_a_missed_one_an_ordinary_one(
    factory: Factory, time_source: MovableTimeSource, pool: Pool
) -> None:
    await post(factory, delivered("R1", "2026-05-01T16:00:00+08:00"))
    await post(factory, completed(call_of("R1"), "2026-05-05T16:00:00+08:00"))
    assert (await clock(pool, call_of("R1")))["state"] == "met"
    _, state = (await read_states(pool))[Kind.FOLLOW_UP, call_of("R1")]
    assert isinstance(state, FollowUp)
    assert state.counts
    assert await alerts(pool) == []


async def test_a_crms_plan_runs_a_clock_too(
    factory: Factory, time_source: MovableTimeSource, pool: Pool
) -> None:
    """To the second that it says (H10), and missed where it was over before it came."""
    calls = [str(uuid4()) for _ in range(2)]
    await post(
        factory,
        scheduled(calls[0], "2026-06-01T00:00:00+08:00", "2026-06-02T12:00:00.5+08:00"),
        scheduled(calls[1], "2026-05-01T00:00:00+08:00", "2026-05-02T12:00:00+08:00"),
    )
    assert [(await clock(pool, call))["state"] for call in calls] == [
        "running",
        "missed_on_arrival",
    ]
    assert await sweep_at(factory, time_source, "2026-06-02T12:00:00.999999") == 0
    assert await sweep_at(factory, time_source, "2026-06-02T12:00:01") == 1
    assert await sweep_at(factory, time_source, "2026-07-01T00:00:00") == 0


# -- clocks that fail


async def test_a_clock_that_fails_to_evaluate_stalls_no_other(
    factory: Factory,
    time_source: MovableTimeSource,
    pool: Pool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await post(factory, *(delivered(f"R{number}") for number in range(12)))
    bad = call_of("R5")

    def fail(state: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(state, "follow_up_id", None) == bad:
            raise ValueError("a defect")
        return overdue_events(state, *args, **kwargs)

    monkeypatch.setattr("app.services.append_session.overdue_events", fail)
    with capture_logs() as logged:
        assert await sweep_at(factory, time_source, "2026-06-09T00:00:00") == 11
    assert [entry["clock"] for entry in logged] == [bad], "reported"
    row = await clock(pool, bad)
    assert (row["state"], row["failures"], row["error"]) == ("running", 1, "ValueError: a defect")
    assert row["next_at"] == local("2026-06-09T00:05:00")
    assert await sweep_at(factory, time_source, "2026-06-09T00:04:59") == 0
    assert (await clock(pool, bad))["failures"] == 1
    with capture_logs():
        assert await sweep_at(factory, time_source, "2026-06-09T00:05:00") == 0
    assert (await clock(pool, bad))["failures"] == 2
    monkeypatch.undo()
    assert await sweep_at(factory, time_source, "2026-06-09T00:10:00") == 1
    row = await clock(pool, bad)
    assert (row["state"], row["failures"], row["error"]) == ("breached", 0, None)
    assert row["lag_seconds"] == 601
    await check_store(pool)


async def test_a_state_that_cannot_be_read_stalls_no_other_clock(
    factory: Factory, time_source: MovableTimeSource, pool: Pool
) -> None:
    """The whole part fails with it: it is found out by smaller parts."""
    await post(factory, *(delivered(f"R{number}") for number in range(30)))
    bad = call_of("R5")
    kept = await pool.fetchval("SELECT state FROM follow_up WHERE follow_up_id = $1", bad)
    await pool.execute(
        "UPDATE follow_up SET state = '{\"follow_up_id\": 5}' WHERE follow_up_id = $1", bad
    )
    with capture_logs() as logged:
        assert await sweep_at(factory, time_source, "2026-06-09T00:00:00") == 29
    assert [entry["event"] for entry in logged] == ["a clock could not be swept"]
    row = await clock(pool, bad)
    assert (row["state"], row["failures"]) == ("running", 1)
    assert "ValidationError" in row["error"]
    assert row["next_at"] > local("2026-06-09T00:00:00")
    await pool.execute("UPDATE follow_up SET state = $2 WHERE follow_up_id = $1", bad, kept)
    assert await sweep_at(factory, time_source, "2026-06-09T00:05:00") == 1
    await check_store(pool)


async def test_a_clock_of_which_its_state_says_nothing_is_put_off(
    factory: Factory, time_source: MovableTimeSource, pool: Pool
) -> None:
    """A CRM's window that is due before it opens is due at no time."""
    call = str(uuid4())
    await post(factory, scheduled(call, "2026-07-01T00:00:00+08:00", "2026-06-03T00:00:00+08:00"))
    with capture_logs():
        assert await sweep_at(factory, time_source, "2026-06-04T00:00:00") == 0
    row = await clock(pool, call)
    assert (row["state"], row["failures"]) == ("running", 1)
    assert row["next_at"] == local("2026-06-04T00:05:00")
    assert await sweep_at(factory, time_source, "2026-07-01T00:00:00") == 1


async def test_a_store_that_cannot_be_swept_stalls_no_other(
    factory: Factory, time_source: MovableTimeSource, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_store(factory, "S0")
    await post(factory, delivered("R1", store="S0"))
    await post(factory, delivered("R1"))
    submit = factory.appender.submit

    async def fail(unit: Any) -> None:
        if unit.store_id == "S0":
            raise ValueError("a defect")
        await submit(unit)

    monkeypatch.setattr(factory.appender, "submit", fail)
    with capture_logs() as logged:
        assert await sweep_at(factory, time_source, "2026-06-09T00:00:00") == 1
    assert [entry["store_id"] for entry in logged] == ["S0"]


async def test_a_window_that_staff_moved_is_watched_instead(
    picked_up: MovableTimeSource, factory: Factory, pool: Pool
) -> None:
    picked_up.set(local("2024-03-05T10:00:00"))
    await factory.follow_ups.move(
        "S1",
        call_of("R1"),
        opens_at=local("2024-03-10T00:00:00"),
        target_at=None,
        due_at=local("2024-03-12T18:00:00"),
        caller=Caller(LOCAL),
        render=lambda _: b"",
    )
    assert await sweep_at(factory, picked_up, "2024-03-09T00:00:00") == 0
    assert await sweep_at(factory, picked_up, "2024-03-12T18:00:01") == 1
    (alert,) = await alerts(pool)
    assert alert["data"] == {"due_at": "2024-03-12T10:00:00Z"}
    assert await outcomes(
        factory, event("follow_up.assigned", call_of("R1"), source=CRM, assignee="C1")
    )
    await check_store(pool)
