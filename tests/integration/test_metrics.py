"""Facts and sums follow the log: by news alone as by judging everything again."""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import product
from random import Random

import msgspec
import pytest

from app.db.engine import Connection, Database
from app.db.snapshots import STORE_GRAIN, Progress, SnapshotRepository
from app.domain.errors import NotFoundError, UnavailableError
from app.domain.kpis.registry import KPIS
from app.domain.policies import Policies, Policy, ValidPolicy
from app.services.kpi_queries import KpiQuery
from app.services.metrics import MetricsService
from tests.support.desk import Desk, at, open_desk, retraction, visit
from tests.support.histories import cloud_event, random_history
from tests.support.oracle import KPIS as ORACLE_KPIS
from tests.support.oracle import Oracle, comparable

_FACTS = """
    SELECT kind, key, basis, day, advisor, technician, team, work_type, assignee, nature, codes,
           numerators, denominators, reasons, sorts
      FROM fact WHERE store_id = $1 ORDER BY kind, key, basis
"""
_SUMS = """
    SELECT code, grain, day, member, reason, numerator, denominator, count
      FROM kpi_day WHERE store_id = $1 ORDER BY code, grain, day, member, reason
"""
NOON = at("2026-07-01 12:00")
DAY = timedelta(days=1)

Rows = list[list[tuple[object, ...]]]


async def _rows(connection: Connection, store_id: str = "S1") -> Rows:
    return [
        [tuple(row) for row in await connection.fetch(statement, store_id)]
        for statement in (_FACTS, _SUMS)
    ]


async def _written(connection: Connection, table: str) -> dict[tuple[object, ...], str]:
    """Which transaction wrote each row of a table."""
    keys = {"fact": "kind, key, basis", "kpi_day": "code, grain, day, member, reason"}[table]
    rows = await connection.fetch(f"SELECT {keys}, xmin::text AS written FROM {table}")
    return {tuple(row)[:-1]: row["written"] for row in rows}


async def _value(desk: Desk, code: str, member: str | None = None) -> str | None:
    query = KpiQuery(date(2026, 7, 1), date(2026, 8, 1), "month", "advisor", member)
    if member is None:
        query = KpiQuery(date(2026, 7, 1), date(2026, 8, 1), "month")
    values = (await desk.kpis.get_values("S1", code, query)).values
    return values[0].value if values else None


@pytest.mark.parametrize("seed", range(6))
async def test_incremental_equals_full(
    database: Database, connection: Connection, seed: int
) -> None:
    rng = Random(seed)
    for store_id in ("S1", "S2"):
        history = random_history(rng, orders=5, store_id=store_id)
        async with open_desk(database, history.arrivals[0][1]) as desk:
            await desk.add_store(store_id, history.zone)
            async for _ in desk.play(history):
                if rng.random() < 0.4:
                    await desk.metrics.refresh(store_id)
            await desk.metrics.refresh(store_id)
            incremental = await _rows(connection, store_id)
            assert all(incremental)

            await desk.metrics.rebuild(store_id)
            assert await _rows(connection, store_id) == incremental

            await connection.execute("DELETE FROM fact WHERE store_id = $1", store_id)
            await connection.execute("DELETE FROM kpi_day WHERE store_id = $1", store_id)
            await desk.metrics.rebuild(store_id)
            assert await _rows(connection, store_id) == incremental


@pytest.mark.parametrize("seed", range(4))
async def test_values_agree_with_the_oracle(database: Database, seed: int) -> None:
    history = random_history(Random(seed), orders=6)
    async with open_desk(database, history.arrivals[0][1]) as desk:
        await desk.add_store("S1", history.zone)
        async for _ in desk.play(history):
            pass
        await desk.metrics.refresh("S1")
        oracle = Oracle(history.arrivals, history.zone, history.now)
        days = date(2024, 12, 1), date(2026, 6, 1)
        for code, (_, grains) in ORACLE_KPIS.items():
            assert set(KPIS[code].grains) == {STORE_GRAIN, *grains}
            for by, period in product((STORE_GRAIN, *grains), ("day", "month", "quarter", "year")):
                values = await desk.kpis.get_values("S1", code, KpiQuery(*days, period, by))
                told = comparable(msgspec.to_builtins(values)["values"])
                said = comparable(
                    value.on_the_wire() for value in oracle.kpi(code, period, *days, by=by)
                )
                assert told == said, (code, by, period)


