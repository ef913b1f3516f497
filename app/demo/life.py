"""The life of a made-up shop, as the systems of the shop would post it.

Every day is a pure function of (seed, store, day), whatever the span asked for: who asks for the
same shop a day later gets the same events (duplicates to the service) and those of one more day.
Memory stays flat: only what is still under way (about five weeks of calls to come) is held.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from app.demo import noise
from app.demo.order import OrderLife
from app.demo.posting import Arrival, Desk
from app.demo.shop import CUSTOMERS, TEAMS, customer, happens, roster

DEFAULT_ZONE: Final = "Asia/Shanghai"
ORDERS_PER_DAY: Final = 42
_SATURDAY, _SUNDAY = 5, 6
_DAY = timedelta(days=1)


def store_codes(count: int) -> list[str]:
    """Name the stores of a demo: SH01, SH02 ..."""
    return [f"SH{number:02d}" for number in range(1, count + 1)]


def months_before(now: datetime, months: int) -> datetime:
    """Go back whole months from a moment; the day is clipped to the end of a shorter month."""
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    month += 1
    last = (date(year + month // 12, month % 12 + 1, 1) - _DAY).day
    return now.replace(year=year, month=month, day=min(now.day, last))


def events(
    store_ids: Sequence[str],
    start: datetime,
    stop: datetime,
    seed: int,
    *,
    zone: str = DEFAULT_ZONE,
    orders_per_day: int = ORDERS_PER_DAY,
) -> Iterator[dict[str, Any]]:
    """Yield the CloudEvents of some shops in order of arrival, noise included.

    Lazy, and the same for the same arguments. Days are whole: it begins at the midnight before
    ``start``. Nothing that arrives after ``stop`` is yielded.
    """
    for arrival in arrivals(
        store_ids, start, stop, seed, zone=zone, orders_per_day=orders_per_day
    ):
        yield arrival.event


def arrivals(
    store_ids: Sequence[str],
    start: datetime,
    stop: datetime,
    seed: int,
    *,
    zone: str = DEFAULT_ZONE,
    orders_per_day: int = ORDERS_PER_DAY,
) -> Iterator[Arrival]:
    """Yield the same events, each with the moment of its arrival and the outcome to expect."""
    shops = [
        _Shop(store_id, start, stop, seed, zone=zone, orders_per_day=orders_per_day).life()
        for store_id in store_ids
    ]
    yield from heapq.merge(*shops, key=lambda arrival: arrival.arrives_at)


@dataclass(frozen=True, slots=True)
class _Shop:
    store_id: str
    start: datetime
    stop: datetime
    seed: int
    zone: str
    orders_per_day: int

    def life(self) -> Iterator[Arrival]:
        """Yield what arrives, in order."""
        zone = ZoneInfo(self.zone)
        under_way: list[tuple[datetime, int, Arrival]] = []
        numbers = itertools.count()
        known: set[int] = set()
        for arrival in self._roster(zone):
            heapq.heappush(under_way, (arrival.arrives_at, next(numbers), arrival))
        day = self.start.astimezone(zone).date()
        last = self.stop.astimezone(zone).date()
        while day <= last:
            for arrival in self._day(day, zone, known):
                heapq.heappush(under_way, (arrival.arrives_at, next(numbers), arrival))
            day += _DAY
            closed = datetime.combine(day, time(), zone).astimezone(UTC)
            while under_way and under_way[0][0] < closed:
                arrival = heapq.heappop(under_way)[2]
                if arrival.arrives_at <= self.stop:
                    yield arrival

    def _roster(self, zone: ZoneInfo) -> list[Arrival]:
        desk = Desk(self.store_id, "staff", Random(self.store_id), zone)
        hired_at = datetime(2020, 1, 2, 9, tzinfo=zone)
        first_day = datetime.combine(self.start.astimezone(zone).date(), time(), zone)
        for person in roster():
            data: dict[str, object] = {"name": person.name, "roles": list(person.roles)}
            if person.team is not None:
                data["team"] = person.team
            desk.post(
                "staff.registered",
                person.staff_no,
                hired_at,
                data,
                source="/hr/roster",
                arrives_at=first_day,
            )
        return desk.sent

    def _day(self, day: date, zone: ZoneInfo, known: set[int]) -> Iterator[Arrival]:
        """Yield all that begins on a day, its calls and comebacks of later weeks included."""
        rng = Random(f"{self.seed}/{self.store_id}/{day}")
        outage = _outage(rng, day, zone)
        todays: list[Arrival] = []
        for serial in range(1, _orders_of(rng, day, self.orders_per_day) + 1):
            opened_at = _opening(rng, day, zone)
            number = rng.randrange(1, CUSTOMERS + 1)
            ro_number = f"RO{day:%y%m%d}{serial:03d}"
            if number not in known:
                known.add(number)
                yield from self._introduce(number, opened_at, zone)
            order_rng = Random(f"{self.seed}/{self.store_id}/{ro_number}")
            desk = Desk(self.store_id, ro_number, order_rng, zone, outage)
            life = OrderLife(desk, order_rng, customer(self.store_id, number), ro_number)
            life.live(opened_at)
            todays += desk.sent
        todays += self._timecards(rng, day, zone)
        yield from todays
        yield from noise.repeated(rng, todays)
        yield from noise.broken(rng, self.store_id, day, todays)

    def _introduce(self, number: int, opened_at: datetime, zone: ZoneInfo) -> list[Arrival]:
        """Send the customer's file before the first order; the facts in it are older."""
        who = customer(self.store_id, number)
        desk = Desk(self.store_id, who.customer_no, Random(number), zone)
        registered_at = datetime.combine(who.bought_on, time(10), zone)
        desk.post(
            "customer.registered",
            who.customer_no,
            registered_at,
            {
                "kind": who.kind,
                "name": who.name,
                "phones": [who.phone],
                "preferred_contact": {"channel": "phone", "from": "09:00", "to": "20:00"},
                "consent": {"calls": number % 50 != 0, "messages": number % 9 != 0},
            },
            arrives_at=opened_at - timedelta(minutes=4),
        )
        desk.post(
            "vehicle.registered",
            who.vin,
            registered_at,
            {
                "customer_no": who.customer_no,
                "plate": who.plate,
                "engine_no": who.engine_no,
                "brand": "样车",
                "model": who.model,
                "model_year": who.model_year,
                "sold_here": who.sold_here,
                "purchased_on": who.bought_on.isoformat(),
                "interval_km": 10000,
                "interval_months": 12,
            },
            arrives_at=opened_at - timedelta(minutes=3),
        )
        return desk.sent

    def _timecards(self, rng: Random, day: date, zone: ZoneInfo) -> list[Arrival]:
        desk = Desk(self.store_id, f"timecard-{day}", rng, zone)
        closes_at = datetime.combine(day, time(18), zone)
        for team in TEAMS:
            for technician in team.technicians:
                if not happens(rng, 0.45 if day.weekday() == _SUNDAY else 0.9):
                    continue
                attended = rng.choice((8, 8, 8, 7.5, 9))
                card: dict[str, object] = {
                    "work_date": day.isoformat(),
                    "attended_hours": str(attended),
                    "clocked_hours": f"{attended * rng.gauss(0.86, 0.06):.1f}",
                    "team": team.name,
                }
                if happens(rng, 0.01):
                    del card["clocked_hours"]
                stamped_at = closes_at + timedelta(seconds=rng.randrange(2700))
                source = "/hr/attendance"
                desk.post("staff.timecard_recorded", technician, stamped_at, card, source=source)
                if happens(rng, 0.01):
                    corrected = {**card, "attended_hours": "8", "clocked_hours": "7.2"}
                    later = stamped_at + timedelta(hours=15)
                    kind = "staff.timecard_recorded"
                    desk.post(kind, technician, later, corrected, source=source)
        return desk.sent


def _orders_of(rng: Random, day: date, usual: int) -> int:
    busy: Mapping[int, float] = {_SATURDAY: 1.2, _SUNDAY: 0.45}
    return max(1, round(rng.gauss(usual * busy.get(day.weekday(), 1.0), usual * 0.08)))


def _opening(rng: Random, day: date, zone: ZoneInfo) -> datetime:
    """Pick when a car comes in: most in the morning, none after five."""
    minutes = round(rng.triangular(0, 540, 90))
    opens_at = datetime.combine(day, time(8), zone)
    return opens_at + timedelta(minutes=minutes, seconds=rng.randrange(60))


def _outage(rng: Random, day: date, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
    """Once in a while the line to the shop is down for some hours."""
    if not happens(rng, 0.03):
        return None
    begins = datetime.combine(day, time(rng.randrange(9, 14), 10), zone)
    return begins, begins + timedelta(minutes=rng.randrange(60, 300))
