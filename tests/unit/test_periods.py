"""Local days and periods."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.periods import (
    Period,
    PeriodUnit,
    add_months,
    day_bounds,
    end_of_day,
    local_day,
    period_of,
    periods_between,
    start_of_day,
    widened,
    year_before,
)

ZONES = [
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/Santiago",  # midnight is skipped
    "America/Havana",  # the hour after midnight comes twice
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Apia",
]
CALENDAR = [unit for unit in PeriodUnit if unit is not PeriodUnit.RANGE]
days = st.dates(date(1990, 1, 1), date(2090, 12, 31))


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Shanghai", date(2025, 3, 30), 24),
        ("Europe/Berlin", date(2025, 3, 30), 23),
        ("Europe/Berlin", date(2025, 10, 26), 25),
        ("America/Santiago", date(2025, 9, 7), 23),
        ("America/Santiago", date(2025, 4, 5), 25),
        ("America/Havana", date(2025, 11, 2), 25),
    ],
)
def test_j10_day_bounds_are_local_midnights(zone: str, day: date, hours: int) -> None:
    start, end = day_bounds(day, ZoneInfo(zone))
    assert end - start == timedelta(hours=hours)


@pytest.mark.parametrize("zone", ZONES)
@given(day=days)
def test_j10_a_day_is_what_carries_its_date(zone: str, day: date) -> None:
    place = ZoneInfo(zone)
    start, end = day_bounds(day, place)
    instant = timedelta(microseconds=1)
    assert local_day(start - instant, place) < day
    assert local_day(start, place) >= day  # later where a zone skipped the whole day
    assert local_day(end - instant, place) <= day or start == end
    assert local_day(end, place) > day


def test_h2_a_day_ends_at_its_last_second() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert end_of_day(date(2025, 10, 26), berlin) == datetime(2025, 10, 26, 22, 59, 59, tzinfo=UTC)
    assert start_of_day(date(2025, 3, 30), berlin) == datetime(2025, 3, 29, 23, tzinfo=UTC)


def test_i5_month_ends_are_clipped() -> None:
    assert add_months(date(2024, 1, 31), 1) == date(2024, 2, 29)
    assert add_months(date(2024, 2, 29), -12) == date(2023, 2, 28)
    assert add_months(date(2024, 12, 31), 2) == date(2025, 2, 28)
    assert add_months(date(2024, 3, 31), -13) == date(2023, 2, 28)


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        ("day", date(2026, 8, 20), date(2026, 8, 21)),
        ("week", date(2026, 8, 17), date(2026, 8, 24)),
        ("month", date(2026, 8, 1), date(2026, 9, 1)),
        ("quarter", date(2026, 7, 1), date(2026, 10, 1)),
        ("year", date(2026, 1, 1), date(2027, 1, 1)),
    ],
)
def test_j5_periods_are_those_of_the_calendar(unit: str, start: date, end: date) -> None:
    assert period_of(date(2026, 8, 20), PeriodUnit(unit)) == Period(start, end)


def test_a_range_is_told_by_both_its_ends() -> None:
    with pytest.raises(ValueError, match="both its ends"):
        period_of(date(2026, 8, 20), PeriodUnit.RANGE)
    start, end = date(2026, 8, 20), date(2026, 8, 23)
    assert list(periods_between(start, end, PeriodUnit.RANGE)) == [Period(start, end)]
    assert widened(start, end, PeriodUnit.RANGE) == Period(start, end)


@given(day=days, length=st.integers(1, 900), unit=st.sampled_from(CALENDAR))
def test_j1_what_was_asked_for_is_widened_to_whole_periods(
    day: date, length: int, unit: PeriodUnit
) -> None:
    end = day + timedelta(length)
    periods = list(periods_between(day, end, unit))
    assert day in periods[0]
    assert end - timedelta(1) in periods[-1]
    assert periods[-1].start < end
    for one, following in pairwise(periods):
        assert one.end == following.start
    assert widened(day, end, unit) == Period(periods[0].start, periods[-1].end)


def test_j1_nothing_lies_between_the_same_day_and_itself() -> None:
    day = date(2026, 1, 1)
    assert list(periods_between(day, day, PeriodUnit.DAY)) == []
    with pytest.raises(ValueError, match="no day"):
        widened(day, day, PeriodUnit.MONTH)


def test_g5_growth_compares_the_leap_day_with_28_february() -> None:
    leap = period_of(date(2028, 2, 29), PeriodUnit.DAY)
    assert year_before(leap) == Period(date(2027, 2, 28), date(2027, 3, 1))
    month = period_of(date(2028, 2, 10), PeriodUnit.MONTH)
    assert year_before(month) == Period(date(2027, 2, 1), date(2027, 3, 1))
    year = period_of(date(2028, 2, 10), PeriodUnit.YEAR)
    assert year_before(year) == Period(date(2027, 1, 1), date(2028, 1, 1))