async def test_sums_are_those_of_the_facts(database: Database, connection: Connection) -> None:
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        await desk.send(*visit("R1", NOON - 2 * DAY), *visit("R2", NOON - 2 * DAY, late_hours=2))
        await desk.send(*visit("R3", NOON - DAY, advisor="A2", labor="19.90"))
        await desk.metrics.refresh("S1")
        rows = await connection.fetch(
            """SELECT day, member, numerator, denominator, count FROM kpi_day
                WHERE store_id = 'S1' AND code = 'on_time_delivery_rate' AND grain = 'advisor'
                ORDER BY day, member"""
        )
        assert [tuple(row) for row in rows] == [
            (date(2026, 6, 29), "A1", Decimal(1), Decimal(2), 2),
            (date(2026, 6, 30), "A2", Decimal(1), Decimal(1), 1),
        ]


async def test_what_did_not_change_is_not_written_again(
    database: Database, connection: Connection
) -> None:
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        await desk.send(*visit("R1", NOON - 2 * DAY))
        await desk.metrics.refresh("S1")
        before = await _written(connection, "fact"), await _written(connection, "kpi_day")

        warned = cloud_event("repair_order.delay_warned", "R1", NOON, {}, event_id="w")
        await desk.send(warned)
        refreshed = await desk.metrics.refresh("S1")

        assert refreshed.subjects > 0
        assert (refreshed.facts, refreshed.days) == (0, set())
        after = await _written(connection, "fact"), await _written(connection, "kpi_day")
        assert after == before


@pytest.mark.parametrize("orders", [5, 50])
async def test_the_cost_of_a_refresh_follows_the_news(
    database: Database, connection: Connection, orders: int
) -> None:
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        for number in range(orders):
            await desk.send(*visit(f"R{number}", NOON - (number % 40 + 2) * DAY))
        await desk.metrics.refresh("S1")
        facts, sums = await _written(connection, "fact"), await _written(connection, "kpi_day")

        await desk.send(*visit("NEW", NOON - DAY))
        refreshed = await desk.metrics.refresh("S1")

        # the order and its first call; settled, opened, dispatched; yesterday and the call's day
        assert (refreshed.subjects, refreshed.facts) == (2, 4)
        assert refreshed.days == {date(2026, 6, 30), date(2026, 7, 7)}
        assert facts.items() <= (await _written(connection, "fact")).items()
        elsewhere = {key: row for key, row in sums.items() if key[2] not in refreshed.days}
        assert elsewhere.items() <= (await _written(connection, "kpi_day")).items()


async def test_d9_an_answer_judges_the_order_again(database: Database) -> None:
    async with open_desk(database, NOON + DAY) as desk:
        await desk.add_store()
        await desk.send(*visit("R1", NOON))
        await desk.move_to(NOON + 5 * DAY)
        await desk.metrics.refresh("S1")
        assert await _value(desk, "on_time_delivery_rate") == "1.000000"

        said = _call("c1", "R1", NOON + 4 * DAY)
        await desk.send(said)
        await desk.metrics.refresh("S1")
        assert await _value(desk, "on_time_delivery_rate") == "0.000000"

        await desk.send(retraction(said, NOON + 5 * DAY))
        await desk.metrics.refresh("S1")
        assert await _value(desk, "on_time_delivery_rate") == "1.000000"


async def test_d10_a_call_that_moves_to_another_order_judges_both(database: Database) -> None:
    async with open_desk(database, NOON + 9 * DAY) as desk:
        await desk.add_store()
        await desk.send(
            *visit("R1", NOON, advisor="A1"),
            *visit("R2", NOON, advisor="A2"),
            _plan("p1", "R1", NOON + DAY),
            _call("c1", None, NOON + 4 * DAY),
        )
        await desk.metrics.refresh("S1")
        assert await _value(desk, "on_time_delivery_rate", "A1") == "0.000000"
        assert await _value(desk, "on_time_delivery_rate", "A2") == "1.000000"

        await desk.send(_plan("p2", "R2", NOON + 2 * DAY))
        await desk.metrics.refresh("S1")
        assert await _value(desk, "on_time_delivery_rate", "A1") == "1.000000"
        assert await _value(desk, "on_time_delivery_rate", "A2") == "0.000000"


