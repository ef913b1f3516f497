"""Names in the place of staff numbers: whom they stand for is known sooner or later (E3)."""

from datetime import date, timedelta
from itertools import product
from random import Random
from typing import Any

import msgspec
import orjson
import pytest

from app.db.engine import Connection, Database, Pool
from app.db.snapshots import STORE_GRAIN
from app.domain.access import LOCAL
from app.domain.events.names import surrogate_of
from app.domain.kpis.kpi import STAFF_GRAINS
from app.domain.pages import PageRequest
from app.services.desk import Caller, Conditions
from app.services.kpi_queries import KpiQuery
from app.services.units import Accepted, Duplicate, Quarantined
from tests.support.desk import SECRET, Desk, at, open_desk, retraction, visit
from tests.support.histories import CloudEvent, History, cloud_event, random_history
from tests.support.logs import check_store
from tests.support.names import ALIASES, SPELLINGS, in_names, registrations
from tests.support.oracle import KPIS as ORACLE_KPIS
from tests.support.oracle import Oracle, comparable

NOON = at("2026-07-01 12:00")
DAY = timedelta(days=1)
JUNE = KpiQuery(date(2026, 6, 1), date(2026, 7, 1), "month", "advisor")
WANG = surrogate_of(SECRET, "S1", "王伟")

_FACTS = """
    SELECT kind, key, basis, day, advisor, technician, team, work_type, assignee, nature, codes,
           numerators, denominators, reasons, sorts
      FROM fact WHERE store_id = $1 ORDER BY kind, key, basis
"""
_SUMS = """
    SELECT code, grain, day, member, reason, numerator, denominator, count
      FROM kpi_day WHERE store_id = $1 ORDER BY code, grain, day, member, reason
"""


def registered(staff_no: str, number: int = 1, **data: Any) -> CloudEvent:
    return cloud_event(
        "staff.registered",
        staff_no,
        NOON - 90 * DAY + timedelta(minutes=number),
        data,
        event_id=f"hr-{staff_no}-{number}",
        source="/hr/test",
    )


async def rows_of(connection: Connection) -> list[list[tuple[object, ...]]]:
    return [
        [tuple(row) for row in await connection.fetch(statement, "S1")]
        for statement in (_FACTS, _SUMS)
    ]


async def members(desk: Desk, code: str = "visits_settled") -> dict[str | None, str | None]:
    """The value of a KPI in June by advisor."""
    values = (await desk.kpis.get_values("S1", code, JUNE)).values
    return {value.member: value.value for value in values}


async def unresolved(desk: Desk) -> dict[str, Any]:
    found = await desk.names.list_unresolved("S1", PageRequest(200))
    return {named.surrogate: named for named in found.items}


@pytest.mark.parametrize("seed", range(8))
async def test_who_is_meant_is_the_same_in_any_order_of_arrival(
    database: Database, connection: Connection, pool: Pool, seed: int
) -> None:
    """Registered before, between or after the orders: the numbers are those of staff numbers.

    Somebody whose registration is taken back counts as the name alone, under one surrogate however
    it was spelled. The oracle knows nothing of names: it is told the staff numbers.
    """
    rng = Random(seed)
    plain = random_history(rng, orders=6)
    without = rng.choice(["A01", "A02", "A03", "T02", "T03", ""])
    arrivals = list(
        zip(in_names(rng, plain.events), (moment for _, moment in plain.arrivals), strict=True)
    )
    staff = registrations(rng, plain, without=without)
    rng.shuffle(staff)
    moments = [moment for _, moment in arrivals] or [plain.now]
    arrivals += [(event, rng.choice(moments)) for event in staff]
    arrivals.sort(key=lambda arrival: arrival[1])
    history = History("S1", plain.zone, tuple(arrivals), plain.now)
    async with open_desk(database, history.arrivals[0][1]) as desk:
        await desk.add_store("S1", history.zone)
        async for _ in desk.play(history):
            if rng.random() < 0.4:
                await desk.metrics.refresh("S1")
        await desk.metrics.refresh("S1")
        await check_store(pool)
        incremental = await rows_of(connection)
        await desk.metrics.rebuild("S1")
        assert await rows_of(connection) == incremental

        spelled = {without: surrogate_of(SECRET, "S1", SPELLINGS[without][0])} if without else {}
        oracle = Oracle(plain.arrivals, plain.zone, plain.now)
        days = date(2024, 12, 1), date(2026, 6, 1)
        for code, (_, grains) in ORACLE_KPIS.items():
            for by, period in product((STORE_GRAIN, *grains), ("month",)):
                values = await desk.kpis.get_values("S1", code, KpiQuery(*days, period, by))
                said = [value.on_the_wire() for value in oracle.kpi(code, period, *days, by=by)]
                for value in said:
                    if by in STAFF_GRAINS and code != "labor_utilization":  # a card has a number
                        value["member"] = spelled.get(value["member"] or "", value["member"])
                told = comparable(msgspec.to_builtins(values)["values"])
                assert told == comparable(said), (code, by)
        assert set(await unresolved(desk)) <= set(spelled.values())


