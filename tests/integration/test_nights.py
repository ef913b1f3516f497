"""Nights: what has ended is published once, what late facts change is restated, by whom."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product
from random import Random
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from app.db.engine import Connection, Database, open_database
from app.domain.errors import NotFoundError
from app.domain.jobs import JobRun, RunState
from app.domain.kpis.kpi import Kpi
from app.domain.kpis.registry import KPIS
from app.domain.kpis.values import value_of
from app.domain.pages import PageRequest
from app.domain.periods import local_day
from app.services import nightly
from app.services.kpi_answers import PublishedValue
from app.services.kpi_queries import KpiQuery
from tests.support.desk import Desk, at, open_desk, retraction, visit
from tests.support.histories import cloud_event, random_history
from tests.support.proxy import wired

DAY = timedelta(days=1)
JULY = date(2026, 7, 1)
AUGUST = date(2026, 8, 1)
CODE = "on_time_delivery_rate"


async def _night(desk: Desk, day: date) -> list[JobRun]:
    """Let it become 02:00 of a day in the store, and the clocks and the scheduler tick."""
    await desk.move_to(at(f"{day} 02:00"))
    return await desk.nightly.tick()


async def _published(
    desk: Desk, code: str = CODE, by: str = "store", member: str | None = None, **days: date
) -> list[PublishedValue]:
    query = KpiQuery(days.get("start", JULY), days.get("end", AUGUST), "month", by, member)
    return (await desk.kpis.get_published("S1", code, query)).values


async def _july(desk: Desk) -> None:
    """A store, ten July visits of which two were late, and the night after."""
    await desk.add_store()
    for number in range(10):
        late = 1 if number in {3, 7} else -1
        opened_at = at(f"2026-07-{number + 10} 09:00")
        await desk.move_to(opened_at + DAY)
        await desk.send(*visit(f"R{number}", opened_at, late_hours=late))
    (run,) = await _night(desk, AUGUST)
    assert run.state is RunState.DONE, run.error


async def test_j17_the_first_night_publishes_what_has_ended(
    database: Database, connection: Connection
) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await _july(desk)
        rows = await connection.fetch(
            """SELECT period, period_start, version, numerator, denominator, value, published_at
                 FROM kpi_published WHERE code = $1 AND grain = 'store'
                ORDER BY period DESC, period_start""",
            CODE,
        )
        assert {row["version"] for row in rows} == {1}
        month, *days = rows
        assert tuple(month) == (
            "month",
            JULY,
            1,
            Decimal(8),
            Decimal(10),
            Decimal("0.8"),
            at("2026-08-01 02:00"),
        )
        # every day since the store is there, empty ones too; no quarter, no year has ended
        assert [row["period_start"] for row in days] == [JULY + n * DAY for n in range(31)]
        assert (days[0]["numerator"], days[0]["denominator"], days[0]["value"]) == (0, 0, None)


async def test_the_first_night_publishes_an_import_and_no_empty_days_before_the_store(
    database: Database, connection: Connection
) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await desk.add_store()
        await desk.send(*visit("R1", at("2025-12-30 09:00")), *visit("R2", at("1970-03-01 09:00")))
        await _night(desk, JULY + DAY)
        periods = await connection.fetch(
            """SELECT period, period_start FROM kpi_published
                WHERE code = 'arrivals' AND grain = 'store' ORDER BY 1, 2"""
        )
        assert [tuple(row) for row in periods] == [
            ("day", date(1970, 3, 1)),
            ("day", date(1970, 3, 8)),  # the calls that this visit would have had
            ("day", date(1970, 3, 22)),
            ("day", date(2025, 12, 30)),
            ("day", date(2026, 1, 6)),
            ("day", date(2026, 1, 20)),
            ("day", JULY),
            ("month", date(1970, 3, 1)),
            ("month", date(2025, 12, 1)),
            ("month", date(2026, 1, 1)),
            ("quarter", date(1970, 1, 1)),
            ("quarter", date(2025, 10, 1)),
            ("quarter", date(2026, 1, 1)),
            ("year", date(1970, 1, 1)),
            ("year", date(2025, 1, 1)),
        ]


async def test_a_night_without_news_adds_its_day_alone(
    database: Database, connection: Connection
) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await _july(desk)
        before = await connection.fetchval("SELECT count(*) FROM kpi_published")
        (run,) = await _night(desk, AUGUST + DAY)
        assert run.detail is not None
        added = await connection.fetchval("SELECT count(*) FROM kpi_published") - before
        assert (run.detail["published"], run.detail["restated"]) == (added, 0)
        assert (
            await connection.fetchval(
                "SELECT count(DISTINCT (period, period_start)) FROM kpi_published"
                " WHERE as_of_seq = $1 AND published_at = $2",
                run.as_of_seq,
                at("2026-08-02 02:00"),
            )
            == 1
        )


async def test_a_late_fact_restates_july(database: Database) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await _july(desk)
        late = visit("R99", at("2026-07-20 09:00"), late_hours=3)
        await desk.move_to(at("2026-08-05 10:00"))
        await desk.send(*late)
        await desk.metrics.refresh("S1")
        (before,) = await _published(desk)
        assert before.restatements == []
        assert before.current is not None
        assert (before.current.numerator, before.current.denominator) == ("8", "11")

        (run,) = await _night(desk, date(2026, 8, 6))
        (july,) = await _published(desk)
        assert july.published is not None
        assert (july.published.numerator, july.published.denominator) == ("8", "10")
        assert july.published.value == "0.800000"
        (restated,) = july.restatements
        assert (restated.version, restated.numerator, restated.denominator) == (2, "8", "11")
        assert restated.value == "0.727273"
        assert restated.as_of_seq == str(run.as_of_seq)
        assert july.current is not None
        assert july.current.value == restated.value

        (change,) = restated.changes
        assert (change.subject, change.before, restated.changes_total) == ("R99", None, 1)
        assert change.after is not None
        assert (change.after.day, change.after.reason) == (date(2026, 7, 20), "late")
        assert [event.type for event in change.events][:3] == [
            "repair_order.opened",
            "repair_order.dispatched",
            "repair_order.settled",
        ]
        assert all(
            int(july.published.as_of_seq) < int(event.seq) <= int(restated.as_of_seq)
            for event in change.events
        )


async def test_each_correction_is_a_version_with_its_own_events(database: Database) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await _july(desk)
        settled = visit("R3", at("2026-07-13 09:00"), late_hours=1)[2]
        await desk.move_to(at("2026-08-05 10:00"))
        right = {
            **settled,
            "id": "right",
            "time": at("2026-07-13 12:00").isoformat(),
        }
        await desk.send(retraction(settled, at("2026-08-05 09:00")))
        await desk.metrics.refresh("S1")
        await _night(desk, date(2026, 8, 6))
        await desk.send(right)
        await _night(desk, date(2026, 8, 7))

        (july,) = await _published(desk)
        assert [(v.version, v.numerator, v.denominator) for v in july.restatements] == [
            (2, "8", "9"),
            (3, "9", "10"),
        ]
        gone, back = july.restatements
        assert [(c.subject, c.after) for c in gone.changes] == [("R3", None)]
        assert gone.changes[0].before is not None
        assert gone.changes[0].before.reason == "late"
        assert "event.retracted" in [event.type for event in gone.changes[0].events]
        assert back.changes[0].after is not None
        assert back.changes[0].after.reason == "on-time"
        assert "right" in [event.id for event in back.changes[0].events]


async def test_e3_a_corrected_advisor_moves_the_order_in_published_values(
    database: Database,
) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await _july(desk)
        await desk.move_to(at("2026-08-05 10:00"))
        opened = visit("R3", at("2026-07-13 09:00"), advisor="A2")[0]
        await desk.send({**opened, "id": "o2", "time": at("2026-07-13 09:01").isoformat()})
        await _night(desk, date(2026, 8, 6))

        (store,) = await _published(desk)
        assert store.restatements == []
        old, new = await _published(desk, by="advisor")
        assert (old.member, new.member) == ("A1", "A2")
        assert old.published is not None
        assert (old.published.denominator, old.restatements[0].denominator) == ("10", "9")
        assert new.published is None  # as July was published, A2 had no part in it
        assert [(v.version, v.denominator) for v in new.restatements] == [(2, "1")]
        for value in (old, new):
            (change,) = value.restatements[0].changes
            assert change.before is not None
            assert change.after is not None
            assert (change.subject, change.before.member, change.after.member) == (
                "R3",
                "A1",
                "A2",
            )


async def test_c2_a_member_that_vanishes_is_restated_to_nothing(database: Database) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await desk.add_store()
        await desk.move_to(at("2026-07-11 09:00"))
        await desk.send(*visit("R1", at("2026-07-10 09:00"), advisor="A9"))
        await _night(desk, AUGUST)
        await desk.move_to(at("2026-08-05 10:00"))
        opened = visit("R1", at("2026-07-10 09:00"))[0]
        await desk.send(
            {**opened, "id": "x", "type": "repair_order.cancelled", "data": {"reason": "double"}}
        )
        await _night(desk, date(2026, 8, 6))

        (gone,) = await _published(desk, by="advisor")
        assert (gone.member, gone.current) == ("A9", None)
        (nothing,) = gone.restatements
        assert (nothing.numerator, nothing.denominator, nothing.value) == ("0", "0", None)
        (revenue,) = await _published(desk, "repair_revenue", by="advisor")
        assert [(v.numerator, v.denominator, v.value) for v in revenue.restatements] == [
            ("0", None, "0")
        ]
        (median,) = await _published(desk, "repair_cycle_hours", by="advisor")
        assert median.published is not None
        assert median.published.value == "3.00"
        assert [v.value for v in median.restatements] == [None]


async def test_g5_last_year_restates_the_growth_of_this_year(database: Database) -> None:
    async with open_desk(database, at("2025-07-01 09:00")) as desk:
        await desk.add_store()
        await desk.move_to(at("2026-07-20 09:00"))
        await desk.send(*visit("OLD", at("2025-07-10 09:00"), labor="200"))
        await desk.send(*visit("NEW", at("2026-07-10 09:00"), labor="300"))
        await _night(desk, AUGUST)
        await desk.move_to(at("2026-08-05 10:00"))
        await desk.send(*visit("LATE", at("2025-07-11 09:00"), labor="50"))
        await _night(desk, date(2026, 8, 6))

        (growth,) = await _published(desk, "revenue_growth")
        assert growth.published is not None
        assert (growth.published.value, growth.restatements[0].value) == ("0.500000", "0.200000")
        assert [change.subject for change in growth.restatements[0].changes] == ["LATE"]


async def test_j11_more_visits_restate_every_nature(database: Database) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await _july(desk)
        await desk.move_to(at("2026-08-05 10:00"))
        complaint = visit("R1", at("2026-07-10 09:00"))[0] | {
            "id": "c",
            "type": "complaint.opened",
            "subject": "7f6a1f9e-3f0c-4e6e-9f0a-0c8f6f2d1a10",
            "data": {"channel": "phone", "nature": "time", "text": "太慢"},
        }
        await desk.send(complaint)
        await _night(desk, date(2026, 8, 6))
        await desk.send(*visit("R98", at("2026-07-20 09:00")))
        await _night(desk, date(2026, 8, 7))
        (time,) = await _published(desk, "complaint_rate", by="nature")
        assert [(v.version, v.numerator, v.denominator) for v in time.restatements] == [
            (2, "1", "10"),
            (3, "1", "11"),
        ]
        assert [change.subject for change in time.restatements[1].changes] == ["R98"]


async def test_a_backfilled_month_is_published_by_the_next_night(database: Database) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await _july(desk)
        await desk.move_to(at("2026-08-05 10:00"))
        await desk.send(*visit("R97", at("2026-03-10 09:00")))
        await _night(desk, date(2026, 8, 6))
        (march,) = await _published(desk, start=date(2026, 3, 1), end=date(2026, 4, 1))
        assert march.published is not None
        assert (march.published.version, march.published.denominator) == (1, "1")
        assert march.restatements == []


async def test_j4_a_corrected_zone_restates_all(database: Database) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await desk.add_store()
        await desk.move_to(at("2026-08-01 01:30"))
        await desk.send(*visit("R1", at("2026-07-31 22:00"), hours=3, late_hours=0))
        await _night(desk, AUGUST)
        (july,) = await _published(desk, "visits_settled")
        assert july.published is not None
        assert july.published.value == "0"  # 01:00 on 1 August in Shanghai

        await desk.add_store("S1", "Asia/Dhaka")
        await desk.nightly.run_now("S1")
        (july,) = await _published(desk, "visits_settled")
        (restated,) = july.restatements
        assert july.published is not None
        assert restated.value == "1"
        assert restated.as_of_seq == july.published.as_of_seq  # no news, other days
        assert [change.subject for change in restated.changes] == ["R1"]
        assert restated.changes[0].events == []


async def test_a_night_that_is_run_again_publishes_nothing_twice(
    database: Database, connection: Connection
) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await _july(desk)
        before = await connection.fetchval("SELECT count(*) FROM kpi_published")
        for _ in range(2):
            (run,) = await desk.nightly.run_now("S1")
            assert run.detail is not None
            assert (run.detail["published"], run.detail["restated"]) == (0, 0)
        assert await connection.fetchval("SELECT count(*) FROM kpi_published") == before


async def test_what_is_published_cannot_be_changed_by_the_service(database: Database) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await _july(desk)
        for statement in ("UPDATE kpi_published SET value = 1", "DELETE FROM kpi_published"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.read.execute(statement)


@pytest.mark.parametrize("visits", [4, 40])
async def test_the_cost_of_a_night_follows_the_news(
    database: Database, connection: Connection, visits: int
) -> None:
    async with open_desk(database, at("2026-06-01 09:00")) as desk:
        await desk.add_store()
        await desk.move_to(at("2026-07-31 23:00"))
        for number in range(visits):
            await desk.send(*visit(f"R{number}", at("2026-06-01 09:00") + (number % 40) * DAY))
        await _night(desk, AUGUST)
        await desk.send(*visit("NEW", at("2026-07-31 09:00")))
        (run,) = await _night(desk, AUGUST + DAY)
        assert run.detail is not None
        # what was open of July and the day is restated; 1 August is new; nothing else
        assert (run.detail["subjects"], run.detail["facts"], run.detail["days"]) == (2, 4, 2)
        touched = await connection.fetch(
            """SELECT DISTINCT period, period_start FROM kpi_published
                WHERE published_at = $1 ORDER BY 1, 2""",
            at("2026-08-02 02:00"),
        )
        assert [tuple(row) for row in touched] == [
            ("day", date(2026, 7, 31)),
            ("day", AUGUST),
            ("month", JULY),
        ]


@pytest.mark.parametrize("seed", range(4))
async def test_after_any_night_what_is_published_last_is_what_is_known(
    database: Database, seed: int
) -> None:
    history = random_history(Random(seed), orders=5, backfill=False)
    start = history.arrivals[0][1]
    async with open_desk(database, start) as desk:
        await desk.add_store("S1", history.zone)
        for recorded_at, unit in history.units():
            await _move_through_nights(desk, recorded_at)
            await desk.send(*unit)
        await _move_through_nights(desk, history.now)
        await desk.nightly.run_now("S1")

        zone = ZoneInfo(history.zone)
        ended_by = local_day(history.now, zone)
        day = local_day(start, zone)
        query = KpiQuery(day - 40 * DAY, ended_by, "day")
        for kpi in KPIS.values():
            for grain, period in product(kpi.grains, ("day", "month", "quarter")):
                values = await desk.kpis.get_published(
                    "S1", kpi.code, replace(query, by=grain, period=period)
                )
                for value in values.values:
                    _check_published(value, kpi, ended_by, imported=value.period_end <= day)


def _check_published(value: PublishedValue, kpi: Kpi, ended_by: date, *, imported: bool) -> None:
    told = [value.published, *value.restatements] if value.published else value.restatements
    last = told[-1] if told else None
    if value.period_end > ended_by:
        assert last is None
        return
    nothing = value_of(kpi, None, None)
    parts = ("numerator", "denominator", "value")
    known = tuple(getattr(value.current or nothing, part) for part in parts)
    if last is None:
        # a period before the store was there, or a member without a part, was never published
        assert imported or known == tuple(getattr(nothing, part) for part in parts)
    else:
        assert tuple(getattr(last, part) for part in parts) == known
    for restatement in value.restatements:
        assert restatement.changes


async def _move_through_nights(desk: Desk, moment: datetime) -> None:
    while True:
        due_at = await desk.nightly.next_due_at(await desk.time_source.now())
        if due_at is None or due_at > moment:
            break
        await desk.move_to(due_at)
        await desk.nightly.tick()
    await desk.move_to(moment)


# Who runs it, and when


async def test_of_several_processes_one_runs_the_night(
    database: Database, connection: Connection
) -> None:
    now = at("2026-07-01 09:00")
    async with open_desk(database, now) as one, open_desk(database, now) as two:
        await one.add_store()
        for desk in (one, two):
            desk.time_source.set(at("2026-07-02 02:00"))
        runs = await asyncio.gather(*(desk.nightly.tick() for desk in (one, two) * 3))
        assert [run.state for ran in runs for run in ran] == [RunState.DONE]
        assert await connection.fetchval("SELECT count(*) FROM job_run") == 1


async def test_missed_nights_are_caught_up_by_one_run(
    database: Database, connection: Connection
) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await desk.add_store()
        await _night(desk, date(2026, 7, 2))
        await desk.send(*visit("R1", at("2026-07-01 12:00")))
        desk.time_source.set(at("2026-07-06 15:00"))
        (run,) = await desk.nightly.tick()
        assert run.run_date == date(2026, 7, 6)
        days = await connection.fetch(
            """SELECT period_start FROM kpi_published
                WHERE code = 'arrivals' AND grain = 'store' AND period = 'day' AND version = 1
                ORDER BY 1"""
        )
        assert [row["period_start"] for row in days] == [JULY + n * DAY for n in range(5)]
        assert await desk.nightly.tick() == []


async def test_a_new_store_has_no_night_to_catch_up(database: Database) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await desk.add_store()
        assert await desk.nightly.tick() == []


async def test_a_run_before_the_night_does_not_take_its_place(database: Database) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await desk.add_store()
        await desk.move_to(at("2026-07-02 00:30"))
        (early,) = await desk.nightly.run_now("S1")
        (night,) = await _night(desk, date(2026, 7, 2))
        assert early.run_date == night.run_date
        assert await desk.nightly.tick() == []


async def test_a_dead_process_loses_its_run(database: Database, connection: Connection) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await desk.add_store()
        night = at("2026-07-02 02:00")
        await connection.execute(
            """INSERT INTO job_run (store_id, job, run_date, state, claimed_by, started_at,
                                    lease_until)
               VALUES ('S1', 'nightly', '2026-07-02', 'running', 'dead', $1, $2)""",
            night,
            night + nightly.LEASE,
        )
        desk.time_source.set(night + nightly.LEASE)
        assert await desk.nightly.tick() == []
        desk.time_source.set(night + nightly.LEASE + timedelta(seconds=1))
        (run,) = await desk.nightly.tick()
        assert (run.state, run.claimed_by == "dead") == (RunState.DONE, False)


async def test_a_run_that_fails_is_told_and_tried_again_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await desk.add_store("S0")
        await desk.add_store("S1")
        publish = desk.metrics.publish

        async def fails_for_one(store_id: str, *, night: date, now: datetime) -> object:
            if store_id == "S0":
                raise RuntimeError("the disk is full")
            return await publish(store_id, night=night, now=now)

        monkeypatch.setattr(desk.metrics, "publish", fails_for_one)
        failed, done = await _night(desk, date(2026, 7, 2))
        assert (failed.state, failed.error) == (RunState.FAILED, "RuntimeError: the disk is full")
        assert done.state is RunState.DONE

        assert await desk.nightly.tick() == []
        monkeypatch.undo()
        desk.time_source.advance(nightly.RETRY_AFTER + timedelta(seconds=1))
        (run,) = await desk.nightly.tick()
        assert (run.store_id, run.state) == ("S0", RunState.DONE)


async def test_j18_a_run_asked_for_while_one_runs_waits_then_runs(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await desk.add_store()
        begun, go_on = asyncio.Event(), asyncio.Event()
        refresh = desk.metrics.refresh

        async def slowly(store_id: str) -> object:
            begun.set()
            await go_on.wait()
            return await refresh(store_id)

        monkeypatch.setattr(desk.metrics, "refresh", slowly)
        first = asyncio.create_task(desk.nightly.run_now("S1"))
        await begun.wait()
        monkeypatch.undo()
        await desk.send(*visit("R1", at("2026-06-30 09:00")))
        second = asyncio.create_task(desk.nightly.run_now("S1"))
        done, _ = await asyncio.wait([second], timeout=0.5)
        assert not done
        go_on.set()
        ((one,), (two,)) = await first, await second
        assert one.claimed_by != two.claimed_by
        assert two.as_of_seq is not None
        assert two.as_of_seq > 0  # J6: it covers what came before it started


async def test_the_lease_of_a_long_run_is_kept(
    database: Database, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nightly, "_RENEW_SECONDS", 0.05)
    async with open_desk(database, at("2026-07-02 02:00")) as desk:
        await desk.add_store()
        renewed = asyncio.Event()
        refresh = desk.metrics.refresh

        async def slowly(store_id: str) -> object:
            desk.time_source.advance(timedelta(minutes=4))
            await renewed.wait()
            return await refresh(store_id)

        monkeypatch.setattr(desk.metrics, "refresh", slowly)
        running = asyncio.create_task(desk.nightly.run_now("S1"))
        kept_until = at("2026-07-02 02:04") + nightly.LEASE
        while await connection.fetchval("SELECT lease_until FROM job_run") != kept_until:
            await asyncio.sleep(0.01)
        renewed.set()
        ((run,)) = await running
        assert run.state is RunState.DONE


async def test_a_run_in_whose_middle_the_database_goes_away_is_done_as_soon_as_it_is_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        wired(database_url) as wire,
        open_database(wire.url) as database,
        open_desk(database, at("2026-07-02 02:00")) as desk,
    ):
        await desk.add_store()
        refresh = desk.metrics.refresh

        async def cut(store_id: str) -> object:
            await wire.cut()
            return await refresh(store_id)

        with monkeypatch.context() as patched:
            patched.setattr(desk.metrics, "refresh", cut)
            with pytest.raises(ConnectionRefusedError):
                await desk.nightly.run_now("S1")
        with pytest.raises(ConnectionRefusedError):
            await desk.nightly.run_now("S1")
        await wire.mend()
        ((run,)) = await desk.nightly.run_now("S1")
        assert run.state is RunState.DONE


async def test_run_now_takes_all_stores_or_one_that_is_there(database: Database) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        for store_id in ("S2", "S1", "S3"):
            await desk.add_store(store_id)
        assert [run.store_id for run in await desk.nightly.run_now()] == ["S1", "S2", "S3"]
        some = await desk.nightly.run_now(among={"S1", "S3"})
        assert [run.store_id for run in some] == ["S1", "S3"]
        with pytest.raises(NotFoundError):
            await desk.nightly.run_now("NONE")


async def test_runs_are_listed_by_page(database: Database) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await desk.add_store("S1")
        await desk.add_store("S2")
        for day in (2, 3):
            await _night(desk, date(2026, 7, day))
        first = await desk.nightly.list_runs(PageRequest(limit=3), store_id=None, among=None)
        assert [(run.run_date.day, run.store_id) for run in first.items] == [
            (3, "S1"),
            (3, "S2"),
            (2, "S1"),
        ]
        rest = await desk.nightly.list_runs(
            PageRequest(limit=3, after=first.next_after), store_id=None, among=None
        )
        assert [(run.run_date.day, run.store_id) for run in rest.items] == [(2, "S2")]
        assert rest.next_after is None
        only = await desk.nightly.list_runs(PageRequest(), store_id="S2", among={"S1", "S2"})
        assert [run.run_date.day for run in only.items] == [3, 2]
        bound = await desk.nightly.list_runs(PageRequest(), store_id=None, among={"S1"})
        assert {run.store_id for run in bound.items} == {"S1"}


async def test_the_next_night_is_that_of_the_first_store(database: Database) -> None:
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        assert await desk.nightly.next_due_at(at("2026-07-01 09:00")) is None
        await desk.add_store("S1", "Asia/Shanghai")
        await desk.add_store("S2", "Europe/Berlin")
        assert await desk.nightly.next_due_at(at("2026-07-02 01:59")) == at("2026-07-02 02:00")
        assert await desk.nightly.next_due_at(at("2026-07-02 02:00")) == at(
            "2026-07-02 02:00", "Europe/Berlin"
        )


async def test_a_night_whose_hour_is_skipped_comes_after_the_gap(database: Database) -> None:
    async with open_desk(database, at("2026-03-28 12:00", "Europe/Berlin")) as desk:
        await desk.add_store("S1", "Europe/Berlin")
        due_at = await desk.nightly.next_due_at(await desk.time_source.now())
        assert due_at == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)  # 03:00 by summer time
        desk.time_source.set(due_at)
        await desk.nightly.do_due()
        runs = await desk.nightly.list_runs(PageRequest(), store_id="S1", among=None)
        assert [run.run_date for run in runs.items] == [date(2026, 3, 29)]


async def test_a_retracted_snapshot_restates_july(database: Database) -> None:
    """Of an order that is known from snapshots alone, the last one was of another car."""
    async with open_desk(database, at("2026-07-01 09:00")) as desk:
        await _july(desk)
        shown = [
            cloud_event(
                "repair_order.snapshot",
                "R99",
                at(f"2026-07-20 {time}"),
                {"promised_at": "2026-07-20T17:00:00+08:00", "advisor": "A1"} | data,
                event_id=f"R99@{time}",
            )
            for time, data in (
                ("10:00", {"opened_at": "2026-07-20T09:00:00+08:00"}),
                ("23:00", {"status": "closed", "settled_at": "2026-07-20T19:00:00+08:00"}),
            )
        ]
        await desk.move_to(at("2026-08-05 10:00"))
        await desk.send(*shown)
        await _night(desk, date(2026, 8, 6))
        await desk.send(retraction(shown[1], at("2026-08-06 01:00")))
        await _night(desk, date(2026, 8, 7))
        (july,) = await _published(desk)
        seen = [(each.numerator, each.denominator) for each in july.restatements]
        assert seen == [("8", "11"), ("8", "10")]
        (change,) = july.restatements[0].changes
        assert change.after is not None
        assert (change.subject, change.after.reason) == ("R99", "late")
        inferred = {event.type: event.inferred_from for event in change.events}
        assert inferred["repair_order.opened"] == shown[0]["id"]
        assert inferred["repair_order.settled"] == shown[1]["id"]
        assert inferred["repair_order.snapshot"] is None
        (change,) = july.restatements[1].changes
        assert change.after is None
        assert [event.type for event in change.events][:2] == ["event.retracted"] * 2
