"""The events that hold what snapshots imply: which are missing in the log, which are to go."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from app.domain.events.catalog import CATALOG
from app.domain.events.compose import make_event
from app.domain.events.envelope import INFERRED_SOURCE, Event, NewEvent
from app.domain.events.payload import Payload
from app.domain.events.retraction import EventRetracted
from app.domain.events.snapshot import RepairOrderSnapshot, RepairOrderSnapshotRepeated
from app.domain.fold import standing
from app.domain.ids import own_event_id
from app.domain.inference import bears_on_snapshots, infer
from app.domain.seen import Inferred
from app.domain.sightings import Sighting

RETRACTED: Final = "repair_order.snapshot no longer implies it"
"""Why the service takes back what it inferred."""

_NO_SECRET: Final = b""
_SNAPSHOTS: Final = (RepairOrderSnapshot, RepairOrderSnapshotRepeated)


class Changes(msgspec.Struct, frozen=True):
    """What makes the log say what snapshots imply, and nothing else.

    Attributes:
        gone: Events that were inferred and are implied no longer.
        missing: Facts that are implied and not yet in the log.
    """

    gone: Sequence[Event]
    missing: Sequence[Inferred]


def changes(events: Iterable[Event]) -> Changes:
    """Compare what the snapshots of an order imply with what stands of it in the log.

    Facts of one instant apply by seq. So what is inferred must come after what was told of the
    same instant and could be inferred, and in the order of an order's life; what would not is
    written anew.

    Args:
        events: All events of one order, retractions included, in any order.
    """
    stand = standing(events)
    left: dict[tuple[object, ...], list[Event]] = defaultdict(list)
    told: dict[object, int] = {}
    for event in stand:
        if event.inferred and type(event.payload) is not RepairOrderSnapshotRepeated:
            data = _written(event.type, event.payload)
            left[event.type, event.occurred_at, data, event.causation_id].append(event)
        elif bears_on_snapshots([event]) and type(event.payload) not in _SNAPSHOTS:
            told[event.occurred_at] = event.seq
    missing: list[Inferred] = []
    at, after, is_new = None, 0, False
    for fact in infer(stand):
        if fact.occurred_at != at:
            at, is_new = fact.occurred_at, False
            after = told.get(at, 0)
        same = left[fact.type, at, _written(fact.type, fact.payload), fact.evidence.id]
        fitting = (
            event
            for event in same
            if event.seq > after and event.correlation_id in {None, fact.evidence.source}
        )
        found = None if is_new else next(fitting, None)
        if found is None:
            missing.append(fact)
            is_new = True
        else:
            same.remove(found)
            after = found.seq
    gone = [event for same in left.values() for event in same]
    return Changes(sorted(gone, key=lambda event: event.seq), missing)


def shows_the_same(one: Event, other: Event) -> bool:
    """Whether two snapshots show the same, but for what lies beside the log.

    Then the later one implies nothing that the earlier one of its source does not.
    """
    return _written(one.type, one.payload) == _written(other.type, other.payload)


def _written(event_type: str, payload: Payload) -> bytes:
    return CATALOG[event_type].forms[-1].write(payload)


def inferred_events(events: Sequence[Event]) -> list[NewEvent]:
    """Make the events that are missing, retractions first; none if all is so already.

    Args:
        events: All events of one order, retractions included, in the order of their seqs; the last
            one causes what is made here.
    """
    wanted, cause = changes(events), events[-1]
    taken_back = [
        _made(
            cause,
            "event.retracted",
            event.id,
            cause.occurred_at,
            EventRetracted(source=event.source, id=event.id, reason=RETRACTED),
            evidence=cause,
        )
        for event in wanted.gone
    ]
    return taken_back + [
        _made(cause, fact.type, str(number), fact.occurred_at, fact.payload, fact.evidence)
        for number, fact in enumerate(wanted.missing)
    ]


def _made(
    cause: Event,
    event_type: str,
    which: str,
    occurred_at: datetime,
    payload: Payload,
    evidence: Event,
) -> NewEvent:
    """Make one; the same cause gives the same id (H16)."""
    event = make_event(
        store_id=cause.store_id,
        source=INFERRED_SOURCE,
        event_id=own_event_id(cause.subject, f"{event_type}/{which}", cause.seq),
        event_type=event_type,
        subject=cause.subject,
        occurred_at=occurred_at,
        payload=payload,
        secret=_NO_SECRET,
        correlation_id=evidence.source,
        causation_id=evidence.id,
    )
    event.key = cause.key
    return event


def repeated_event(order: NewEvent, sighting: Sighting, *, at: datetime, seq: int) -> NewEvent:
    """Make the word that a snapshot was so again.

    Args:
        order: A snapshot of the same order.
        sighting: What was so again.
        at: When.
        seq: That the event will get.
    """
    return make_event(
        store_id=order.store_id,
        source=INFERRED_SOURCE,
        event_id=own_event_id(order.subject, "repair_order.snapshot_repeated", seq),
        event_type="repair_order.snapshot_repeated",
        subject=order.subject,
        occurred_at=at,
        payload=RepairOrderSnapshotRepeated(source=sighting.source, id=sighting.id),
        secret=_NO_SECRET,
        correlation_id=sighting.source,
        causation_id=sighting.id,
    )
