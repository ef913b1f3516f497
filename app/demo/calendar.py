"""The days of the demo: when the shop begins, when it joins the service, what is told when."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Self
from zoneinfo import ZoneInfo

from app.demo.life import DEFAULT_ZONE, months_before
from app.demo.posting import Arrival

ZONE: Final = ZoneInfo(DEFAULT_ZONE)

EVENING: Final = time(23, 30)
"""When the events of a day are told; later than that, a call would be due before it is told."""

AT_ONCE: Final = frozenset({"complaint.contacted"})
"""What can't wait for the evening: its deadline may lie within the day."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days of the demo.

    Attributes:
        start: When the life of the shop begins.
        joins: From when on the shop lives with the service; what was before is filled in.
        stop: Now.
        month: First day of the month that is shown: the last full one, or this one if more days
            of it are known.
    """

    start: datetime
    joins: datetime
    stop: datetime
    month: date

    @classmethod
    def of(cls, now: datetime, months: int) -> Self:
        """Plan a demo of some months up to now; it joins on the evening before the month."""
        start = months_before(now, months)
        today, born = now.astimezone(ZONE).date(), start.astimezone(ZONE).date()
        this = today.replace(day=1)
        last = (this - _DAY).replace(day=1)
        month = last if born <= last or this - born > today - this else this
        joins = datetime.combine(month - _DAY, EVENING, ZONE).astimezone(UTC)
        return cls(start, max(start, joins), now, month)

    @property
    def month_end(self) -> date:
        """The day after the month."""
        return (self.month + 31 * _DAY).replace(day=1)

    def is_history(self, arrival: Arrival) -> bool:
        """Tell whether something arrived before the shop joined."""
        return arrival.arrives_at <= self.joins

    def as_told(self, arrivals: Iterable[Arrival]) -> Iterator[tuple[datetime, list[Arrival]]]:
        """Cut what arrives, in order, into what the service hears at a time, and when that is."""
        told: list[Arrival] = []
        evening = self.stop
        for arrival in arrivals:
            next_evening = self._evening_of(arrival.arrives_at)
            if told and next_evening != evening:
                yield evening, told
                told = []
            evening = next_evening
            told.append(arrival)
            if arrival.event.get("type") in AT_ONCE:
                yield arrival.arrives_at, told
                told = []
        if told:
            yield evening, told

    def _evening_of(self, moment: datetime) -> datetime:
        local = moment.astimezone(ZONE)
        evening = datetime.combine(local.date(), EVENING, ZONE)
        if local > evening:
            evening += _DAY
        return min(evening.astimezone(UTC), self.stop)