async def test_f4_an_odometer_of_the_comeback_judges_the_original_again(
    database: Database,
) -> None:
    near = Policy(version=2, rework_window_km=Decimal(1000))
    policies = Policies([ValidPolicy(date(2026, 1, 1), near)])
    async with open_desk(database, NOON + 9 * DAY, policies=policies) as desk:
        await desk.add_store()
        await desk.send(
            *visit("R1", NOON),
            cloud_event(
                "repair_order.delivered", "R1", NOON, {"odometer_km": 50_000}, event_id="d"
            ),
            cloud_event(
                "repair_order.comeback_reported",
                "R1",
                NOON + DAY,
                {"comeback_ro": "R2"},
                event_id="r",
            ),
            cloud_event(
                "repair_order.comeback_assessed",
                "R1",
                NOON + DAY,
                {"verdict": "workmanship"},
                event_id="a",
            ),
        )
        await desk.metrics.refresh("S1")
        assert await _value(desk, "external_rework_rate") == "1.000000"

        opened = visit("R2", NOON + DAY)[0]
        opened["data"]["odometer_km"] = 52_000
        await desk.send(opened)
        await desk.metrics.refresh("S1")
        assert await _value(desk, "external_rework_rate") == "0.000000"


async def test_j11_a_complaint_moves_with_the_advisor_of_its_order(database: Database) -> None:
    async with open_desk(database, NOON + DAY) as desk:
        await desk.add_store()
        complaint = cloud_event(
            "complaint.opened",
            "7f6a1f9e-3f0c-4e6e-9f0a-0c8f6f2d1a10",
            NOON,
            {"ro_number": "R1", "channel": "phone", "nature": "time", "text": "太慢"},
            event_id="c",
        )
        await desk.send(*visit("R1", NOON, advisor="A1"), complaint)
        await desk.metrics.refresh("S1")
        assert await _value(desk, "complaint_rate", "A1") == "1.000000"

        again = visit("R1", NOON + timedelta(minutes=1), advisor="A2")[0]
        await desk.send({**again, "id": "again"})
        await desk.metrics.refresh("S1")
        assert await _value(desk, "complaint_rate", "A1") is None
        assert await _value(desk, "complaint_rate", "A2") == "1.000000"


async def test_a_subject_of_which_nothing_is_left_has_no_fact(
    database: Database, connection: Connection
) -> None:
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        card = cloud_event(
            "staff.timecard_recorded",
            "T1",
            NOON - DAY,
            {"work_date": "2026-06-30", "attended_hours": "8", "clocked_hours": "6"},
            event_id="t",
        )
        await desk.send(card)
        await desk.metrics.refresh("S1")
        assert await connection.fetchval("SELECT count(*) FROM fact") == 1

        await desk.send(retraction(card, NOON))
        await desk.metrics.refresh("S1")
        assert await _rows(connection) == [[], []]


async def test_a_rebuild_takes_away_facts_that_have_no_subject(
    database: Database, connection: Connection
) -> None:
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        await desk.send(*visit("R1", NOON - 2 * DAY))
        await desk.metrics.refresh("S1")
        right = await _rows(connection)
        await connection.execute("UPDATE fact SET key = 'R0' WHERE basis = 'opened'")
        await connection.execute("UPDATE kpi_day SET count = 7")
        await desk.metrics.rebuild("S1")
        assert await _rows(connection) == right


async def test_j4_a_corrected_zone_judges_everything_again(
    database: Database, connection: Connection
) -> None:
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        await desk.send(*visit("R1", at("2026-06-30 23:00"), hours=0.5, late_hours=0))
        await desk.metrics.refresh("S1")
        days = "SELECT DISTINCT day FROM fact WHERE basis <> 'due'"
        assert await connection.fetchval(days) == date(2026, 6, 30)

        await desk.add_store("S1", "Pacific/Auckland")
        assert await desk.metrics.refresh_behind() == 1
        assert await connection.fetchval(days) == date(2026, 7, 1)
        assert await desk.metrics.refresh_behind() == 0


