"""Snapshots as the rules of inference see them, and what those rules hand out."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from heapq import merge
from typing import Any

import msgspec

from app.domain.events.envelope import Event
from app.domain.events.payload import Payload
from app.domain.events.snapshot import RepairOrderSnapshot


class Seen(msgspec.Struct, frozen=True):
    """The order as a whole at one moment.

    Attributes:
        event: What says so: the snapshot, or the word that it was so again.
        data: What was to be seen.
    """

    event: Event
    data: RepairOrderSnapshot

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


def walk(told: Iterable[Event], seen: Iterable[Seen]) -> Iterator[Event | Seen]:
    """Walk told facts and snapshots, each in order of time, in the order of both."""
    return merge(told, seen, key=_order)


def _order(item: Event | Seen) -> tuple[datetime, int]:
    event = item.event if isinstance(item, Seen) else item
    return event.occurred_at, event.seq


def run_of(seen: Sequence[Seen], name: str) -> tuple[Any, Seen] | None:
    """The value of a field in the last snapshot that carries it, and since when it was that.

    Returns:
        None where no snapshot carries it.
    """
    found: tuple[Any, Seen] | None = None
    for item in seen:
        value = getattr(item.data, name)
        if value is not None and (found is None or found[0] != value):
            found = value, item
    return found


def later(first: Event, *others: Event) -> Event:
    """The last of events in order of time."""
    return max((first, *others), key=lambda event: (event.occurred_at, event.seq))


def same_minute(one: datetime | None, other: datetime | None) -> bool:
    """Whether both are there and of the same minute."""
    if one is None or other is None:
        return False
    return one.replace(second=0, microsecond=0) == other.replace(second=0, microsecond=0)
