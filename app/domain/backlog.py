"""The backlog of a store in quarantine: when it grows unusually, and when it has settled.

It grows when a burst of items could not be taken, or when one has waited for too long. It has
settled when neither is so any more and much of what waited has been dealt with: the bounds are
apart, so that a backlog at the edge doesn't raise one alarm after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.domain.events.backlog import (
    QuarantineGrowing,
    QuarantineSettled,
    Sign,
    WaitingForReason,
    WaitingFromSource,
)
from app.domain.events.envelope import Event
from app.domain.subject import Subject

BURST: Final = 20
"""From how many new items on a burst is one."""

BURST_SHARE: Final = 0.01
"""Of what was received in the same time, more than this must be new in quarantine."""

WINDOW: Final = timedelta(hours=1)
"""What is new: received in the clock hour that was under way so long ago, or since."""

OLD_AFTER: Final = timedelta(hours=24)
"""For how long an item may wait."""

CALM: Final = 10
"""Below how many new items there is no burst any more."""

SETTLED_SHARE: Final = 0.5
"""What may be left waiting of what waited when the alarm was raised."""


class Backlog(Subject, kw_only=True, omit_defaults=True):
    """The state of a store's backlog, from what the service itself wrote about it.

    Attributes:
        growing_since: When the alarm was raised; None while there is none.
        waiting: How many waited then.
    """

    store_id: str
    growing_since: datetime | None = None
    waiting: int = 0
    growing_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """How full a quarantine is.

    Attributes:
        waiting: Items that wait.
        new: Of these, received within the window.
        received: Everything received within the window, whatever became of it.
        oldest_received_at: Of those that wait; None where nothing does.
    """

    waiting: int
    new: int
    received: int
    oldest_received_at: datetime | None


def evolve(backlog: Backlog, event: Event) -> Backlog:
    """Apply the next event, in seq order, to the draft and hand it back."""
    match event.payload:
        case QuarantineGrowing(waiting=waiting):
            backlog.growing_since = event.occurred_at
            backlog.waiting = waiting
            backlog.growing_seq = event.seq
        case QuarantineSettled():
            backlog.growing_since = None
            backlog.waiting = 0
            backlog.growing_seq = None
        case _:
            raise TypeError(f"{event.type} is no event of a backlog")
    return backlog


def sign_of(level: Level, now: datetime) -> Sign | None:
    """Tell by what a backlog is seen to grow unusually; None if it does not."""
    if level.new >= BURST and level.new > BURST_SHARE * max(level.received, level.new):
        return "burst"
    if level.oldest_received_at is not None and now - level.oldest_received_at > OLD_AFTER:
        return "age"
    return None


def has_settled(level: Level, waited: int, now: datetime) -> bool:
    """Tell whether a backlog over which an alarm was raised is one no more.

    Args:
        level: Of the quarantine.
        waited: How many items waited when the alarm was raised.
        now: The service's time.
    """
    return (
        sign_of(level, now) is None
        and level.new < CALM
        and level.waiting <= SETTLED_SHARE * waited
    )


def old_at(oldest_received_at: datetime) -> datetime:
    """The first moment at which an item that still waits has waited for too long."""
    return oldest_received_at + OLD_AFTER + timedelta(microseconds=1)


def growing(
    level: Level,
    sign: Sign,
    *,
    by_reason: Sequence[tuple[str, int]],
    by_source: Sequence[tuple[str | None, int]],
    now: datetime,
) -> QuarantineGrowing:
    """Say that a backlog grows.

    Args:
        level: Of the quarantine.
        sign: By what it is seen.
        by_reason: Items that wait by reason, most first.
        by_source: Items that wait by source, None where none could be read, most first.
        now: The service's time.
    """
    return QuarantineGrowing(
        sign=sign,
        waiting=level.waiting,
        new=level.new,
        oldest_received_at=level.oldest_received_at or now,
        by_reason=[WaitingForReason(reason=reason, count=count) for reason, count in by_reason],
        by_source=[WaitingFromSource(source=source, count=count) for source, count in by_source],
    )