def test_those_histories_hold_names() -> None:
    texts = {text for spellings in SPELLINGS.values() for text in spellings} | {*ALIASES.values()}
    seen = set()
    for seed in range(8):
        rng = Random(seed)
        events = in_names(rng, random_history(rng, orders=6).events)
        seen |= texts & {str(value) for event in events for value in event["data"].values()}
    assert len(seen) > len(texts) / 2


async def test_a_registration_joins_what_belongs_together(
    database: Database, connection: Connection
) -> None:
    """Before it a name is a member of its own; what was published since is restated."""
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        await desk.send(
            *visit("R1", NOON - 10 * DAY, advisor="王伟"),
            *visit("R2", NOON - 9 * DAY, advisor=" 王　伟", late_hours=2),
            *visit("R3", NOON - 8 * DAY, advisor="A7"),
            *visit("R4", NOON - 8 * DAY, advisor="李娜"),
        )
        li = surrogate_of(SECRET, "S1", "李娜")
        await desk.nightly.run_now("S1")
        assert await members(desk) == {WANG: "2", "A7": "1", li: "1"}

        await desk.move_to(NOON + DAY)
        await desk.send(registered("A7", name="王伟", aliases=["小王"]))
        await desk.metrics.refresh("S1")
        assert await members(desk) == {"A7": "3", li: "1"}
        assert await members(desk, "on_time_delivery_rate") == {
            "A7": "0.666667",
            li: "1.000000",
        }
        await desk.nightly.run_now("S1")
        published = (await desk.kpis.get_published("S1", "visits_settled", JUNE)).values
        assert {
            value.member: [
                None if value.published is None else value.published.value,
                *(version.value for version in value.restatements),
            ]
            for value in published
        } == {WANG: ["2", "0"], "A7": ["1", "3"], li: ["1"]}
        (restated,) = next(value for value in published if value.member == "A7").restatements
        assert {change.subject for change in restated.changes} == {"R1", "R2"}
        for change in restated.changes:
            assert [event.type for event in change.events] == ["staff.registered"]

        await desk.move_to(NOON + 2 * DAY)
        await desk.send(
            retraction(registered("A7", name="王伟", aliases=["小王"]), NOON + 2 * DAY)
        )
        await desk.metrics.refresh("S1")
        assert await members(desk) == {WANG: "2", "A7": "1", li: "1"}
        incremental = await rows_of(connection)
        await desk.metrics.rebuild("S1")
        assert await rows_of(connection) == incremental


async def test_a_name_of_two_stands_for_neither(database: Database) -> None:
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        await desk.send(
            *visit("R1", NOON - 10 * DAY, advisor="王伟"), registered("A7", name="王伟")
        )
        await desk.metrics.refresh("S1")
        assert await members(desk) == {"A7": "1"}
        assert await unresolved(desk) == {}

        other = registered("A8", aliases=["王 伟"])
        await desk.send(other)
        await desk.metrics.refresh("S1")
        assert await members(desk) == {WANG: "1"}
        named = (await unresolved(desk))[WANG]
        assert (named.candidates, named.text, named.roles) == (["A7", "A8"], "王伟", ["advisor"])
        assert (named.subjects, named.first_seen_at) == (1, NOON - 10 * DAY)

        await desk.send(retraction(other, NOON))
        await desk.metrics.refresh("S1")
        assert await members(desk) == {"A7": "1"}


