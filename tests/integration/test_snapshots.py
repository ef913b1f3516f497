"""Snapshots of repair orders in the log: what they imply, repeats, late ones, retracted ones."""

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from random import Random
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from app.db import personal
from app.db.engine import Pool
from app.db.event_log import EventLog
from app.domain.events.envelope import Event, Kind
from app.domain.fold import standing
from app.domain.follow_up import FollowUp
from app.domain.ids import follow_up_id
from app.domain.inferred import changes
from app.domain.repair_order import RepairOrder
from app.factory import Factory, open_factory
from app.services.quiet_snapshots import MANY
from app.services.time_source import MovableTimeSource
from app.settings import Settings
from tests.support.facts import event, opened, retraction, settled
from tests.support.histories import CloudEvent
from tests.support.logs import check_store, read_log, read_states
from tests.support.posting import add_store, outcomes, post
from tests.support.snapshots import random_life, view

HALF_A_MINUTE = timedelta(seconds=30)
CALL = follow_up_id("S1", "R1", "first")


def at(time: str, day: str = "2026-06-01") -> str:
    return f"{day}T{time}:00+08:00"


def snapshot(time: str, ro_number: str = "R1", **data: Any) -> CloudEvent:
    """Show an order as it is at a time; with an advisor, since times alone say little."""
    more = {name: data.pop(name) for name in ("source", "event_id", "store") if name in data}
    return event("repair_order.snapshot", ro_number, at(time), **more, **{"advisor": "A1", **data})


async def order_of(pool: Pool, ro_number: str = "R1", store_id: str = "S1") -> RepairOrder:
    state = (await read_states(pool, store_id))[Kind.REPAIR_ORDER, ro_number][1]
    assert isinstance(state, RepairOrder)
    return state


async def inferred(pool: Pool, store_id: str = "S1") -> list[str]:
    """List what stands of what was inferred, once the whole store is checked."""
    log = await check_store(pool, store_id)
    await check_inference(log)
    stand = [found for found in standing(log) if found.inferred]
    return [
        found.type.removeprefix("repair_order.")
        for found in sorted(stand, key=lambda found: (found.occurred_at, found.seq))
    ]


async def check_inference(log: list[Event]) -> None:
    """Nothing is missing of what snapshots imply, and nothing is too much."""
    for key in {found.key for found in log if found.kind is Kind.REPAIR_ORDER}:
        of_order = [found for found in log if (found.kind, found.key) == (Kind.REPAIR_ORDER, key)]
        left = changes(of_order)
        assert (list(left.gone), list(left.missing)) == ([], [])


def promised(order: RepairOrder) -> list[str]:
    return [f"{given.promised_at.astimezone(ZONE):%H:%M}" for given in order.promises]


ZONE = datetime.fromisoformat(at("00:00")).tzinfo


# -- what a snapshot implies


async def test_a_day_in_snapshots(factory: Factory, pool: Pool) -> None:
    morning = snapshot("10:00", opened_at=at("09:00"), promised_at=at("17:00"), vin="V1")
    noon = snapshot(
        "12:00", opened_at=at("09:00"), promised_at=at("18:00"), vin="V1", technician="T1"
    )
    night = snapshot(
        "23:00",
        status="closed",
        promised_at=at("18:00"),
        settled_at=at("17:30"),
        amounts={"labor": 100},
        handed_over_at=at("17:40"),
    )
    assert await outcomes(factory, morning, noon, night) == ["1", "2", "3"]
    assert await inferred(pool) == [
        "opened",
        "dispatched",
        "promise_changed",
        "settled",
        "delivered",
    ]
    order = await order_of(pool)
    assert promised(order) == ["17:00", "18:00"]
    assert (order.status, order.technician, order.vin) == ("closed", "T1", "V1")
    states = await read_states(pool)
    assert (Kind.FOLLOW_UP, CALL) in states, "the delivery plans the call"


