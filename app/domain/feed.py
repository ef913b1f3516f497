"""A feed: whether its source is silent, and when it was before."""

from datetime import datetime
from typing import Final

import msgspec

from app.domain.events.envelope import Event
from app.domain.events.feed import FeedResumed, FeedSilent
from app.domain.subject import Subject

KEPT_SILENCES: Final = 200
"""How many past silences a state remembers; the log has them all."""


class Silence(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A stretch of time in which nothing came from a source that usually sends.

    Attributes:
        start: When the source was last heard of.
        end: When it was heard of again; None while it is silent.
    """

    start: datetime
    end: datetime | None = None

    def touches(self, start: datetime, end: datetime) -> bool:
        """Whether it shares more than a boundary with the time from `start` to `end`."""
        return self.start < end and (self.end is None or self.end > start)


class Feed(Subject, kw_only=True, omit_defaults=True):
    """The state of a feed, from what the service itself wrote about it.

    Attributes:
        silent_from: When its source was last heard of; None while it is not silent.
        silences: Those that are over, in order; the last `KEPT_SILENCES`.
    """

    source: str
    silent_from: datetime | None = None
    silent_seq: int | None = None
    silences: list[Silence] = msgspec.field(default_factory=list)

    @property
    def all_silences(self) -> list[Silence]:
        """Those that are over and the one that is not, in order."""
        if self.silent_from is None:
            return self.silences
        return [*self.silences, Silence(self.silent_from)]


def evolve(feed: Feed, event: Event) -> Feed:
    """Apply the next event, in seq order, to the draft and hand it back."""
    match event.payload:
        case FeedSilent(last_seen_at=last_seen_at):
            feed.silent_from = last_seen_at
            feed.silent_seq = event.seq
        case FeedResumed(silent_from=start, resumed_at=end):
            feed.silent_from = None
            feed.silent_seq = None
            feed.silences = [*feed.silences, Silence(start, end)][-KEPT_SILENCES:]
        case _:
            raise TypeError(f"{event.type} is no event of a feed")
    return feed
