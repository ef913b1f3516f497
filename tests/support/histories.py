"""Histories of a shop that nobody would want to have: late, out of order, corrected, taken back.

``random_history(Random(7))`` makes one from a seed, ``histories()`` is the Hypothesis strategy for
them; both run the same code. Every event is valid by design/events.md; what goes wrong is what a
shop and its systems do wrong. All times of events differ, so that ties play no part (B1).

A history is told in units: events that arrive in one request and share their recorded time.

Left out on purpose, because the fine print leaves them open: a call before every handover of an
order that has no settlement, a call by staff for which somebody else's plan took the place of
ours, a cancelled plan of somebody else for an order, a complaint that was opened twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

CloudEvent = dict[str, Any]
Says = Callable[..., None]
T = TypeVar("T")

FOLLOW_UP_NAMESPACE = uuid5(NAMESPACE_URL, "urn:servicelane:follow-up")

# Zones with trouble at different hours, and a day on which they change their clocks (or none).
ZONES: tuple[tuple[str, date], ...] = (
    ("Asia/Shanghai", date(2025, 3, 1)),
    ("Europe/Berlin", date(2025, 3, 30)),
    ("Europe/Berlin", date(2025, 10, 26)),
    ("America/New_York", date(2025, 11, 2)),
    ("America/Santiago", date(2025, 9, 7)),  # midnight is skipped
    ("America/Santiago", date(2025, 4, 6)),  # the hour before midnight comes twice
    ("America/Havana", date(2025, 11, 2)),  # the hour after midnight comes twice
    ("Africa/Cairo", date(2025, 4, 25)),
    ("Australia/Lord_Howe", date(2025, 4, 6)),  # by half an hour
    ("Pacific/Apia", date(2025, 1, 31)),
)
ADVISORS = ("A01", "A02", "A03")
TECHNICIANS = ("T01", "T02", "T03", "T04")
TEAMS = ("RED", "BLUE")
CALLERS = ("C01", "C02")
WORK_TYPES = (
    "regular_maintenance",
    "first_maintenance",
    "ordinary_repair",
    "accident",
    "warranty",
    "other",
    "glass_polishing",  # counts as other
)
PROMISE_REASONS = (
    "add_on",
    "add_on",
    "customer_request",
    "parts_delay",
    "shop_delay",
    "other",
    None,
)
VERDICTS = ("workmanship", "diagnosis", "part_defect", "part_unavailable", "not_rework")
NATURES = ("attitude", "quality", "time", "price", None)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class History:
    """What arrives at a store, and the moment at which somebody asks for its numbers."""

    store_id: str
    zone: str
    arrivals: tuple[tuple[CloudEvent, datetime], ...]
    now: datetime

    def units(self) -> Iterator[tuple[datetime, list[CloudEvent]]]:
        """Yield (recorded time, events) of each request."""
        for recorded_at, unit in itertools.groupby(self.arrivals, key=lambda arrival: arrival[1]):
            yield recorded_at, [event for event, _ in unit]

    @property
    def events(self) -> list[CloudEvent]:
        """The events in order of arrival."""
        return [event for event, _ in self.arrivals]


def follow_up_id(store_id: str, ro_number: str, kind: str) -> str:
    """Name a follow-up that the service plans itself (H13)."""
    return str(uuid5(FOLLOW_UP_NAMESPACE, f"{store_id}/{ro_number}/{kind}"))


def cloud_event(
    event_type: str,
    subject: str,
    time: datetime | str,
    data: Mapping[str, Any] | None = None,
    *,
    event_id: str,
    store: str = "S1",
    source: str = "/dms/test",
) -> CloudEvent:
    """Write an event as a caller would post it."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": event_type,
        "store": store,
        "subject": subject,
        "time": time if isinstance(time, str) else time.isoformat(),
        "datacontenttype": "application/json",
        "data": dict(data or {}),
    }