async def test_told_and_seen_mix(factory: Factory, pool: Pool) -> None:
    """What is told later takes the place of what was inferred, and the snapshot adds the rest."""
    shown = snapshot(
        "17:00", opened_at=at("09:00"), vin="V1", status="settled", settled_at=at("16:00")
    )
    await post(factory, shown)
    assert await inferred(pool) == ["opened", "settled"]
    await post(factory, settled("R1", at("16:00")), opened("R1", at("09:00")))
    assert await inferred(pool) == ["opened"]
    order = await order_of(pool)
    assert (order.vin, order.work_type, len(order.settlements)) == ("V1", "ordinary_repair", 1)


async def test_a_retracted_snapshot_takes_everything_with_it(factory: Factory, pool: Pool) -> None:
    first = snapshot("10:00", promised_at=at("17:00"))
    last = snapshot("23:00", promised_at=at("18:00"), status="closed", handed_over_at=at("17:40"))
    taken_back = retraction(last)
    await post(factory, first)
    await post(factory, last)
    assert await call_status(pool) == "scheduled"
    await post(factory, taken_back)
    assert await inferred(pool) == ["opened"]
    assert promised(await order_of(pool)) == ["17:00"]
    assert await call_status(pool) == "cancelled"
    await post(factory, retraction(taken_back))
    assert await inferred(pool) == ["opened", "promise_changed", "settled", "delivered"]
    assert await call_status(pool) == "scheduled"
    await post(factory, retraction(first), retraction(last))
    assert await inferred(pool) == []
    assert (Kind.REPAIR_ORDER, "R1") not in await read_states(pool)


async def call_status(pool: Pool) -> str:
    state = (await read_states(pool))[Kind.FOLLOW_UP, CALL][1]
    assert isinstance(state, FollowUp)
    return state.status


async def test_a_retraction_that_overtakes_its_snapshot(factory: Factory, pool: Pool) -> None:
    shown = snapshot("10:00", promised_at=at("17:00"))
    await post(factory, retraction(shown))
    assert await outcomes(factory, shown, opened("R2")) == ["1", "2"]
    assert await inferred(pool) == []


async def test_what_was_inferred_is_retracted_with_its_snapshot_alone(
    factory: Factory, pool: Pool
) -> None:
    shown = snapshot("10:00", promised_at=at("17:00"), event_id="export-7")
    await post(factory, shown)
    found = next(found for found in await read_log(pool) if found.inferred)
    aimed = event("repair_order.opened", "R1", source=found.source, event_id=found.id)
    answer = await post(factory, retraction(aimed))
    (fault,) = answer["results"][0]["errors"]
    assert (answer["results"][0]["reason"], fault["pointer"]) == ("invalid-data", "/data/source")
    assert fault["code"] == "not-retractable"
    assert "export-7" in fault["detail"]
    assert await inferred(pool) == ["opened"]


# -- the same again


async def test_the_same_again_appends_nothing(factory: Factory, pool: Pool) -> None:
    """Under whatever id, at whatever time; what lies beside the log counts, too."""
    shown = {"promised_at": at("17:00"), "plate": "沪A00001", "remark": "leihwagen"}
    first = snapshot("10:00", **shown)
    again = snapshot("10:05", **shown)
    assert await outcomes(factory, first, again) == ["1", "=1"]
    head = len(await read_log(pool))
    assert await outcomes(factory, snapshot("10:10", **shown)) == ["=1"]
    assert await outcomes(factory, first, first | {"time": at("10:12")}) == ["=1", "=1"]
    assert len(await read_log(pool)) == head
    assert await outcomes(factory, snapshot("10:15", **shown | {"plate": "沪A00002"})) == ["3"]
    assert await outcomes(factory, snapshot("10:20", **shown | {"remark": "x"})) == ["4"]
    assert await outcomes(factory, snapshot("10:25", "R2", **shown)) == ["5"]
    assert await outcomes(factory, snapshot("10:30", source="/dms/other", **shown)) == ["7"]
    assert await outcomes(factory, first | {"data": {}}) == ["identity-conflict"]
    assert await inferred(pool) == ["opened", "opened"]


