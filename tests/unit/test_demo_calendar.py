"""When the shop of the demo joins, and when the service hears of what."""

from datetime import date, datetime, timedelta

import pytest

from app.demo.calendar import EVENING, ZONE, Calendar
from app.demo.life import arrivals
from app.demo.posting import Arrival


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


@pytest.mark.parametrize(
    ("now", "months", "month", "joins"),
    [
        ("2026-11-22 08:00", 6, "2026-10-01", "2026-09-30 23:30"),
        ("2026-11-22 08:00", 1, "2026-11-01", "2026-10-31 23:30"),  # more days of it are known
        ("2026-11-03 08:00", 1, "2026-10-01", "2026-10-03 08:00"),
        ("2026-01-15 08:00", 2, "2025-12-01", "2025-11-30 23:30"),
        ("2026-12-01 08:00", 1, "2026-11-01", "2026-11-01 08:00"),
    ],
)
def test_the_month_shown_and_the_day_of_joining(
    now: str, months: int, month: str, joins: str
) -> None:
    calendar = Calendar.of(at(now), months)
    assert calendar.month == date.fromisoformat(month)
    assert calendar.joins == at(joins)
    assert calendar.start <= calendar.joins < calendar.stop


def test_all_is_told_once_in_order_by_the_evening_and_never_before_it_arrived() -> None:
    calendar = Calendar.of(at("2026-11-22 08:00"), 1)
    life = list(arrivals(["SH01"], calendar.start, calendar.stop, 3, orders_per_day=12))
    live = [arrival for arrival in life if not calendar.is_history(arrival)]
    told = list(calendar.as_told(live))
    assert [arrival for _, batch in told for arrival in batch] == live
    moments = [moment for moment, _ in told]
    assert moments == sorted(moments)
    assert moments[-1] == calendar.stop
    for moment, batch in told:
        assert all(arrival.arrives_at <= moment for arrival in batch)
        local = moment.astimezone(ZONE)
        at_once = batch[-1].event.get("type") == "complaint.contacted"
        assert local.time() == EVENING or moment == calendar.stop or at_once
        assert moment - batch[0].arrives_at <= timedelta(days=1)


def test_what_has_a_deadline_within_the_day_is_told_at_once() -> None:
    calendar = Calendar.of(at("2026-11-22 08:00"), 1)

    def arrival(event_type: str, moment: str) -> Arrival:
        return Arrival(at(moment), {"type": event_type})

    life = [
        arrival("complaint.opened", "2026-11-10 09:00"),
        arrival("complaint.contacted", "2026-11-10 11:00"),
        arrival("complaint.resolved", "2026-11-10 23:40"),
    ]
    assert list(calendar.as_told(life)) == [
        (at("2026-11-10 11:00"), life[:2]),
        (at("2026-11-11 23:30"), life[2:]),
    ]
