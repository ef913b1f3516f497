"""What goes wrong on the way from a made-up shop: repeats, and events that can't be taken."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from random import Random
from typing import Any, Final

from app.demo.posting import Arrival
from app.demo.shop import happens

REPEATED_SHARE: Final = 0.006
"""How many events arrive a second time."""


def repeated(rng: Random, arrivals: Sequence[Arrival]) -> Iterator[Arrival]:
    """Send some events again, byte for byte, a while after they arrived."""
    for arrival in arrivals:
        if happens(rng, REPEATED_SHARE):
            later = arrival.arrives_at + timedelta(minutes=rng.uniform(1, 120))
            outcome = "duplicate" if arrival.outcome == "accepted" else arrival.outcome
            yield Arrival(later, arrival.event, outcome)


def broken(
    rng: Random, store_id: str, day: date, arrivals: Sequence[Arrival]
) -> Iterator[Arrival]:
    """Send two events a day that can't be accepted; every reason has its turn in four days."""
    accepted = [
        arrival
        for arrival in arrivals
        if arrival.outcome == "accepted" and arrival.event["type"] == "repair_order.opened"
    ]
    reasons = sorted(_FAULTS)
    for turn in range(2):
        victim = rng.choice(accepted)
        reason = reasons[(day.toordinal() * 2 + turn) % len(reasons)]
        event = copy.deepcopy(victim.event)
        event["id"] = f"broken-{store_id}-{day}-{turn}"
        _FAULTS[reason](event, victim.event, rng)
        yield Arrival(victim.arrives_at + timedelta(minutes=rng.uniform(1, 9)), event, reason)


def _unknown_type(event: dict[str, Any], _: dict[str, Any], rng: Random) -> None:
    event["type"] = rng.choice(("repair_order.washed", "RepairOrderOpened", "workorder.created"))


def _unknown_store(event: dict[str, Any], _: dict[str, Any], rng: Random) -> None:
    event["store"] = rng.choice(("XX99", "TEST"))


def _invalid_data(event: dict[str, Any], _: dict[str, Any], rng: Random) -> None:
    fault: Callable[[dict[str, Any]], object] = rng.choice(
        (
            lambda data: data.pop("advisor"),
            lambda data: data.update(promised_at="2026-13-01 25:00"),
            lambda data: data.update(odometer_km=-1),
            lambda data: data.update(work_type=None),
        )
    )
    fault(event["data"])


def _missing_attribute(event: dict[str, Any], _: dict[str, Any], rng: Random) -> None:
    del event[rng.choice(("subject", "type", "source"))]


def _time_in_future(event: dict[str, Any], _: dict[str, Any], rng: Random) -> None:
    event["time"] = f"21{rng.randrange(10, 90)}-01-01T08:00:00+08:00"


def _identity_conflict(event: dict[str, Any], original: dict[str, Any], rng: Random) -> None:
    event["id"] = original["id"]
    event["data"]["estimate_amount"] = str(rng.randrange(20000, 30000))


def _unsupported_version(event: dict[str, Any], _: dict[str, Any], rng: Random) -> None:
    if happens(rng, 0.5):
        event["specversion"] = "0.3"
    else:
        event["dataschema"] = "https://dms.example/schemas/repair_order.opened/v9"


def _retraction_target_unknown(event: dict[str, Any], _: dict[str, Any], rng: Random) -> None:
    event["type"] = "event.retracted"
    event["data"] = {
        "source": event["source"],
        "id": f"never-sent-{rng.randrange(10**6)}",
        "reason": "录入错误",
    }


_FAULTS: Final[dict[str, Callable[[dict[str, Any], dict[str, Any], Random], None]]] = {
    "identity-conflict": _identity_conflict,
    "invalid-data": _invalid_data,
    "missing-attribute": _missing_attribute,
    "retraction-target-unknown": _retraction_target_unknown,
    "time-in-future": _time_in_future,
    "unknown-store": _unknown_store,
    "unknown-type": _unknown_type,
    "unsupported-version": _unsupported_version,
}