def random_history(
    rng: Random,
    *,
    orders: int = 5,
    store_id: str = "S1",
    zone: str | None = None,
    backfill: bool | None = None,
    doubles: bool = True,
) -> History:
    """Make up the history of a store.

    Args:
        rng: decides everything; the same one gives the same history.
        orders: how many repair orders at most.
        store_id: the store.
        zone: its time zone; None picks one, and days around a change of its clocks.
        backfill: True: everything arrives when all of it is long over; False: mostly as it
            happens; None picks.
        doubles: with duplicates and identity conflicts, which depend on the order of arrival.
    """
    places = [place for place in ZONES if zone in {None, place[0]}]
    named_zone, change = rng.choice(places) if places else (str(zone), date(2025, 3, 1))
    shop = _Shop(rng, store_id, ZoneInfo(named_zone), change - 12 * DAY)
    for position in range(rng.randint(1, orders)):
        shop.order(f"RO{position + 1}")
    for _ in range(rng.randint(0, 4)):
        shop.timecard()
    for _ in range(rng.randint(0, 2)):
        shop.complaint(None)
    if doubles:
        shop.doubles()
    late = rng.random() < 0.2 if backfill is None else backfill
    arrivals = shop.arrivals(backfill=late)
    last = arrivals[-1][1] if arrivals else shop.first_moment
    now = last + rng.choice((MINUTE, HOUR, 3 * DAY, 9 * DAY, 40 * DAY))
    return History(store_id, named_zone, tuple(arrivals), now)


def histories(
    *,
    orders: int = 5,
    store_id: str = "S1",
    zone: str | None = None,
    backfill: bool | None = None,
    doubles: bool = True,
) -> st.SearchStrategy[History]:
    """Give Hypothesis the same histories, so that it can shrink them."""

    def make(rng: Random) -> History:
        return random_history(
            rng,
            orders=orders,
            store_id=store_id,
            zone=zone,
            backfill=backfill,
            doubles=doubles,
        )

    return st.randoms(use_true_random=False).map(make)


def rearranged(rng: Random, history: History) -> History:
    """Let the same facts arrive in another order, one by one, when all of them are over.

    For histories without doubles: which of two contents came first is part of the facts (A8).
    """
    events = list(history.events)
    rng.shuffle(events)
    start = history.arrivals[-1][1] if history.arrivals else history.now
    return told(history, events, start)


def told(history: History, events: Iterable[CloudEvent], start: datetime) -> History:
    """Let events arrive one by one, a second apart."""
    arrivals = tuple((event, start + timedelta(seconds=n)) for n, event in enumerate(events))
    now = max(history.now, arrivals[-1][1]) if arrivals else history.now
    return History(history.store_id, history.zone, arrivals, now)