async def test_a_later_list_takes_the_place_of_an_earlier_one_of_its_source(
    database: Database,
) -> None:
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        await desk.send(
            *visit("R1", NOON - 10 * DAY, advisor="老王"),
            *visit("R2", NOON - 10 * DAY, advisor="小 王"),
            registered("A7", 2, aliases=["小王"]),
            registered("A7", 1, aliases=["老王"]),  # arrives late
        )
        await desk.metrics.refresh("S1")
        assert await members(desk) == {"A7": "1", surrogate_of(SECRET, "S1", "老王"): "1"}
        await desk.send(registered("A7", 3, team="RED"))
        await desk.send(registered("A7", 1, aliases=["老王"]) | {"source": "/dms/test"})
        await desk.metrics.refresh("S1")
        assert await members(desk) == {"A7": "2"}


async def test_the_same_name_again_is_the_same_content(database: Database) -> None:
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        sent = visit("R1", NOON - 10 * DAY, advisor="王伟")[0]
        assert await desk.send(sent) == [Accepted(1)]
        assert await desk.send(sent) == [Duplicate(1)]
        other: dict[str, Any] = {**sent, "data": sent["data"] | {"advisor": "李娜"}}
        outcome = (await desk.send(other))[0]
        assert isinstance(outcome, Quarantined)
        assert outcome.reason == "identity-conflict"
        # a full-width number is that number
        wide: dict[str, Any] = {**sent, "id": "w", "data": sent["data"] | {"advisor": "Ａ７"}}
        narrow: dict[str, Any] = {**sent, "id": "w", "data": sent["data"] | {"advisor": "A7"}}
        assert await desk.send(wide, narrow) == [Accepted(2), Duplicate(2)]


async def test_no_name_is_in_the_log_and_erasing_names_changes_no_figure(
    database: Database, connection: Connection
) -> None:
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        history = random_history(Random(5), orders=6)
        told = in_names(Random(5), history.events)
        await desk.add_store("S1", history.zone)
        await desk.move_to(history.now)
        await desk.send(*told, *registrations(Random(5), history)[:3])
        assert len(await unresolved(desk)) > 2
        named = next(iter((await unresolved(desk)).values()))
        assert named.text is not None
        await desk.names.give_alias(
            "S1",
            "N1",
            alias=None,
            surrogate=named.surrogate,
            caller=Caller(LOCAL, Conditions("key-1", None, b"x")),
            render=lambda given: orjson.dumps({"version": given.version}),
        )
        await desk.metrics.refresh("S1")

        texts = {text.strip() for spellings in SPELLINGS.values() for text in spellings}
        texts |= {*ALIASES.values(), "证件名"}
        tables = await connection.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
        holding = {"personal"}
        for (table,) in tables:
            for row in await connection.fetch(f"SELECT t::text AS row FROM {table} t"):
                if any(text in row["row"] for text in texts):
                    holding.add(table)
        assert holding == {"personal"}

        before = await rows_of(connection)
        await connection.execute("DELETE FROM personal")
        await desk.metrics.rebuild("S1")
        assert await rows_of(connection) == before
        assert {named.text for named in (await unresolved(desk)).values()} == {None}


async def test_a_registration_finds_its_orders_by_index(
    database: Database, connection: Connection
) -> None:
    """Neither the states nor all mentions are gone through."""
    async with open_desk(database, NOON) as desk:
        await desk.add_store()
        for number in range(40):
            moment = NOON - 10 * DAY + timedelta(minutes=number)
            await desk.send(
                *(
                    event
                    for k in range(10)
                    for event in visit(f"R{number}-{k}", moment, advisor=f"王 {number}")
                )
            )
        await connection.execute("ANALYZE staff_mention")
        plan = await connection.fetch(
            "EXPLAIN SELECT kind, key FROM staff_mention"
            " WHERE store_id = 'S1' AND surrogate = ANY($1) GROUP BY store_id, kind, key",
            [surrogate_of(SECRET, "S1", "王 7")],
        )
        assert "ix_staff_mention_store_id_surrogate" in "\n".join(row[0] for row in plan)
        await desk.metrics.refresh("S1")
        await desk.send(registered("A7", name="王 7"))
        # each order with its two calls
        assert (await desk.metrics.refresh("S1")).subjects == 30
        await desk.send(registered("A7", 2, name="王　7", team="RED"))
        assert (await desk.metrics.refresh("S1")).subjects == 0, "nobody got or lost a name"