async def test_what_comes_back_is_no_repeat(factory: Factory, pool: Pool) -> None:
    for time, promise in (("10:00", "17:00"), ("11:00", "18:00"), ("12:00", "17:00")):
        await post(factory, snapshot(time, promised_at=at(promise)))
    assert promised(await order_of(pool)) == ["17:00", "18:00", "17:00"]
    await inferred(pool)


async def test_what_comes_back_under_its_old_id_is_said_again(
    factory: Factory, pool: Pool
) -> None:
    """Ids that are made of the content: the identity is known, yet it is news."""
    first = snapshot("10:00", promised_at=at("17:00"))
    assert await outcomes(factory, first, snapshot("11:00", promised_at=at("18:00"))) == ["1", "2"]
    for _ in range(2):
        back = first | {"time": at("12:00")}
        assert await outcomes(factory, back, opened("R2", event_id="other")) in (
            ["=1", "6"],
            ["=1", "=6"],
        )
        assert promised(await order_of(pool)) == ["17:00", "18:00", "17:00"]
        await inferred(pool)
    await post(factory, retraction(first))
    assert promised(await order_of(pool)) == ["18:00"]
    assert await outcomes(factory, first | {"time": at("13:00")}) == ["=1"]
    assert promised(await order_of(pool)) == ["18:00"], "it stays retracted (A4)"


async def test_what_was_so_before_under_the_same_id_is_said_of_its_own_time(
    factory: Factory, pool: Pool
) -> None:
    """Files of three nights, the latest first; ids of sheets are made of the content."""
    last = snapshot("12:00", promised_at=at("17:00"), plate="沪A00001")
    between = snapshot("11:00", promised_at=at("18:00"), plate="沪A00002")
    first = last | {"time": at("10:00")}
    assert await outcomes(factory, last) == ["1"]
    assert await outcomes(factory, between) == ["3"]
    assert await outcomes(factory, first) == ["=1"]
    assert promised(await order_of(pool)) == ["17:00", "18:00", "17:00"]
    await inferred(pool)
    head = len(await read_log(pool))
    assert await outcomes(factory, first, between, last) == ["=1", "=3", "=1"]
    assert len(await read_log(pool)) == head
    view = await factory.repair_orders.get("S1", "R1")
    assert view.personal["plate"] == "沪A00001"
    await post(factory, retraction(last))
    assert promised(await order_of(pool)) == ["18:00"]
    await inferred(pool)


async def test_what_comes_back_late_under_its_old_id_undoes_no_repeat(
    factory: Factory, pool: Pool
) -> None:
    first = snapshot("10:00", promised_at=at("17:00"))
    second = snapshot("11:00", promised_at=at("18:00"))
    await post(factory, first, second)
    assert await outcomes(factory, second | {"id": "again", "time": at("13:00")}) == ["=2"]
    assert await outcomes(factory, first | {"time": at("12:00")}) == ["=1"]
    assert promised(await order_of(pool)) == ["17:00", "18:00", "17:00", "18:00"]
    await inferred(pool)


async def test_the_same_after_a_retraction_is_news(factory: Factory, pool: Pool) -> None:
    """Also in one request, and whatever else that retracts."""
    first = snapshot("10:00", promised_at=at("17:00"))
    second = snapshot("11:00", promised_at=at("18:00"))
    await post(factory, first, second)
    again = snapshot("12:00", promised_at=at("18:00"))
    assert await outcomes(factory, retraction(second), again) == ["5", "6"]
    assert promised(await order_of(pool)) == ["17:00", "18:00"]
    taken_back = retraction(again)
    back = snapshot("13:00", promised_at=at("18:00"))
    assert await outcomes(factory, taken_back, retraction(taken_back), back) == ["9", "10", "=6"]
    await inferred(pool)


