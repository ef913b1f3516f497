"""Local days and the periods that figures are given for.

A day is a local date of the store. It begins at the first instant that carries the date and ends
where the next one begins, be it 23, 24 or 25 hours later (J10). Periods are half open: `start` is
in, `end` is not (J1).
"""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)
_MONTHS_IN_YEAR: Final = 12
_MONTHS_IN_QUARTER: Final = 3


class PeriodUnit(StrEnum):
    """How long a period is; `range` is one period of exactly from..to."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    RANGE = "range"


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """Local days from `start`, included, to `end`, excluded."""

    start: date
    end: date

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end


def local_day(instant: datetime, zone: ZoneInfo) -> date:
    """The store's date at an aware instant."""
    return instant.astimezone(zone).date()


@lru_cache(maxsize=4096)  # the days of a batch are few
def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local day, UTC.

    Where midnight is skipped that is the end of the gap, where it comes twice the first one:
    both is what `fold=0` means.
    """
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The last whole second of a local day, UTC: 23:59:59 (H2)."""
    return start_of_day(day + _DAY, zone) - _SECOND


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """First instant of a local day and first instant after it, UTC."""
    return start_of_day(day, zone), start_of_day(day + _DAY, zone)


def add_months(day: date, months: int) -> date:
    """The same day of another month, clipped to its last day (I5)."""
    year, month = divmod(day.year * _MONTHS_IN_YEAR + day.month - 1 + months, _MONTHS_IN_YEAR)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last))


def period_of(day: date, unit: PeriodUnit) -> Period:
    """The period of that length that holds the day: calendar ones, weeks begin on Monday (J5).

    Raises:
        ValueError: for `range`, which no single day tells.
    """
    match unit:
        case PeriodUnit.DAY:
            return Period(day, day + _DAY)
        case PeriodUnit.WEEK:
            monday = day - timedelta(days=day.weekday())
            return Period(monday, monday + timedelta(days=7))
        case PeriodUnit.MONTH:
            return _months(day.replace(day=1), 1)
        case PeriodUnit.QUARTER:
            first = (day.month - 1) // _MONTHS_IN_QUARTER * _MONTHS_IN_QUARTER + 1
            return _months(date(day.year, first, 1), _MONTHS_IN_QUARTER)
        case PeriodUnit.YEAR:
            return _months(date(day.year, 1, 1), _MONTHS_IN_YEAR)
        case _:
            raise ValueError("a range is told by both its ends")


def periods_between(start: date, end: date, unit: PeriodUnit) -> Iterator[Period]:
    """The whole periods that touch the days from `start` to before `end`, ascending (J1).

    None where `end` is not after `start`.
    """
    if end <= start:
        return
    if unit is PeriodUnit.RANGE:
        yield Period(start, end)
        return
    period = period_of(start, unit)
    while period.start < end:
        yield period
        period = period_of(period.end, unit)


def widened(start: date, end: date, unit: PeriodUnit) -> Period:
    """The days asked for, widened to whole periods (J1).

    Raises:
        ValueError: `end` is not after `start`.
    """
    if end <= start:
        raise ValueError("no day lies between the two")
    if unit is PeriodUnit.RANGE:
        return Period(start, end)
    return Period(period_of(start, unit).start, period_of(end - _DAY, unit).end)


def year_before(period: Period) -> Period:
    """The same period last year: same dates, 29 February against 28 February (G5)."""
    start = add_months(period.start, -_MONTHS_IN_YEAR)
    if period.end == period.start + _DAY:
        return Period(start, start + _DAY)
    return Period(start, add_months(period.end, -_MONTHS_IN_YEAR))


def _months(first: date, months: int) -> Period:
    return Period(first, add_months(first, months))
