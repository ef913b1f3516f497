"""What the times of an order say about each other, and about now.

A snapshot dates the facts that follow from it: a slip of the pen in a sheet must not bring a fact
of the year 2170 into the log, where no event may come from the future either.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from app.domain.errors import Fault
from app.domain.events.payload import Payload
from app.domain.events.repair_order import RepairOrderOpened
from app.domain.events.snapshot import RepairOrderSnapshot

_PAST: Final = (
    "opened_at",
    "promise_changed_at",
    "authorized_at",
    "dispatched_at",
    "work_started_at",
    "work_completed_at",
    "settled_at",
    "handed_over_at",
    "cancelled_at",
)
"""What a snapshot tells the time of: facts, so none that is still to come."""

_ENDS: Final = ("settled_at", "delivered_at", "handed_over_at")
_ENDED: Final = (
    "The time lies before the opening: what was promised then came after the delivery, and does "
    "not count. Check both times."
)


def times_to_come(payload: Payload, latest: datetime) -> Sequence[Fault]:
    """Return the facts of a snapshot that would happen later than `latest`."""
    # `isinstance` would ask pydantic's metaclass, in Python, for every event
    if type(payload) is not RepairOrderSnapshot:
        return ()
    times = ((name, getattr(payload, name)) for name in _PAST)
    return [
        Fault(f"/data/{name}", "time-in-future", "The time is in the future.")
        for name, at in times
        if at is not None and at > latest
    ]


def odd_times(payload: Payload, occurred_at: datetime) -> tuple[Fault, ...]:
    """Return the warnings that something of an order lies before it was opened.

    Args:
        payload: Of any event.
        occurred_at: The time of the event.
    """
    if type(payload) is RepairOrderOpened:
        return _odd_promise(payload.promised_at, occurred_at)
    if type(payload) is not RepairOrderSnapshot or (opened_at := payload.opened_at) is None:
        return ()
    ends = ((name, getattr(payload, name)) for name in _ENDS)
    return (
        *_odd_promise(payload.promised_at, opened_at),
        *(
            Fault(f"/data/{name}", "ended-before-opened", _ENDED)
            for name, at in ends
            if at is not None and at < opened_at
        ),
    )


def _odd_promise(promised_at: datetime | None, opened_at: datetime) -> tuple[Fault, ...]:
    if promised_at is None or promised_at >= opened_at:
        return ()
    detail = "The promised time lies before the opening, so the order is late from the start."
    return (Fault("/data/promised_at", "promised-before-opened", detail),)