class _Shop:
    """Writes down what happens in a shop, with the lag at which each event is sent."""

    def __init__(self, rng: Random, store_id: str, zone: ZoneInfo, first_day: date) -> None:
        self._rng = rng
        self._store_id = store_id
        self._zone = zone
        self._ids = itertools.count(1)
        self._sent: list[tuple[datetime, CloudEvent]] = []  # (when it arrives, event)
        self.first_moment = datetime(
            first_day.year, first_day.month, first_day.day, tzinfo=zone
        ).astimezone(UTC)

    # -- small choices ----------------------------------------------------------------------------

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def _sometimes(self, value: T, share: float = 0.7) -> T | None:
        """Give the value, or None: the field is absent, or sent as null."""
        return value if self._chance(share) else None

    def _moment(self, earliest: datetime, span: timedelta) -> datetime:
        """Pick a minute in a span; now and then one right at a local midnight."""
        moment = earliest + MINUTE * self._rng.randint(0, max(0, int(span / MINUTE)))
        if self._chance(0.1):
            day = moment.astimezone(self._zone).date()
            midnight = datetime(day.year, day.month, day.day, tzinfo=self._zone).astimezone(UTC)
            moment = midnight + self._rng.choice((-1, 0, 1)) * MINUTE
        return moment

    def _number(self, value: str) -> object:
        """Write a decimal as text or as a JSON number."""
        form = self._rng.randint(0, 2)
        if form == 0:
            return value
        if form == 1 and "." not in value:
            return int(value)
        return float(value)

    def _money(self) -> object:
        yuan = self._rng.choice((0, 80, 199, 350, 1280, -60))
        return self._number(f"{yuan}.{self._rng.choice(('00', '10', '05', '99'))}")

    def _hours(self) -> object:
        return self._number(self._rng.choice(("0", "0.5", "1.2", "2", "3.75", "8")))

    def _amounts(self) -> dict[str, object]:
        kinds = [kind for kind in ("labor", "parts", "sublet", "other") if self._chance(0.6)]
        if kinds and self._chance(0.1):
            kinds.append("polish")  # no kind that counts
        return {kind: self._money() for kind in kinds}

    def _written(self, moment: datetime) -> str:
        """Write a time in one of the forms that are allowed."""
        form = self._rng.randint(0, 3)
        if form == 0:
            return moment.astimezone(UTC).isoformat()
        if form == 1:
            return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
        if form == 2:
            return moment.astimezone(UTC).isoformat().replace("+00:00", "z").replace("T", "t")
        return moment.astimezone(self._zone).isoformat()

    # -- sending ----------------------------------------------------------------------------------

    def say(
        self,
        event_type: str,
        subject: str,
        moment: datetime,
        data: Mapping[str, object] | None = None,
        *,
        lag: timedelta | None = None,
        source: str = "/dms/test",
    ) -> CloudEvent:
        """Send an event; its time gets microseconds that no other has."""
        number = next(self._ids)
        drop_nulls = self._chance(0.8)
        said = {
            key: value
            for key, value in (data or {}).items()
            if value is not None or not drop_nulls
        }
        happened = moment.replace(microsecond=0) + timedelta(microseconds=number)
        event = cloud_event(
            event_type,
            subject,
            self._written(happened),
            said,
            event_id=f"e-{number}",
            store=self._store_id,
            source=source,
        )
        self._sent.append((happened + (self._lag() if lag is None else lag), event))
        return event

    def _lag(self) -> timedelta:
        if self._chance(0.75):
            return MINUTE * self._rng.randint(-5, 5)
        if self._chance(0.6):
            return HOUR * self._rng.randint(1, 30)
        return DAY * self._rng.randint(1, 35)

    def take_back(self, event: CloudEvent, *, before: bool = False) -> CloudEvent:
        """Retract an event; ``before``: the retraction overtakes it on its way."""
        moment = datetime.fromisoformat(event["time"].upper())
        data = {"source": event["source"], "id": event["id"], "reason": "typing error"}
        later = timedelta(0) if before else DAY * self._rng.choice((0, 1, 1, 4, 9, 15))
        return self.say(
            "event.retracted",
            event["subject"],
            moment + later,
            data,
            lag=timedelta(0) if before else None,
        )

    def doubles(self) -> None:
        """Send some events again, as they were or with another content under the same identity."""
        for arrives, event in list(self._sent):
            if not self._chance(0.08):
                continue
            again = dict(event)
            if self._chance(0.5):
                again["data"] = dict(reversed(event["data"].items()))
            else:
                again["data"] = {**event["data"], "remark": "sent by hand"}
            self._sent.append((arrives + HOUR * self._rng.randint(0, 50), again))

    def arrivals(self, *, backfill: bool) -> list[tuple[CloudEvent, datetime]]:
        """Put what was sent into units in order of arrival."""
        sent = sorted(enumerate(self._sent), key=lambda item: (item[1][0], item[0]))
        queue = [(arrives, event) for _, (arrives, event) in sent]
        if backfill and queue:
            end = queue[-1][0] + self._rng.choice((DAY, 60 * DAY))
            queue = [(end, event) for _, event in queue]
        arrivals: list[tuple[CloudEvent, datetime]] = []
        recorded_at = self.first_moment
        while queue:
            size = self._rng.choice((1, 1, 1, 2, 5, 12))
            unit, queue = queue[:size], queue[size:]
            earliest = unit[-1][0].replace(second=0, microsecond=0) + MINUTE
            recorded_at = max(recorded_at + MINUTE, earliest)
            arrivals += [(event, recorded_at) for _, event in unit]
        return arrivals

    # -- what happens -----------------------------------------------------------------------------

    def timecard(self) -> None:
        """Write a timecard, sometimes corrected, sometimes taken back."""
        staff = self._rng.choice(TECHNICIANS)
        moment = self._moment(self.first_moment, 20 * DAY)
        work_date = moment.astimezone(self._zone).date().isoformat()
        for _ in range(self._rng.choice((1, 1, 2))):
            card = {
                "work_date": work_date,
                "attended_hours": self._number(self._rng.choice(("8", "7.5", "0"))),
                "clocked_hours": self._sometimes(self._hours(), 0.8),
                "team": self._sometimes(self._rng.choice(TEAMS)),
            }
            moment += HOUR * self._rng.randint(1, 30)
            event = self.say("staff.timecard_recorded", staff, moment, card)
            if self._chance(0.15):
                self.take_back(event)

    def complaint(self, ro_number: str | None) -> None:
        """Let somebody complain, in the shop's own numbering of complaints."""
        moment = self._moment(self.first_moment, 30 * DAY)
        complaint = str(UUID(int=self._rng.getrandbits(128), version=4))
        opened = self.say(
            "complaint.opened",
            complaint,
            moment,
            {
                "ro_number": ro_number,
                "channel": "phone",
                "nature": self._rng.choice(NATURES),
                "text": "等太久",
            },
        )
        if self._chance(0.6):
            by = {"by": self._rng.choice(CALLERS)}
            later = moment + HOUR * self._rng.randint(1, 40)
            self.say("complaint.contacted", complaint, later, {**by, "channel": "phone"})
            solved = {**by, "solution": "道歉"}
            self.say("complaint.resolved", complaint, later + HOUR, solved)
            if self._chance(0.3):
                again = {**by, "reason": "又坏了"}
                self.say("complaint.reopened", complaint, later + DAY, again)
        if self._chance(0.1):
            self.take_back(opened)

    def order(self, ro_number: str) -> None:
        """Let a car come in, and whatever may happen to its order."""
        opened_at = self._moment(self.first_moment, 20 * DAY)
        promised_at = opened_at + MINUTE * self._rng.choice((90, 240, 240, 1500))
        late = self._rng.choice((-200, -30, -1, 0, 0, 1, 30, 400, 1500))
        gone_at = max(promised_at + MINUTE * late, opened_at + 5 * MINUTE)
        told_of: list[CloudEvent] = []

        def says(name: str, moment: datetime, data: Mapping[str, object] | None = None) -> None:
            told_of.append(self.say(f"repair_order.{name}", ro_number, moment, data))

        self._reception(says, opened_at, promised_at)
        self._workshop(says, opened_at, gone_at)
        self._promises(says, opened_at, promised_at, gone_at)
        settled = self._chance(0.85)
        if settled:
            self._settle(says, gone_at)
        if self._chance(0.7):
            self._hand_over(ro_number, gone_at)
        self._excuses(says, gone_at)
        self._comebacks(says, ro_number, gone_at)
        called = False
        if self._chance(0.15):
            self._others_call(ro_number, gone_at)
        elif settled:
            called = self._our_calls(ro_number, gone_at)
        if self._chance(0.2):
            self.complaint(ro_number)
        self._corrections(ro_number, opened_at, told_of, keep_settled=called)

    def _corrections(
        self,
        ro_number: str,
        opened_at: datetime,
        told_of: Sequence[CloudEvent],
        *,
        keep_settled: bool,
    ) -> None:
        """Cancel the order, take something back, take back that too."""
        if self._chance(0.1):
            cancelled_at = self._moment(opened_at, 12 * DAY)
            reason = {"reason": self._sometimes("客户取消")}
            cancelled = self.say("repair_order.cancelled", ro_number, cancelled_at, reason)
            if self._chance(0.5):
                retraction = self.take_back(cancelled)
                if self._chance(0.2):
                    self.take_back(retraction)
        kept = {"repair_order.settled"} if keep_settled else set()
        loose = [event for event in told_of if event["type"] not in kept]
        if loose and self._chance(0.35):
            retraction = self.take_back(self._rng.choice(loose), before=self._chance(0.3))
            if self._chance(0.25):
                self.take_back(retraction)

    def _reception(self, says: Says, opened_at: datetime, promised_at: datetime) -> None:
        rng = self._rng
        times = 0 if self._chance(0.04) else rng.choice((1, 1, 1, 1, 2))
        for repeat in range(times):
            says(
                "opened",
                opened_at + repeat * 7 * MINUTE,
                {
                    "customer_no": self._sometimes(f"K{rng.randint(1, 5)}"),
                    "odometer_km": self._sometimes(self._number(str(rng.randint(1, 90) * 1000))),
                    "work_type": rng.choice(WORK_TYPES),
                    "advisor": rng.choice(ADVISORS),
                    "promised_at": self._sometimes(
                        self._written(promised_at + repeat * HOUR), 0.75
                    ),
                    "estimate_amount": self._sometimes(self._money(), 0.3),
                    "waiter": True if self._chance(0.3) else None,
                },
            )
        if self._chance(0.5):
            promise = self._written(promised_at + MINUTE * rng.choice((0, 0, 30, 120)))
            says(
                "authorized",
                self._moment(opened_at, 3 * HOUR),
                {"promised_at": self._sometimes(promise, 0.4), "amount": self._money()},
            )

    def _workshop(self, says: Says, opened_at: datetime, gone_at: datetime) -> None:
        rng = self._rng
        span = gone_at - opened_at
        for _ in range(rng.choice((0, 1, 1, 1, 2))):
            says(
                "dispatched",
                self._moment(opened_at - 10 * MINUTE, span),
                {
                    "technician": rng.choice(TECHNICIANS),
                    "team": self._sometimes(rng.choice(TEAMS)),
                    "bay": self._sometimes("B3", 0.3),
                },
            )
        technician = self._sometimes(rng.choice(TECHNICIANS))
        if self._chance(0.7):
            says("work_started", self._moment(opened_at, span), {"technician": technician})
        if self._chance(0.3):
            says("work_paused", self._moment(opened_at, span), {"reason": "awaiting_parts"})
            says("work_resumed", self._moment(opened_at, span))
        if self._chance(0.6):
            done = {"technician": technician, "clocked_hours": self._sometimes(self._hours())}
            says("work_completed", self._moment(opened_at, span), done)
        for level in range(1, rng.choice((1, 2, 3, 4))):
            passed = {"level": level, "inspector": "Q01", "passed": self._chance(0.75)}
            says("inspected", self._moment(opened_at, span), passed)
        if self._chance(0.5):
            says("cleaned", self._moment(opened_at, span))

    def _promises(
        self,
        says: Says,
        opened_at: datetime,
        promised_at: datetime,
        gone_at: datetime,
    ) -> None:
        rng = self._rng
        if self._chance(0.3):
            add_on = {"add_on_id": "1", "amount": self._money()}
            says("add_on_proposed", self._moment(opened_at, gone_at - opened_at), add_on)
            says("add_on_decided", gone_at, {"add_on_id": "1", "accepted": True})
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3))):
            span = max(gone_at, promised_at) - opened_at + HOUR
            if self._chance(0.3):
                moment = promised_at + MINUTE * rng.choice((-1, 0, 1))
            else:
                moment = self._moment(opened_at - 20 * MINUTE, span)
            new = gone_at + MINUTE * rng.choice((-300, -60, -1, 0, 0, 1, 90))
            says(
                "promise_changed",
                moment,
                {
                    "promised_at": self._written(new),
                    "reason": rng.choice(PROMISE_REASONS),
                    "confirmed_by_customer": rng.choice((True, True, False, None)),
                },
            )

    def _settle(self, says: Says, gone_at: datetime) -> None:
        rng = self._rng
        for repeat in range(rng.choice((1, 1, 1, 1, 2, 3))):
            requested = rng.choice((None, 0, 1, 3))
            said = self._written(gone_at + repeat * MINUTE * rng.choice((0, 45, 1440)))
            says(
                "settled",
                gone_at + MINUTE * rng.choice((0, 5)) + repeat * HOUR * rng.choice((1, 30)),
                {
                    "amounts": self._amounts(),
                    "costs": self._sometimes(self._amounts(), 0.6),
                    "billed_hours": self._sometimes(self._hours()),
                    "clocked_hours": self._sometimes(self._hours()),
                    "parts_requested": requested,
                    "parts_filled": self._sometimes(rng.choice((0, 1, 3))),
                    "delivered_at": self._sometimes(said, 0.5),
                },
            )

    def _hand_over(self, ro_number: str, gone_at: datetime) -> None:
        """Hand the car over; sometimes the day is corrected, even there and back again."""
        rng = self._rng
        handed: list[CloudEvent] = []
        day_a, day_b = gone_at, gone_at + DAY * rng.choice((1, 2, 6))
        corrections = rng.choice(((day_a,), (day_a,), (day_a, day_b), (day_a, day_b, day_a)))
        for position, moment in enumerate(corrections):
            if handed and self._chance(0.6):
                self.take_back(handed[-1])
            odometer = self._number(str(rng.randint(1, 90) * 1000 + 7))
            handed.append(
                self.say(
                    "repair_order.delivered",
                    ro_number,
                    moment,
                    {"odometer_km": self._sometimes(odometer, 0.4)},
                    lag=position * DAY + MINUTE * rng.randint(0, 3000),
                )
            )

    def _excuses(self, says: Says, gone_at: datetime) -> None:
        for _ in range(self._rng.choice((0, 0, 0, 1, 2))):
            moment = self._moment(gone_at - HOUR, 2 * HOUR)
            note = {"note": "客户不在店", "signed": self._chance(0.7)}
            says("customer_delay_noted", moment, note)
        for _ in range(self._rng.choice((0, 0, 0, 1, 2))):
            moment = self._moment(gone_at - HOUR, 3 * DAY)
            review = {"accepted": self._chance(0.5), "reviewer": "M01"}
            says("delay_reviewed", moment, review)

    def _comebacks(self, says: Says, ro_number: str, gone_at: datetime) -> None:
        rng = self._rng
        reported: list[str | None] = []
        for number in range(rng.choice((0, 0, 0, 1, 1, 2))):
            named = f"{ro_number}-B{number}" if self._chance(0.5) else None
            reported.append(named)
            day = gone_at.astimezone(self._zone).date() + DAY * rng.choice((0, 3, 12, 30, 31, 45))
            midday = datetime(day.year, day.month, day.day, 12, tzinfo=self._zone).astimezone(UTC)
            moment = self._moment(midday - 6 * HOUR, 17 * HOUR)
            report = {"comeback_ro": named, "concern": self._sometimes("异响")}
            says("comeback_reported", moment, report)
        for _ in range(rng.choice((1, 1, 2, 3)) if reported else 0):
            says(
                "comeback_assessed",
                self._moment(gone_at, 50 * DAY),
                {
                    "verdict": rng.choice(VERDICTS),
                    "comeback_ro": self._sometimes(rng.choice(reported), 0.5),
                    "technician": self._sometimes(rng.choice(TECHNICIANS)),
                    "team": self._sometimes(rng.choice(TEAMS)),
                },
            )

    def _completion(self, ro_number: str | None = None) -> dict[str, object]:
        rng = self._rng
        return {
            "by": rng.choice(CALLERS),
            "channel": rng.choice(("phone", "wechat")),
            "outcome": rng.choice(("reached", "partial")),
            "customer_says_on_time": rng.choice((True, False, None, None)),
            "ro_number": ro_number,
        }

    def _our_calls(self, ro_number: str, gone_at: datetime) -> bool:
        """Call the customer: in the window, too early, too late, twice, or not at all.

        Returns whether any call was made, be it taken back later.
        """
        rng = self._rng
        first = follow_up_id(self._store_id, ro_number, "first")
        second = follow_up_id(self._store_id, ro_number, "second")
        if self._chance(0.06):
            dropped = self.say(
                "follow_up.cancelled", first, gone_at + 2 * DAY, {"reason": "客户不愿接听"}
            )
            if self._chance(0.4):
                self.take_back(dropped)
            return False
        if self._chance(0.3):
            assignee = {"assignee": rng.choice(CALLERS)}
            self.say("follow_up.assigned", first, gone_at + DAY, assignee)
        if self._chance(0.3):
            attempt = {"by": rng.choice(CALLERS), "channel": "phone", "outcome": "no_answer"}
            self.say("follow_up.attempted", first, gone_at + 3 * DAY, attempt)
        called_at = gone_at + DAY * rng.choice((0, 1, 3, 3, 4, 5, 7, 8, 12)) + HOUR
        called_once, called_twice = self._chance(0.75), self._chance(0.5)
        if called_once:
            for repeat in range(rng.choice((1, 1, 1, 2))):
                moment = self._moment(called_at + repeat * DAY, 8 * HOUR)
                call = self.say("follow_up.completed", first, moment, self._completion())
                if self._chance(0.12):
                    self.take_back(call)
        if called_twice:
            moment = self._moment(
                called_at + DAY * rng.choice((3, 7, 8, 13, 14, 16, 22)), 9 * HOUR
            )
            call = self.say("follow_up.completed", second, moment, self._completion())
            if self._chance(0.12):
                self.take_back(call)
        return called_once or called_twice

    def _others_call(self, ro_number: str, gone_at: datetime) -> None:
        """Let a CRM plan the call, and perhaps make it."""
        rng = self._rng
        call_id = str(UUID(int=rng.getrandbits(128), version=4))
        kind = rng.choice(("first", "first", "second", "consultation", "courtesy"))
        named = ro_number if self._chance(0.8) else None
        crm = "/crm/test"
        scheduled: list[CloudEvent] = []
        for repeat in range(rng.choice((0, 1, 1, 1, 2))):
            opens_at = gone_at.replace(second=0, microsecond=0) + DAY * rng.choice((0, 1, 3))
            due_at = opens_at + DAY * rng.choice((1, 4, 9))
            target = self._written(opens_at + DAY) if self._chance(0.5) else None
            scheduled.append(
                self.say(
                    "follow_up.scheduled",
                    call_id,
                    gone_at + repeat * DAY,
                    {
                        "ro_number": named,
                        "kind": kind,
                        "opens_at": self._written(opens_at),
                        "target_at": target,
                        "due_at": self._written(due_at),
                    },
                    source=crm,
                )
            )
        if self._chance(0.6):
            moment = self._moment(gone_at + DAY * rng.choice((0, 2, 4, 8)), 9 * HOUR)
            call = self._completion(self._sometimes(named, 0.5))
            self.say("follow_up.completed", call_id, moment, call, source=crm)
        elif kind in {"consultation", "courtesy"} or named is None:
            dropped = {"reason": "其他原因"}
            self.say("follow_up.cancelled", call_id, gone_at + 2 * DAY, dropped, source=crm)
        if scheduled and self._chance(0.2):
            self.take_back(rng.choice(scheduled))


def identities(events: Sequence[CloudEvent]) -> list[tuple[str, str]]:
    """List what events are known by."""
    return [(event["source"], event["id"]) for event in events]
