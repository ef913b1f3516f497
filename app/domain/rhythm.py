"""The usual rhythm of a feed, and how long a silence may last before it is unusual.

Looked at are the hours in which something was received, whatever it was and however much: a burst
(two years imported in an hour) is one hour like any other. An hour of the week is usual if it was
active in at least half of the weeks; a silence is unusual when that many usual hours passed in it
that the chance of it is `UNLIKELY` or less. The same is asked of whole days, for feeds that come
once a day, but not always in the same hour. So what is never active (nights, lunch, Sundays)
raises nothing.

Everything is counted in hours of UTC, each known by the local weekday and hour in which it begins;
so in a zone that is half an hour off, too, and across the changes of summer time.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from app.domain.feed import Silence
from app.domain.periods import local_day, start_of_day

RHYTHM_WEEKS: Final = 8
"""How far back the usual rhythm is looked for, from the last time that the feed was heard of."""

LEAST_HISTORY: Final = timedelta(days=7)
"""A feed that is not known for longer has no rhythm yet, and raises no alarm."""

LEAST_ACTIVE_DAYS: Final = 5
"""Nor has one that was active on fewer days: files that somebody imports now and then."""

USUAL: Final = 0.5
"""From which chance on an hour, or a day, is one in which the feed is usually active."""

UNLIKELY: Final = 0.01
"""How unlikely a silence must be under the usual rhythm to be worth an alarm."""

HORIZON: Final = timedelta(weeks=RHYTHM_WEEKS)
"""How far ahead of the last event an alarm is looked for."""

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)

Slot = TypeVar("Slot")

type_slot = tuple[int, int]
"""(weekday, hour) in the store's zone; Monday is 0."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a feed is usually active.

    Attributes:
        weeks: Whole weeks that it was learnt from.
        hours: Chance that something comes in an hour of the week; only usual ones.
        days: Chance that something comes on a weekday; only usual ones.
    """

    weeks: int
    hours: Mapping[type_slot, float]
    days: Mapping[int, float]


def hour_of(instant: datetime) -> datetime:
    """The hour of UTC that an instant, in UTC, lies in, by its beginning."""
    return instant.replace(minute=0, second=0, microsecond=0)


def rhythm_of(
    active: Collection[datetime],
    *,
    first_seen_at: datetime,
    last_seen_at: datetime,
    silences: Iterable[Silence],
    zone: ZoneInfo,
) -> Rhythm | None:
    """Learn the rhythm of a feed from the weeks before it was last heard of.

    Args:
        active: Hours (of UTC) in which something was received; those before the weeks that count
            may be among them.
        first_seen_at: When the feed was first heard of, UTC.
        last_seen_at: When it was last heard of, UTC.
        silences: Known ones; what they touch teaches nothing.
        zone: Of the store.

    Returns:
        None while the feed is too young, or was never regular enough to have one.
    """
    if last_seen_at - first_seen_at < LEAST_HISTORY:
        return None
    last = hour_of(last_seen_at)
    start = max(hour_of(first_seen_at), last - HORIZON)
    past = [silence for silence in silences if silence.touches(start, last + _HOUR)]
    counted = {hour for hour in active if start <= hour <= last}
    days = {local_day(hour, zone) for hour in counted}
    if len(days) < LEAST_ACTIVE_DAYS:
        return None
    seen: Counter[type_slot] = Counter()
    busy: Counter[type_slot] = Counter()
    hour = start
    while hour <= last:
        if not any(silence.touches(hour, hour + _HOUR) for silence in past):
            slot = _slot(hour, zone)
            seen[slot] += 1
            busy[slot] += hour in counted
        hour += _HOUR
    return Rhythm(
        weeks=min(RHYTHM_WEEKS, (last_seen_at - first_seen_at) // timedelta(weeks=1)),
        hours=_usual(seen, busy),
        days=_usual_days(days, start, last, past, zone),
    )


def unusual_from(rhythm: Rhythm, since: datetime, zone: ZoneInfo) -> datetime | None:
    """Find the moment at which a silence that began at `since` becomes unusual.

    It is the end of a usual hour or day; None where none within the horizon makes it so.
    """
    ends = [_unusual_hour(rhythm, since, zone), _unusual_day(rhythm, since, zone)]
    return min((end for end in ends if end is not None), default=None)


def expected_by(rhythm: Rhythm, since: datetime, zone: ZoneInfo) -> datetime | None:
    """Find the end of the first usual hour, or else day, after `since`: by then it had come."""
    hour = _next_hour(since)
    if rhythm.hours:
        while hour < since + HORIZON:
            if _slot(hour, zone) in rhythm.hours:
                return hour + _HOUR
            hour += _HOUR
    day = local_day(since, zone) + _DAY
    for ahead in range(7):
        found = day + timedelta(days=ahead)
        if found.weekday() in rhythm.days:
            return start_of_day(found + _DAY, zone)
    return None


def _unusual_hour(rhythm: Rhythm, since: datetime, zone: ZoneInfo) -> datetime | None:
    chance = 1.0
    hour = _next_hour(since)
    while rhythm.hours and hour < since + HORIZON:
        chance *= 1 - rhythm.hours.get(_slot(hour, zone), 0.0)
        hour += _HOUR
        if _is_unlikely(chance):
            return hour
    return None


def _unusual_day(rhythm: Rhythm, since: datetime, zone: ZoneInfo) -> datetime | None:
    chance = 1.0
    first = local_day(since, zone) + _DAY
    for ahead in range(HORIZON.days):
        day = first + timedelta(days=ahead)
        chance *= 1 - rhythm.days.get(day.weekday(), 0.0)
        if _is_unlikely(chance):
            return start_of_day(day + _DAY, zone)
    return None


def _is_unlikely(chance: float) -> bool:
    """Compare without the last digits, in which a product of fractions is never exact."""
    return round(chance, 9) <= UNLIKELY


def _usual_days(
    active: Collection[date],
    start: datetime,
    last: datetime,
    silences: Collection[Silence],
    zone: ZoneInfo,
) -> Mapping[int, float]:
    """The chances of weekdays, from those that were seen from beginning to end, and the last."""
    seen: Counter[int] = Counter()
    busy: Counter[int] = Counter()
    day = local_day(start, zone)
    while day <= local_day(last, zone):
        begins, ends = start_of_day(day, zone), start_of_day(day + _DAY, zone)
        if day in active or (
            begins >= start and not any(silence.touches(begins, ends) for silence in silences)
        ):
            seen[day.weekday()] += 1
            busy[day.weekday()] += day in active
        day += _DAY
    return _usual(seen, busy)


def _usual(seen: Mapping[Slot, int], busy: Mapping[Slot, int]) -> dict[Slot, float]:
    """Estimate chances, p = (active + 0.5) / (seen + 1), and keep the usual ones."""
    chances = {slot: (busy[slot] + 0.5) / (count + 1) for slot, count in seen.items()}
    return {slot: chance for slot, chance in chances.items() if busy[slot] and chance >= USUAL}


def _next_hour(since: datetime) -> datetime:
    """The beginning of the first whole hour after an instant."""
    hour = hour_of(since)
    return hour if hour == since else hour + _HOUR


@lru_cache(maxsize=8192)  # the weeks of feeds in one zone are the same hours
def _slot(hour: datetime, zone: ZoneInfo) -> type_slot:
    local = hour.astimezone(zone)
    return local.weekday(), local.hour
