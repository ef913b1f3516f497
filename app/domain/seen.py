"""Snapshots as the rules of inference see them, and what those rules hand out."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import merge
from typing import Any

import msgspec

from app.domain.events.envelope import Event
from app.domain.events.payload import Payload
from app.domain.events.snapshot import RepairOrderSnapshot, RepairOrderSnapshotRepeated


class Seen(msgspec.Struct, frozen=True):
    """The order as a whole at one moment.

    Attributes:
        event: What says so: the snapshot, or the word that it was so again.
        data: What was to be seen.
        news: What of it the same source showed otherwise, or not at all, before. The rest is no
            word about anything that happened in between; so a snapshot that shows the same again
            can be left out without a difference.
        status: What the source says of the paper, in this snapshot or last.
    """

    event: Event
    data: RepairOrderSnapshot
    news: Mapping[str, Any]
    status: str | None

    @property
    def at(self) -> datetime:
        """When the order was so."""
        return self.event.occurred_at


class Inferred(msgspec.Struct, frozen=True):
    """A fact that nobody told, read out of snapshots.

    Attributes:
        type: Of the event.
        occurred_at: When it happened, as far as is to be seen.
        payload: What it says; nothing personal.
        evidence: The snapshot with which it came to be known.
    """

    type: str
    occurred_at: datetime
    payload: Payload
    evidence: Event


def sightings_of(facts: Iterable[Event]) -> list[Seen]:
    """See the snapshots among the facts of an order, each with what is new of it.

    Args:
        facts: In order of time.
    """
    facts = list(facts)
    # the word that one was so again may be of an earlier time than the snapshot itself
    snapshots = {
        (event.source, event.id): event.payload
        for event in facts
        if type(event.payload) is RepairOrderSnapshot
    }
    known: dict[str, dict[str, Any]] = defaultdict(dict)
    seen = []
    for event in facts:
        payload = event.payload
        if type(payload) is RepairOrderSnapshotRepeated:
            source, data = payload.source, snapshots[payload.source, payload.id]
        elif type(payload) is RepairOrderSnapshot:
            source, data = event.source, payload
        else:
            continue
        shown = known[source]
        carried = {name: value for name, value in data if value is not None}
        news = {name: value for name, value in carried.items() if shown.get(name) != value}
        shown |= carried
        seen.append(Seen(event, data, news, shown.get("status")))
    return seen


def walk(told: Iterable[Event], seen: Iterable[Seen]) -> Iterator[Event | Seen]:
    """Walk told facts and snapshots, each in order of time, in the order of both."""
    return merge(told, seen, key=_order)


def _order(item: Event | Seen) -> tuple[datetime, int]:
    event = item.event if isinstance(item, Seen) else item
    return event.occurred_at, event.seq


def run_of(seen: Sequence[Seen], name: str) -> tuple[Any, Seen] | None:
    """The last value that a field got, and the first snapshot that shows it.

    Returns:
        None where no snapshot carries the field.
    """
    for item in reversed(seen):
        if name in item.news:
            return item.news[name], item
    return None


def later(first: Event, *others: Event) -> Event:
    """The last of events in order of time."""
    return max((first, *others), key=lambda event: (event.occurred_at, event.seq))


def same_minute(one: datetime | None, other: datetime | None) -> bool:
    """Whether both are there and of the same minute."""
    if one is None or other is None:
        return False
    return one.replace(second=0, microsecond=0) == other.replace(second=0, microsecond=0)
