"""When a feed is to be looked at, and what is said about it then.

The moment at which a feed falls silent follows from when it was last heard of. It moves away with
every event, so it is not kept up with each of them: a feed is looked at again when the moment
that was true at the last look has come.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from app.domain.events.envelope import DESK_SOURCE, OWN_SOURCE
from app.domain.events.feed import FeedResumed, FeedSilent, ResumeReason
from app.domain.rhythm import HORIZON, LEAST_HISTORY, Rhythm, expected_by, unusual_from

LATE_AFTER: Final = timedelta(hours=24)
"""An event that was recorded later than this after it happened came late."""

LOOK_AGAIN: Final = timedelta(days=1)
"""When a feed without a rhythm is looked at again."""

LAG_BOUNDS: Final = (
    *(10, 60, 300, 900, 3_600, 14_400, 86_400),
    *(259_200, 604_800, 2_592_000, 31_536_000),
)
"""Upper ends, in seconds, of the classes in which lags are counted; the last class has none."""

LAG_CLASSES: Final = len(LAG_BOUNDS) + 1


@dataclass(frozen=True, slots=True)
class FeedRule:
    """What somebody set for a feed, in place of its usual rhythm.

    Attributes:
        silent_after: A fixed span without anything; None: the usual rhythm tells.
        muted: No alarm at all.
    """

    silent_after: timedelta | None = None
    muted: bool = False


@dataclass(frozen=True, slots=True)
class FeedView:
    """What is known of a feed when it is looked at; all UTC.

    Attributes:
        resumed_at: When it was heard of first after its silence was noticed, if it was.
        silent_from: When it was last heard of before its silence; None while it is not silent.
        rhythm: None where there is none (yet).
    """

    source: str
    first_seen_at: datetime
    last_seen_at: datetime
    resumed_at: datetime | None
    silent_from: datetime | None
    rule: FeedRule
    rhythm: Rhythm | None


@dataclass(frozen=True, slots=True)
class Look:
    """What came of a look.

    Attributes:
        look_at: When to look again, if nothing is received before; None: not before then.
        said: What is to be written; None: nothing new.
    """

    look_at: datetime | None
    said: FeedSilent | FeedResumed | None = None


def is_feed(source: str) -> bool:
    """Whether a source is one that is watched: not the service itself, but its desk."""
    return source == DESK_SOURCE or not (
        source == OWN_SOURCE or source.startswith(f"{OWN_SOURCE}/")
    )


def lag_class(seconds: float) -> int:
    """The class in which a lag is counted; one below zero is none."""
    return bisect_right(LAG_BOUNDS, seconds)


def lag_quantile(counts: Sequence[int], share: float, most: int) -> int | None:
    """Estimate the lag, in whole seconds, that a share of the events did not exceed.

    Args:
        counts: Events by class of lag.
        share: Such as 0.5 for the median.
        most: The longest lag of all, in seconds.

    Returns:
        Read off within the class as if its events were spread evenly; None without events.
    """
    total = sum(counts)
    if not total:
        return None
    wanted = share * total
    below = 0
    for position, count in enumerate(counts):
        if count and below + count >= wanted:
            start = LAG_BOUNDS[position - 1] if position else 0
            end = LAG_BOUNDS[position] if position < len(LAG_BOUNDS) else most
            return min(most, round(start + (end - start) * (wanted - below) / count))
        below += count
    return most


def look(view: FeedView, *, now: datetime, watched_from: datetime, zone: ZoneInfo) -> Look:
    """Decide what is to be said about a feed, and when to look again.

    Args:
        view: Of the feed.
        now: The service's time.
        watched_from: Since when somebody watches without a break: of the time before it nobody
            knows whether the feed, or the service, was away.
        zone: Of the store.
    """
    if view.silent_from is not None:
        return _look_at_silent(view, view.silent_from, now=now, zone=zone)
    if view.rule.muted:
        return Look(None)
    since = max(view.last_seen_at, watched_from)
    silent_at = _silent_at(view, since, zone)
    if silent_at is None:
        return Look(_again(view, now))
    if silent_at > now:
        return Look(silent_at)
    fixed = view.rule.silent_after
    return Look(
        None,
        FeedSilent(
            source=view.source,
            last_seen_at=view.last_seen_at,
            since=silent_at,
            expected=silent_at
            if fixed is not None or view.rhythm is None
            else expected_by(view.rhythm, view.last_seen_at, zone),
            silent_after_minutes=None if fixed is None else int(fixed.total_seconds() // 60),
        ),
    )


def silent_at(view: FeedView, *, watched_from: datetime, zone: ZoneInfo) -> datetime | None:
    """Tell when a feed will be taken for silent if nothing comes; None: never."""
    if view.rule.muted or view.silent_from is not None:
        return None
    return _silent_at(view, max(view.last_seen_at, watched_from), zone)


def _look_at_silent(
    view: FeedView, silent_from: datetime, *, now: datetime, zone: ZoneInfo
) -> Look:
    """Say that a silence is over, if it is; by a changed rule it may never have been one."""
    silent_at = _silent_at(view, view.last_seen_at, zone)
    look_at = None if view.rule.muted else silent_at or _again(view, now)
    if view.last_seen_at > silent_from:
        heard_at = view.resumed_at or view.last_seen_at
        return Look(look_at, _resumed(view, silent_from, heard_at, "seen"))
    if view.rule.muted:
        return Look(None, _resumed(view, silent_from, now, "muted"))
    if silent_at is None or silent_at > now:
        return Look(look_at, _resumed(view, silent_from, now, "rule"))
    return Look(None)


def _resumed(
    view: FeedView, silent_from: datetime, at: datetime, reason: ResumeReason
) -> FeedResumed:
    return FeedResumed(source=view.source, silent_from=silent_from, resumed_at=at, reason=reason)


def _silent_at(view: FeedView, since: datetime, zone: ZoneInfo) -> datetime | None:
    """By the fixed rule, else by the rhythm; what people enter at the desk has none."""
    if view.rule.silent_after is not None:
        return since + view.rule.silent_after
    if view.rhythm is None or view.source == DESK_SOURCE:
        return None
    return unusual_from(view.rhythm, since, zone)


def _again(view: FeedView, now: datetime) -> datetime:
    """When to look again at a feed that has no moment at which it falls silent."""
    if view.rhythm is not None:
        return now + HORIZON
    return max(view.first_seen_at + LEAST_HISTORY, now + LOOK_AGAIN)
