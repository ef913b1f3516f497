"""The usual rhythm of feeds: when a silence becomes unusual, and when it does not."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.feed import Silence
from app.domain.rhythm import (
    UNLIKELY,
    Rhythm,
    expected_by,
    hour_of,
    rhythm_of,
    unusual_from,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
KOLKATA = ZoneInfo("Asia/Kolkata")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def local(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def history(
    until: datetime, weeks: float, comes: Callable[[datetime], bool], zone: ZoneInfo = SHANGHAI
) -> list[datetime]:
    """Every minute-0 of an hour at which a feed came, up to `until`, by its local time."""
    hour = hour_of(until - timedelta(weeks=weeks))
    hours = []
    while hour <= until:
        if comes(hour.astimezone(zone)):
            hours.append(hour)
        hour += HOUR
    return hours


def learnt(
    hours: Iterable[datetime],
    last: datetime,
    *,
    zone: ZoneInfo = SHANGHAI,
    silences: Iterable[Silence] = (),
) -> Rhythm | None:
    active = {hour_of(hour) for hour in hours}
    return rhythm_of(
        active,
        first_seen_at=min(active),
        last_seen_at=last,
        silences=silences,
        zone=zone,
    )


def falls_silent(
    hours: Iterable[datetime], last: datetime, zone: ZoneInfo = SHANGHAI
) -> str | None:
    """When the silence after `last` is unusual, in local words."""
    rhythm = learnt(hours, last, zone=zone)
    assert rhythm is not None
    moment = unusual_from(rhythm, last, zone)
    return None if moment is None else f"{moment.astimezone(zone):%a %d %H:%M}"


def in_shop_hours(at: datetime) -> bool:
    """From 8 to 18, with a break at noon, not on Sundays."""
    return at.weekday() < 6 and 8 <= at.hour < 18 and at.hour != 12


@pytest.mark.parametrize(
    ("last", "silent"),
    [
        # dies on a Monday at 10: noticed in a few hours
        ("2026-06-08T09:58", "Mon 08 12:00"),
        # before lunch: lunch is no sign
        ("2026-06-08T11:50", "Mon 08 15:00"),
        # the last event of Saturday: not before Monday, not at night nor on Sunday
        ("2026-06-06T17:50", "Mon 08 10:00"),
    ],
)
def test_a_live_feed_is_missed_within_hours_in_which_it_usually_comes(
    last: str, silent: str
) -> None:
    moment = local(last)
    assert falls_silent(history(moment, 9, in_shop_hours), moment) == silent


def test_a_nightly_feed_is_missed_after_two_nights() -> None:
    last = local("2026-06-03T02:10")
    hours = history(last, 9, lambda at: at.hour == 2)
    assert falls_silent(hours, last) == "Fri 05 03:00"


def test_a_nightly_feed_that_comes_now_before_and_now_after_the_hour_is_missed_by_the_day() -> (
    None
):
    last = local("2026-06-03T02:10")
    hours = history(last, 9, lambda at: at.hour == 1 + at.day % 2)
    assert falls_silent(hours, last) == "Sat 06 00:00"


def test_a_feed_that_polls_every_quarter_of_an_hour_is_missed_after_two_hours() -> None:
    last = local("2026-06-03T23:45")
    hours = history(last, 9, lambda _: True)
    assert falls_silent(hours, last) == "Thu 04 02:00"


def test_a_weekly_feed_is_missed_after_two_weeks() -> None:
    last = local("2026-06-01T07:30")
    hours = history(last, 9, lambda at: at.weekday() == 0 and at.hour == 7)
    assert falls_silent(hours, last) == "Mon 15 08:00"


def test_the_younger_a_feed_the_more_patience_it_meets() -> None:
    last = local("2026-06-03T09:50")
    spans = [
        falls_silent(history(last, weeks, in_shop_hours), last) for weeks in (1.01, 2, 3, 4, 8)
    ]
    assert spans == [
        "Wed 03 15:00",
        "Wed 03 14:00",
        "Wed 03 14:00",
        "Wed 03 12:00",
        "Wed 03 12:00",
    ]


def test_a_feed_that_is_new_or_comes_now_and_then_has_no_rhythm() -> None:
    last = local("2026-06-03T09:50")
    assert learnt(history(last, 0.9, in_shop_hours), last) is None
    imports = [last - timedelta(weeks=6), last - timedelta(weeks=2), last]
    assert learnt(imports, last) is None


def test_a_burst_is_an_hour_like_any_other() -> None:
    last = local("2026-06-08T09:58")
    hours = history(last, 9, in_shop_hours)
    night = [local("2026-05-24T03:00"), local("2026-05-24T04:00")]
    assert falls_silent([*hours, *night], last) == falls_silent(hours, last)


def test_a_silence_that_was_noticed_teaches_nothing() -> None:
    """After a week off, the feed is as regular as before."""
    last = local("2026-06-08T09:58")
    off = Silence(local("2026-05-24T18:00"), local("2026-06-01T08:00"))
    hours = [
        hour for hour in history(last, 9, in_shop_hours) if not off.touches(hour, hour + HOUR)
    ]
    without = learnt(hours, last)
    with_silence = learnt(hours, last, silences=[off])
    assert without is not None
    assert with_silence is not None
    monday_at_nine = (0, 9)
    assert without.hours[monday_at_nine] < with_silence.hours[monday_at_nine]
    assert with_silence.hours[monday_at_nine] == pytest.approx(8.5 / 9, abs=0.01)


@pytest.mark.parametrize(
    ("zone", "last", "silent"),
    [
        # summer time began on 29 March: 8 o'clock is 8 o'clock on both sides
        (BERLIN, "2026-03-30T08:50", "Mon 30 11:00"),
        # and ended on 25 October
        (BERLIN, "2026-10-26T08:50", "Mon 26 11:00"),
        # half an hour off: hours are those of UTC, told by where they begin
        (KOLKATA, "2026-06-08T09:58", "Mon 08 12:30"),
    ],
)
def test_hours_are_those_of_the_store(zone: ZoneInfo, last: str, silent: str) -> None:
    moment = local(last, zone)
    hours = history(moment, 9, in_shop_hours, zone)
    assert falls_silent(hours, moment, zone) == silent


def test_by_when_something_is_expected() -> None:
    last = local("2026-06-06T17:50")
    rhythm = learnt(history(last, 9, in_shop_hours), last)
    assert rhythm is not None
    assert expected_by(rhythm, last, SHANGHAI) == local("2026-06-08T09:00")
    only_days = Rhythm(weeks=8, hours={}, days={2: 0.9})
    assert expected_by(only_days, last, SHANGHAI) == local("2026-06-11T00:00")
    assert expected_by(Rhythm(weeks=8, hours={}, days={}), last, SHANGHAI) is None
    assert expected_by(Rhythm(weeks=8, hours={(0, 9): 0.9}, days={}), last, SHANGHAI) == local(
        "2026-06-08T10:00"
    )


chances = st.floats(min_value=0.5, max_value=0.95)
slots = st.tuples(st.integers(0, 6), st.integers(0, 23))


@given(
    hours=st.dictionaries(slots, chances, max_size=60),
    days=st.dictionaries(st.integers(0, 6), chances, max_size=7),
    minute=st.integers(0, 20_000),
    later=st.integers(0, 20_000),
)
def test_the_later_a_feed_was_heard_of_the_later_it_is_missed(
    hours: dict[tuple[int, int], float], days: dict[int, float], minute: int, later: int
) -> None:
    """So a moment that was worked out before the last event is never too late to look."""
    rhythm = Rhythm(weeks=8, hours=hours, days=days)
    since = local("2026-06-01T00:00") + timedelta(minutes=minute)
    first = unusual_from(rhythm, since, SHANGHAI)
    second = unusual_from(rhythm, since + timedelta(minutes=later), SHANGHAI)
    assert first is None or first > since
    if first is not None and second is not None:
        assert first <= second


@given(hours=st.dictionaries(slots, chances, min_size=1, max_size=60))
def test_the_chance_of_a_silence_is_what_the_bound_says(
    hours: dict[tuple[int, int], float],
) -> None:
    rhythm = Rhythm(weeks=8, hours=hours, days={})
    since = local("2026-06-01T00:00")
    moment = unusual_from(rhythm, since, SHANGHAI)
    if moment is None:
        return
    chance = 1.0
    hour = since
    while hour < moment:
        assert chance > UNLIKELY
        at = hour.astimezone(SHANGHAI)
        chance *= 1 - hours.get((at.weekday(), at.hour), 0.0)
        hour += HOUR
    assert chance <= UNLIKELY + 1e-9
