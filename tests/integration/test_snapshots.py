"""Snapshots of repair orders in the log: what they imply, repeats, late ones, retracted ones."""

from datetime import datetime
from typing import Any

from app.db.engine import Pool
from app.domain.events.envelope import Event, Kind
from app.domain.fold import standing
from app.domain.ids import follow_up_id
from app.domain.inferred import changes
from app.domain.repair_order import RepairOrder
from app.factory import Factory
from tests.support.facts import event
from tests.support.histories import CloudEvent
from tests.support.logs import check_store, read_states
from tests.support.posting import outcomes

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
