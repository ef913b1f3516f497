"""Which states belong together: what an event needs, and what a reaction looks at."""

from collections.abc import Iterable
from typing import Final

from app.db.state_rows import SubjectKey
from app.domain.events.envelope import Kind, NewEvent
from app.domain.events.follow_up import FollowUpCompleted, FollowUpScheduled
from app.domain.events.payload import Payload
from app.domain.events.repair_order import (
    RepairOrderDelivered,
    RepairOrderLinked,
    RepairOrderOpened,
    RepairOrderSettled,
)
from app.domain.events.snapshot import RepairOrderSnapshot
from app.domain.links import on_file
from app.domain.reactions import planned_ids

_LEAVE: Final = (RepairOrderDelivered, RepairOrderSettled)
"""Events after which an order has calls to plan."""

_OWNED: Final = (RepairOrderOpened, RepairOrderLinked, RepairOrderSnapshot)
"""Events that say whose an order is, perhaps by its vehicle alone."""

_CALLS: Final = (FollowUpScheduled, FollowUpCompleted)
"""Events about a call that may name its order."""

_JOINED: Final = frozenset({*_LEAVE, *_OWNED, *_CALLS})
"""Events that may need more than their own subject."""


def _shows_departure(payload: Payload) -> bool:
    """Whether a snapshot shows that the car left the shop, or is about to."""
    return type(payload) is RepairOrderSnapshot and (
        payload.status in {"settled", "closed"}
        or payload.settled_at is not None
        or payload.handed_over_at is not None
    )


def subjects_of(events: Iterable[NewEvent]) -> set[SubjectKey]:
    """Name the subjects whose states events need; none for a retraction (its target's).

    What only a rare reaction looks at is read when it comes to that (`GroupStates.load_more`).
    """
    subjects: set[SubjectKey] = set()
    for event in events:
        if event.key:
            subjects.add((event.store_id, event.kind, event.key))
            payload = event.payload
            if type(payload) not in _JOINED:
                continue
            if isinstance(payload, _LEAVE) or _shows_departure(payload):
                ro_number = event.key
            elif isinstance(payload, _OWNED):
                if payload.customer_no is None and (vin := on_file(payload.vin)) is not None:
                    subjects.add((event.store_id, Kind.VEHICLE, vin))
                continue
            elif isinstance(payload, _CALLS) and payload.ro_number:
                ro_number = payload.ro_number
            else:
                continue
            subjects.update(
                (event.store_id, *other)
                for other in companions_of(event.store_id, Kind.REPAIR_ORDER, ro_number)
            )
    return subjects


def companions_of(store_id: str, kind: Kind, key: str) -> list[tuple[Kind, str]]:
    """Name the subjects whose states a reaction of this one looks at."""
    if kind is not Kind.REPAIR_ORDER:
        return [(kind, key)]
    planned = [(Kind.FOLLOW_UP, planned) for planned in planned_ids(store_id, key)]
    return [(kind, key), *planned]