async def test_an_export_that_shows_the_same_overrules_nothing_that_was_told_meanwhile(
    factory: Factory, pool: Pool
) -> None:
    """A DMS that does not know of a change: whether it shows the same or something else new."""
    change = event("repair_order.promise_changed", "R1", at("11:00"), promised_at=at("18:00"))
    await post(factory, snapshot("10:00", promised_at=at("17:00")), change)
    assert await outcomes(factory, snapshot("12:00", promised_at=at("17:00"))) == ["=1"]
    await post(factory, snapshot("13:00", promised_at=at("17:00"), technician="T1"))
    assert promised(await order_of(pool)) == ["17:00", "18:00"]
    assert await inferred(pool) == ["opened", "dispatched"]


async def test_what_changes_beside_the_log_alone_costs_no_look_at_the_whole_order(
    factory: Factory, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that says when it was printed, every five minutes for weeks."""
    start = datetime.fromisoformat(at("09:00"))
    moments = [(start + timedelta(minutes=5 * number)).isoformat() for number in range(60)]

    def shown(number: int, **data: Any) -> CloudEvent:
        said: dict[str, Any] = {
            "promised_at": at("17:00"),
            "printed": number,
            "plate": f"沪A{number:05}",
            **data,
        }
        return snapshot("09:00", **said) | {"time": moments[number]}

    for number in range(MANY):
        await post(factory, shown(number))
    with monkeypatch.context() as patch:
        patch.delattr(EventLog, "read_subjects")
        for number in range(MANY, 40):
            await post(factory, shown(number))
    assert await inferred(pool) == ["opened"]
    view = await factory.repair_orders.get("S1", "R1")
    assert view.personal["plate"] == "沪A00039"
    other = {"source": "/dms/other", "technician": "T1"}
    await post(factory, shown(40, **other), shown(41, technician="T1"))
    await post(factory, shown(42, promised_at=at("18:00")))
    await post(factory, shown(43, promised_at=at("18:00")), shown(44, promised_at=at("19:00")))
    assert await inferred(pool) == ["opened", "dispatched", "promise_changed", "promise_changed"]
    late = shown(50, promised_at=at("19:00"), amounts={"labor": 1})
    await post(factory, late | {"time": (start + timedelta(minutes=62)).isoformat()})
    await post(factory, retraction(late))
    assert promised(await order_of(pool)) == ["17:00", "18:00", "19:00"]
    await inferred(pool)


async def test_what_lies_beside_many_snapshots_is_read_by_looking_at_each_once(
    factory: Factory, pool: Pool
) -> None:
    start, many = datetime.fromisoformat(at("09:00")), 80
    shown = [
        snapshot("09:00", plate=f"沪A{number:05}")
        | {"time": (start + timedelta(minutes=5 * number)).isoformat()}
        for number in range(many)
    ]
    await post(factory, *shown)
    await pool.execute("ANALYZE")
    plan = await pool.fetchval(
        f"EXPLAIN (ANALYZE, FORMAT JSON) {personal._FIELDS}", "S1", Kind.REPAIR_ORDER, ["R1"]
    )
    assert rows_seen(orjson.loads(plan)[0]["Plan"]) < 10 * many


def rows_seen(node: dict[str, Any]) -> int:
    """How many rows of tables and indexes a plan and its parts have looked at."""
    removed = sum(node.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Join Filter"))
    own = (node["Actual Rows"] + removed) * node["Actual Loops"]
    return int(own) + sum(rows_seen(part) for part in node.get("Plans", ()))


# -- late ones


async def test_an_older_snapshot_that_comes_late_changes_nothing_that_came_later(
    factory: Factory, pool: Pool
) -> None:
    await post(factory, snapshot("12:00", promised_at=at("18:00"), technician="T2"))
    await post(factory, snapshot("10:00", promised_at=at("17:00"), technician="T1"))
    order = await order_of(pool)
    assert promised(order) == ["17:00", "18:00"]
    assert (order.technician, order.first_opened_at) == ("T2", datetime.fromisoformat(at("10:00")))
    await inferred(pool)


@pytest.mark.parametrize("together", [False, True])
async def test_a_repeat_that_appended_nothing_still_counts_against_a_late_one(
    together: bool, factory: Factory, pool: Pool
) -> None:
    seen = [
        snapshot("10:00", promised_at=at("17:00"), plate="沪A00001"),
        snapshot("13:00", promised_at=at("17:00"), plate="沪A00001"),
        snapshot("12:00", promised_at=at("18:00"), plate="沪A00002"),
        snapshot("14:00", promised_at=at("17:00"), plate="沪A00001"),
    ]
    if together:
        assert await outcomes(factory, *seen) == ["1", "=1", "2", "=1"]
    else:
        assert [await outcomes(factory, each) for each in seen] == [["1"], ["=1"], ["3"], ["=1"]]
    assert promised(await order_of(pool)) == ["17:00", "18:00", "17:00"]
    assert await inferred(pool) == [
        "opened",
        "promise_changed",
        "snapshot_repeated",
        "promise_changed",
    ]
    view = await factory.repair_orders.get("S1", "R1")
    assert view.personal["plate"] == "沪A00001"
    # between the two there was nothing else to be seen of the first one
    await post(factory, snapshot("11:00", promised_at=at("19:00")))
    assert promised(await order_of(pool)) == ["17:00", "19:00", "18:00", "17:00"]
    await inferred(pool)


async def test_late_ones_of_another_source_disturb_nobody(factory: Factory, pool: Pool) -> None:
    await post(factory, snapshot("10:00", promised_at=at("17:00")))
    await post(factory, snapshot("13:00", promised_at=at("17:00")))
    await post(factory, snapshot("12:00", promised_at=at("18:00"), source="/dms/other"))
    assert "snapshot_repeated" not in await inferred(pool)


async def test_a_repeat_and_a_late_one_at_once_through_two_processes(
    factory: Factory, database_url: str, time_source: MovableTimeSource, pool: Pool
) -> None:
    """Whichever is first: the promise of 13:00 is in force in the end."""
    settings = Settings(database_url=SecretStr(database_url))
    async with AsyncExitStack() as stack:
        others = [
            await stack.enter_async_context(open_factory(settings, time_source=time_source))
            for _ in range(2)
        ]
        for number in range(8):
            ro_number = f"R{number}"
            await post(factory, snapshot("10:00", ro_number, promised_at=at("17:00")))
            await asyncio.gather(
                post(others[0], snapshot("13:00", ro_number, promised_at=at("17:00"))),
                post(others[1], snapshot("12:00", ro_number, promised_at=at("18:00"))),
            )
            order = await order_of(pool, ro_number)
            assert promised(order) == ["17:00", "18:00", "17:00"], number
    await inferred(pool)


async def test_a_repeat_between_the_read_and_the_write_of_a_late_one_is_seen(
    factory: Factory, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repeat moves no head, so what was read of repeats is compared by itself."""
    await post(factory, snapshot("10:00", promised_at=at("17:00")))
    read = EventLog.read_repeats
    meanwhile = [13]

    async def read_then_repeat(log: EventLog, store_id: str, seqs: list[int]) -> Any:
        found = await read(log, store_id, seqs)
        if meanwhile:
            moment = datetime.fromisoformat(at(f"{meanwhile.pop()}:00"))
            await pool.execute("INSERT INTO snapshot_repeat VALUES ('S1', 1, $1)", moment)
        return found

    monkeypatch.setattr(EventLog, "read_repeats", read_then_repeat)
    await post(factory, snapshot("12:00", promised_at=at("18:00")))
    assert promised(await order_of(pool)) == ["17:00", "18:00", "17:00"]
    await inferred(pool)


# -- any order of arrival


@pytest.mark.parametrize("seed", range(8))
async def test_in_any_order_of_arrival_the_same_stands(
    seed: int, factory: Factory, pool: Pool
) -> None:
    """Lives of orders, told and seen, in requests of several and with retractions on the way."""
    rng = Random(seed)
    lived = [life(rng) for _ in range(4)]
    told = []
    for telling in range(2):
        store_id = f"T{telling}"
        await add_store(factory, store_id)
        arriving = [
            each | {"store": store_id, "subject": f"R{number}", "id": f"{number}-{each['id']}"}
            for number, events in enumerate(lived)
            for each in events
        ]
        # not of those that are repeated: a repeat is news once the first is retracted
        lost = [
            each
            for place, each in enumerate(arriving)
            if place % 5 == 0 and "twice" not in each["id"]
        ]
        arriving += [retraction(each, event_id=f"r-{each['id']}") for each in lost]
        rng.shuffle(arriving)
        while arriving:
            size = rng.randint(1, 5)
            await post(factory, *arriving[:size])
            del arriving[:size]
        await inferred(pool, store_id)
        told.append(await said(pool, store_id))
    assert told[0] == told[1]


def life(rng: Random) -> list[CloudEvent]:
    """What is told and shown of an order; some snapshots are repeats of those before them."""
    made = random_life(rng)
    twice = set(made.moments[::2])
    moments = [*made.moments, *(moment + HALF_A_MINUTE for moment in twice)]
    told = [
        (name, moment, data, "told")
        for number, (moment, name, data) in enumerate(made.facts)
        if number in made.told
    ]
    told += [
        (
            "snapshot",
            moment,
            view(made.facts, moment),
            "twice" if {moment, moment - HALF_A_MINUTE} & twice else "once",
        )
        for moment in sorted(moments)
    ]
    return [
        event(
            f"repair_order.{name}",
            "R",
            moment.isoformat(),
            event_id=f"{kind}-{number}",
            **orjson.loads(orjson.dumps(data)),
        )
        for number, (name, moment, data, kind) in enumerate(told, start=1)
    ]


async def said(pool: Pool, store_id: str) -> list[Any]:
    """What stands of what was inferred, and every state without seqs and times of ours."""
    log = await read_log(pool, store_id)
    facts = sorted(
        (found.key, found.type, found.occurred_at, found.payload.model_dump_json())
        for found in standing(log)
        if found.inferred and found.type != "repair_order.snapshot_repeated"
    )
    states = [
        (
            key,
            state.status,
            state.stage,
            state.advisor,
            state.technician,
            state.team,
            state.vin,
            promised(state),
            state.settled_at,
            state.delivered_at,
            len(state.settlements),
            [each.at for each in state.handovers],
        )
        for (_, key), (_, state) in sorted((await read_states(pool, store_id)).items())
        if isinstance(state, RepairOrder)
    ]
    return [facts, states]


async def test_what_no_snapshot_shows_is_told_as_of_any_order(
    factory: Factory, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such facts are not compared with the snapshots, and cost no second read."""
    await post(factory, snapshot("10:00", opened_at=at("09:00"), technician="T1"))
    with monkeypatch.context() as patch:
        patch.delattr(EventLog, "read_subjects")
        await post(factory, event("repair_order.cleaned", "R1", at("11:00")))
    assert (await order_of(pool)).stage == "ready"
    await post(factory, event("repair_order.work_paused", "R1", at("10:30"), reason="sublet"))
    assert (await order_of(pool)).stage == "ready"
    assert await inferred(pool) == ["opened", "dispatched"]


async def test_names_and_cars_of_snapshots_are_resolved_like_those_of_events(
    factory: Factory, pool: Pool
) -> None:
    vin = "LSVAA4182E2100001"
    member = event("staff.registered", "A7", at("08:00"), name="员工7", aliases=["小七"])
    car = event("vehicle.registered", vin, at("08:00"), customer_no="C1")
    shown = snapshot("10:00", advisor="小七", technician="小八", vin=vin)
    assert await outcomes(factory, member, car, shown) == ["1", "2", "3"]
    order = await order_of(pool)
    assert (order.advisor or "")[:1] == (order.technician or "")[:1] == "~"
    logged = await pool.fetch("SELECT data::text FROM event")
    assert not any("小" in row["data"] for row in logged)
    row = await pool.fetchrow("SELECT customer_no FROM repair_order")
    assert row is not None
    assert row["customer_no"] == "C1"
    assert await outcomes(factory, shown | {"id": "again"}) == ["=3"]
    assert await inferred(pool) == ["opened", "dispatched"]