async def test_refreshers_take_turns(database: Database, connection: Connection) -> None:
    async with open_desk(database, NOON) as desk, open_desk(database, NOON) as other:
        await desk.add_store()
        for number in range(12):
            await asyncio.gather(
                desk.send(*visit(f"R{number}", NOON - (number % 3 + 1) * DAY)),
                desk.metrics.refresh("S1"),
                other.metrics.refresh("S1"),
                other.metrics.refresh_behind(),
            )
        await desk.metrics.refresh("S1")
        incremental = await _rows(connection)
        await desk.metrics.rebuild("S1")
        assert await _rows(connection) == incremental


async def test_who_does_not_wait_leaves_the_turn_to_another(
    database: Database, connection: Connection
) -> None:
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        await desk.metrics.refresh("S1")
        await desk.send(*visit("R1", NOON - DAY))
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM metrics_cursor FOR UPDATE")
            assert await desk.metrics.refresh_behind() == 0
            waiting = asyncio.create_task(desk.metrics.refresh("S1"))
            done, _ = await asyncio.wait([waiting], timeout=0.2)
            assert not done
        assert (await waiting).facts == 4


async def test_a_turn_that_lasts_longer_than_a_statement_may_is_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = SnapshotRepository.lock_cursor
    waits = iter([True, False])

    async def slowly(
        snapshots: SnapshotRepository, store_id: str, *, wait: bool
    ) -> Progress | None:
        if next(waits):
            await snapshots._connection.execute("SELECT pg_sleep(1)", timeout=0.05)
        return await lock(snapshots, store_id, wait=wait)

    monkeypatch.setattr(SnapshotRepository, "lock_cursor", slowly)
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        await desk.metrics.refresh("S1")
    assert list(waits) == []


async def test_a_refresh_that_never_gets_its_turn_says_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.metrics_turn._TRIES", 0)
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        with pytest.raises(UnavailableError):
            await desk.metrics.refresh("S1")


async def test_an_unknown_store_has_no_metrics(database: Database) -> None:
    async with open_desk(database, NOON) as desk:
        with pytest.raises(NotFoundError):
            await desk.metrics.refresh("NONE")


async def test_a_refresh_reads_states_and_log_in_one_snapshot(
    database: Database, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is appended during a refresh is neither half in it nor lost to the next."""
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        await desk.send(*visit("R1", NOON - DAY))
        later = visit("R2", NOON - DAY)
        take_in = MetricsService._take_in

        async def with_news(service: MetricsService, *args: object, **kwargs: object) -> object:
            await desk.send(later[0])
            return await take_in(service, *args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(MetricsService, "_take_in", with_news)
        await desk.metrics.refresh("S1")
        monkeypatch.undo()
        assert "R2" not in await _keys(connection)
        await desk.metrics.refresh("S1")
        assert "R2" in await _keys(connection)


async def _keys(connection: Connection) -> Sequence[str]:
    return [row["key"] for row in await connection.fetch("SELECT key FROM fact")]


_FOLLOW_UP = "2f1c3a52-5a5e-4f6e-8f3a-6d2f1e0b9c11"


def _plan(event_id: str, ro_number: str, moment: datetime) -> dict[str, object]:
    window = {"opens_at": NOON + 2 * DAY, "due_at": NOON + 7 * DAY}
    data = {"ro_number": ro_number, "kind": "first"} | {
        name: bound.isoformat() for name, bound in window.items()
    }
    return cloud_event(
        "follow_up.scheduled", _FOLLOW_UP, moment, data, event_id=event_id, source="/crm"
    )


def _call(event_id: str, ro_number: str | None, moment: datetime) -> dict[str, object]:
    data = {"by": "C1", "channel": "phone", "outcome": "reached", "customer_says_on_time": False}
    if ro_number is not None:
        data["ro_number"] = ro_number
    return cloud_event(
        "follow_up.completed", _FOLLOW_UP, moment, data, event_id=event_id, source="/crm"
    )
