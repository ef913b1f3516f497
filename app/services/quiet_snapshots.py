"""Snapshots that tell nothing new, though personal or unknown fields of them differ.

An export with a field that changes each time, every few minutes for months, would have all of its
snapshots of an order read and folded again for each one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from app.db.event_log import EventLog
from app.db.state_rows import SubjectKey
from app.domain.events.envelope import Event, Kind
from app.domain.inference import tells_snapshots
from app.domain.inferred import shows_the_same
from app.domain.sightings import Sighting, in_force

MANY: Final = 20
"""Snapshots of an order from which on it pays to look whether one more says anything new."""


async def find_quiet(
    log: EventLog,
    store_id: str,
    touched: Mapping[tuple[Kind, str], Sequence[Event]],
    sightings_of: Callable[[SubjectKey], Sequence[Sighting]],
    entered: Iterable[Event],
) -> set[SubjectKey]:
    """Find orders of which one more snapshot changes nothing that is inferred.

    Args:
        log: To read what the source showed last.
        store_id: Of all subjects.
        touched: The events of an append, by subject.
        sightings_of: Gives the snapshots of an order that stand, without those events.
        entered: Events of this group, which the log doesn't have yet.
    """
    shown: dict[tuple[Kind, str], int] = {}
    for subject, events in touched.items():
        sightings = sightings_of((store_id, *subject))
        event, *others = events
        if len(sightings) < MANY or others or not tells_snapshots(events):
            continue
        last = in_force(sightings, event.source, event.occurred_at)
        if last is not None:
            shown[subject] = last.seq
    if not shown:
        return set()
    known = {event.seq: event for event in entered}
    missing = [seq for seq in shown.values() if seq not in known]
    known |= {event.seq: event for event in await log.read_seqs(store_id, missing)}
    return {
        (store_id, *subject)
        for subject, seq in shown.items()
        if shows_the_same(known[seq], touched[subject][0])
    }
