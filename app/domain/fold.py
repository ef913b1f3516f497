"""From the events of one subject to its state.

Facts are applied in the order in which they happened (occurred_at, seq); what the service wrote
about windows and clocks is applied in seq order (H16). How the two are mixed makes no difference.
What was retracted never happened.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from app.domain import (
    backlog,
    complaint,
    customer,
    feed,
    follow_up,
    repair_order_course,
    staff,
    vehicle,
)
from app.domain.backlog import Backlog
from app.domain.complaint import Complaint
from app.domain.customer import Customer
from app.domain.events.envelope import Event, Kind
from app.domain.events.retraction import EventRetracted
from app.domain.events.snapshot import RepairOrderSnapshotRepeated
from app.domain.feed import Feed
from app.domain.follow_up import FollowUp
from app.domain.repair_order import RepairOrder
from app.domain.staff import Staff, Timecard
from app.domain.vehicle import Vehicle

State: TypeAlias = (
    RepairOrder | FollowUp | Complaint | Customer | Vehicle | Staff | Timecard | Feed | Backlog
)

STATE_TYPES: Final[Mapping[Kind, type[State]]] = {
    Kind.REPAIR_ORDER: RepairOrder,
    Kind.FOLLOW_UP: FollowUp,
    Kind.COMPLAINT: Complaint,
    Kind.CUSTOMER: Customer,
    Kind.VEHICLE: Vehicle,
    Kind.STAFF: Staff,
    Kind.TIMECARD: Timecard,
    Kind.FEED: Feed,
    Kind.BACKLOG: Backlog,
}
"""The state that is kept for each kind, for `app.domain.subject.decode`."""


def new_state(kind: Kind, key: str) -> State:
    """The state of a subject that nothing is known of."""
    return _NEW[kind](key)


def evolve(state: State, event: Event) -> State:
    """Apply an event of the subject to the draft and hand it back.

    Facts must come in order (see `is_in_order`); retractions never come here, see `fold`.
    """
    return _EVOLVE[type(state)](state, event)


def is_service_event(event: Event) -> bool:
    """Whether it applies in seq order, whenever it comes; all others are facts."""
    match event.kind:
        case Kind.FOLLOW_UP:
            return follow_up.is_service_event(event)
        case Kind.COMPLAINT:
            return complaint.is_service_event(event)
        case Kind.FEED | Kind.BACKLOG:
            return True
        case _:
            return False


def is_in_order(state: State, event: Event) -> bool:
    """Whether the state can simply evolve; else its subject is to be folded again.

    A retraction is never in order.
    """
    if isinstance(event.payload, EventRetracted):
        return False
    return state.follows(event.occurred_at, event.seq) or is_service_event(event)


def standing(events: Iterable[Event]) -> list[Event]:
    """The events of a subject that were not retracted, without the retractions, by seq.

    With a snapshot goes every word that it was so again.
    """
    events = list(events)
    gone = retracted(events)
    stand = [
        event
        for event in events
        if not isinstance(event.payload, EventRetracted)
        and (event.source, event.id) not in gone
        and _repeats(event) not in gone
    ]
    stand.sort(key=_seq)
    return stand


def _repeats(event: Event) -> tuple[str, str] | None:
    """The snapshot that is said to be so again: gone with it."""
    payload = event.payload
    # `isinstance` would ask pydantic's metaclass, in Python, for every event
    if type(payload) is RepairOrderSnapshotRepeated:
        return payload.source, payload.id
    return None


def retracted(events: Iterable[Event]) -> set[tuple[str, str]]:
    """The identities (source, id) that the retractions among the events of a subject take back.

    A retraction that is itself retracted never happened (A2); it works from its seq, its time
    plays no part (A3).
    """
    retractions = [event for event in events if isinstance(event.payload, EventRetracted)]
    gone: set[tuple[str, str]] = set()
    for event in sorted(retractions, key=_seq, reverse=True):
        if (event.source, event.id) not in gone and isinstance(event.payload, EventRetracted):
            gone.add((event.payload.source, event.payload.id))
    return gone


def fold(kind: Kind, key: str, events: Iterable[Event]) -> State | None:
    """The state of a subject from all its events, in whatever order they are given.

    Args:
        kind: What the subject is.
        key: Its state key.
        events: All of them, the retractions that aim at them included.

    Returns:
        None if no event stands. Of a complaint a fact must stand: what the service wrote about its
        clock is nothing without it.
    """
    own: list[Event] = []
    facts: list[Event] = []
    for event in standing(events):
        (own if is_service_event(event) else facts).append(event)
    if not facts and (not own or kind is Kind.COMPLAINT):
        return None
    facts.sort(key=_order)
    state = new_state(kind, key)
    for event in facts:
        state = evolve(state, event)
    for event in own:
        state = evolve(state, event)
    return state


def _seq(event: Event) -> int:
    return event.seq


def _order(event: Event) -> tuple[Any, int]:
    return event.occurred_at, event.seq


_NEW: Final[Mapping[Kind, Callable[[str], State]]] = {
    Kind.REPAIR_ORDER: lambda key: RepairOrder(ro_number=key),
    Kind.FOLLOW_UP: lambda key: FollowUp(follow_up_id=key),
    Kind.COMPLAINT: lambda key: Complaint(complaint_id=key),
    Kind.CUSTOMER: lambda key: Customer(customer_no=key),
    Kind.VEHICLE: lambda key: Vehicle(vin=key),
    Kind.STAFF: lambda key: Staff(staff_no=key),
    Kind.TIMECARD: lambda key: Timecard(key=key),
    Kind.FEED: lambda key: Feed(source=key),
    Kind.BACKLOG: lambda key: Backlog(store_id=key),
}
_EVOLVE: Final[Mapping[type, Callable[[Any, Event], State]]] = {
    RepairOrder: repair_order_course.evolve,
    FollowUp: follow_up.evolve,
    Complaint: complaint.evolve,
    Customer: customer.evolve,
    Vehicle: vehicle.evolve,
    Staff: staff.evolve_staff,
    Timecard: staff.evolve_timecard,
    Feed: feed.evolve,
    Backlog: backlog.evolve,
}
