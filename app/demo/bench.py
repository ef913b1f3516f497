"""Events for measuring: clean lives of repair orders, many at a time, cheap to make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from app.demo.shop import ADVISORS, INSPECTORS, TEAMS, WORKS

OPEN_ORDERS: Final = 24
"""How many orders of a store are under way at the same time."""

_LONGEST: Final = timedelta(days=2)
_STEPS: Final = (
    "opened",
    "authorized",
    "dispatched",
    "work_started",
    "promise_changed",
    "work_completed",
    "inspected",
    "cleaned",
    "settled",
    "delivered",
)
_LIVES: Final = (
    _STEPS,
    tuple(step for step in _STEPS if step != "promise_changed"),
    tuple(step for step in _STEPS if step != "cleaned"),
    tuple(step for step in _STEPS if step not in {"promise_changed", "cleaned"}),
)


class _Order:
    """One order under way."""

    __slots__ = ("advisor", "life", "promised_at", "ro_number", "step", "team", "work_type")

    def __init__(self, ro_number: str, rng: Random) -> None:
        self.ro_number = ro_number
        self.life = rng.choice(_LIVES)
        self.step = 0
        self.advisor = rng.choice(ADVISORS)
        self.team = rng.choice(TEAMS)
        self.work_type = rng.choice(WORKS).work_type
        self.promised_at = ""


def bench_lifecycle(
    n_events: int,
    store_ids: Sequence[str],
    seed: int,
    *,
    until: datetime | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield lifecycle events in order of time, 8 to 10 per order, orders and stores interleaved.

    The last event happens at ``until`` (None: now), all of them within two days before it, no two
    at the same time. Identities depend on the seed: another run into the same store needs another.
    """
    rng = Random(seed)
    end = until or datetime.now(UTC)
    pause = min(timedelta(seconds=1), _LONGEST / max(1, n_events))
    begin = end - pause * n_events
    opened = [0] * len(store_ids)
    under_way: list[list[_Order]] = []
    for position, _ in enumerate(store_ids):
        under_way.append(
            [_Order(f"B{seed}-{position}-{number}", rng) for number in range(OPEN_ORDERS)]
        )
        opened[position] = OPEN_ORDERS
    for number in range(n_events):
        turn, position = divmod(number, len(store_ids))
        orders = under_way[position]
        slot = turn % OPEN_ORDERS
        order = orders[slot]
        moment = begin + pause * (number + 1)
        yield {
            "specversion": "1.0",
            "id": f"b{seed}-{number}",
            "source": "/dms/bench",
            "type": f"repair_order.{order.life[order.step]}",
            "store": store_ids[position],
            "subject": order.ro_number,
            "time": moment.isoformat(),
            "datacontenttype": "application/json",
            "data": _data(order, moment, number),
        }
        order.step += 1
        if order.step == len(order.life):
            orders[slot] = _Order(f"B{seed}-{position}-{opened[position]}", rng)
            opened[position] += 1


def _data(order: _Order, moment: datetime, number: int) -> dict[str, object]:
    technician = order.team.technicians[number % len(order.team.technicians)]
    data: dict[str, object] = {}
    match order.life[order.step]:
        case "opened":
            order.promised_at = (moment + timedelta(hours=4)).isoformat()
            data = {
                "customer_no": f"C{number % 5000:05d}",
                "vin": f"L0D00000000{number % 10**6:06d}",
                "plate": f"样A{number % 10**5:05d}",
                "odometer_km": 10000 + number % 90000,
                "contact": {"name": f"客户{number % 5000:04d}", "relation": "车主"},
                "work_type": order.work_type,
                "pay_type": "CUSTOMER_PAY",
                "advisor": order.advisor,
                "promised_at": order.promised_at,
                "estimate_amount": "880.00",
                "estimate_hours": "1.8",
                "concerns": ["定期保养"],
            }
        case "authorized":
            data = {"amount": "880.00"}
        case "dispatched":
            data = {"technician": technician, "team": order.team.name, "bay": "机电3"}
        case "work_started":
            data = {"technician": technician, "bay": "机电3"}
        case "promise_changed":
            data = {
                "promised_at": order.promised_at,
                "reason": "add_on",
                "confirmed_by_customer": True,
            }
        case "work_completed":
            data = {"technician": technician, "clocked_hours": "1.6"}
        case "inspected":
            data = {"level": 3, "inspector": INSPECTORS[number % 2], "passed": True}
        case "settled":
            data = {
                "amounts": {"labor": f"{200 + number % 300}.00", "parts": "480.50"},
                "costs": {"labor": "90.00", "parts": "350.00"},
                "jobs": [{"code": "10-01", "text": "更换机油机滤", "hours": "0.8"}],
                "billed_hours": "1.8",
                "clocked_hours": "1.6",
                "parts_requested": 2,
                "parts_filled": 2,
            }
        case "delivered":
            data = {"odometer_km": 10001 + number % 90000}
        case _:  # cleaned says nothing more
            pass
    return data
