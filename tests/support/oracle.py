"""A second, naive reading of the KPI definitions: what a store's numbers must be, from its events.

Written from design/kpis.md, design/fine-print.md and design/events.md alone. It shares no line
with the service, keeps no running totals, knows no database: it replays the arrivals one unit
after the other, folds a subject again whenever it needs it, and counts with exact fractions.
Numbers in brackets (H7) are those of the fine print.

    oracle = Oracle([(event, recorded_at), ...], "Asia/Shanghai", now)
    oracle.kpi("on_time_delivery_rate", "month", date(2026, 1, 1), date(2026, 3, 1), by="advisor")

What an oracle cannot know and is told: which events were refused as invalid (``skip``, by
position), and when the service swept for what fell due (``swept_at``; left out: at every moment
at which something fell due). Events that arrive one after the other with the same recorded time
are one unit: reactions run after its last event.
"""

from __future__ import annotations

import heapq
import itertools
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

Identity = tuple[str, str]
RawEvent = Mapping[str, Any]

OWN_SOURCE = "/servicelane"
FOLLOW_UP_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:servicelane:follow-up")
AMOUNT_KINDS = ("labor", "parts", "sublet", "other")
WORK_TYPES = frozenset(
    {
        "regular_maintenance",
        "first_maintenance",
        "ordinary_repair",
        "accident",
        "warranty",
        "other",
    },
)
REPAIR_WORK_TYPES = frozenset({"ordinary_repair", "warranty"})
COMEBACK_VERDICTS = frozenset({"workmanship", "diagnosis", "part_defect"})
ONE_SECOND = timedelta(seconds=1)
ONE_DAY = timedelta(days=1)

DELIVERY_GRAINS = ("advisor", "technician", "team", "work_type")
QUALITY_GRAINS = ("technician", "team", "work_type")
VOLUME_GRAINS = ("advisor", "team", "work_type")
PRODUCTIVITY_GRAINS = ("technician", "team")

# code -> (shape, grains besides the store)
KPIS: dict[str, tuple[str, tuple[str, ...]]] = {
    "on_time_delivery_rate": ("ratio", DELIVERY_GRAINS),
    "on_time_first_promise_rate": ("ratio", DELIVERY_GRAINS),
    "promise_changes_per_visit": ("ratio", DELIVERY_GRAINS),
    "promise_coverage_rate": ("ratio", DELIVERY_GRAINS),
    "excused_late_count": ("sum", DELIVERY_GRAINS),
    "repair_cycle_hours": ("median_hours", DELIVERY_GRAINS),
    "external_rework_rate": ("ratio", QUALITY_GRAINS),
    "internal_rework_rate": ("ratio", QUALITY_GRAINS),
    "rework_rate": ("ratio", QUALITY_GRAINS),
    "first_time_fix_rate": ("ratio", QUALITY_GRAINS),
    "quality_containment_rate": ("ratio", QUALITY_GRAINS),
    "arrivals": ("sum", VOLUME_GRAINS),
    "visits_settled": ("sum", VOLUME_GRAINS),
    "repair_revenue": ("sum", VOLUME_GRAINS),
    "revenue_per_visit": ("ratio", VOLUME_GRAINS),
    "gross_margin": ("ratio", VOLUME_GRAINS),
    "revenue_growth": ("growth", VOLUME_GRAINS),
    "labor_efficiency": ("ratio", PRODUCTIVITY_GRAINS),
    "labor_utilization": ("ratio", PRODUCTIVITY_GRAINS),
    "dispatch_minutes": ("median_minutes", PRODUCTIVITY_GRAINS),
    "parts_fill_rate": ("ratio", ("work_type",)),
    "parts_shortage_rate": ("ratio", ("work_type",)),
    "follow_up_rate": ("ratio", ("assignee",)),
    "follow_up_on_time_rate": ("ratio", ("assignee",)),
    "follow_up_target_rate": ("ratio", ("assignee",)),
    "complaint_rate": ("ratio", ("advisor", "nature")),
}


@dataclass(frozen=True)
class Policy:
    """The keys of kpis.md that can change a number, with their defaults."""

    count_late_without_promise: bool = False  # on_time.no_promise = count_late
    repromise_reasons: frozenset[str] = frozenset({"add_on"})
    repromise_after_due: bool = False
    accept_unknown_confirmation: bool = True
    grace_minutes: int = 0
    customer_caused: str = "count_on_time"  # or exclude, count_late
    customer_report: bool = True  # on_time.customer_report = union
    rework_window_days: int = 30
    rework_window_km: Fraction | None = None
    anchor_needs_handover: bool = False  # follow_up.anchor = delivered
    first_opens_after: int = 3
    first_target_after: int = 3
    first_due_after: int = 7
    second_opens_after: int = 7
    second_due_after: int = 14


DEFAULT_POLICY = Policy()


@dataclass(frozen=True)
class Value:
    """One value as kpis.md writes it on the wire; ``exact`` has the unrounded one.

    Codes of ``not_counted`` other than ``no-promise`` are this module's own; what binds is how
    many there are.
    """

    period_start: str
    period_end: str
    member: str | None
    numerator: str | None
    denominator: str | None
    value: str | None
    not_counted: dict[str, int] = field(default_factory=dict)
    exact: Fraction | None = None

    def on_the_wire(self) -> dict[str, str | None]:
        """Write the value as the service does, without what was not counted."""
        return {
            "period_start": self.period_start,
            "period_end": self.period_end,
            "member": self.member,
            "numerator": self.numerator,
            "denominator": self.denominator,
            "value": self.value,
        }


@dataclass(frozen=True)
class LogEvent:
    """One event of the log."""

    seq: int
    recorded_at: datetime
    identity: Identity
    type: str
    subject: str
    at: datetime
    data: Mapping[str, Any]

    @property
    def place(self) -> tuple[datetime, int]:
        """Where it stands among the events of its subject (B1)."""
        return (self.at, self.seq)


@dataclass(frozen=True)
class Window:
    """When a call is to be made; the anchor is a local day."""

    anchor: date
    opens_at: datetime
    target_at: datetime
    due_at: datetime


@dataclass(frozen=True)
class FollowUpView:
    """A follow-up as it stands at ``now``.

    ``status`` is planned, overdue, missed_on_arrival, completed or cancelled. The window is the
    one in force; None where no anchor stands any more.
    """

    follow_up_id: str
    kind: str
    ro_number: str | None
    status: str
    window: Window | None
    missed_on_arrival: bool
    completed_at: datetime | None
    assignee: str | None


@dataclass(frozen=True)
class OrderFollowUps:
    """The two calls that the service plans for an order; None where nothing was ever planned."""

    first: FollowUpView | None
    second: FollowUpView | None


@dataclass(frozen=True)
class Verdict:
    """on_time, late, excused or not_judged, the reason code (D16), and the promises looked at."""

    verdict: str
    reason: str
    reference: datetime | None
    first_promise: datetime | None


@dataclass(frozen=True)
class Row:
    """What one subject brings to one KPI on one day: parts, or the reason why it is in neither."""

    day: date
    members: Mapping[str, str | None]
    numerator: Fraction | None = None
    denominator: Fraction | None = None
    not_counted: str | None = None


@dataclass
class Plan:
    """A follow-up of the service's own: the window in force and what became of it."""

    window: Window | None = None
    last_window: Window | None = None
    missed_on_arrival: bool = False
    overdue: bool = False


# -------------------------------------------------------------------------------------------------
# Reading values
# -------------------------------------------------------------------------------------------------


def instant(text: str) -> datetime:
    """Read an RFC 3339 time (B2: cut at the microsecond; lower-case letters allowed)."""
    return datetime.fromisoformat(text.upper()).astimezone(UTC)


def number(value: object) -> Fraction:
    """Read a number as text or JSON number, by its shortest decimal form (A16)."""
    return Fraction(repr(value) if isinstance(value, float) else str(value))


def without_nulls(value: object) -> Any:
    """Drop nulls: null is absent (A15)."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


def to_minute(moment: datetime) -> datetime:
    """Cut off the seconds, as promises are compared (D4)."""
    return moment.replace(second=0, microsecond=0)


def to_second(moment: datetime) -> datetime:
    """Cut off the fraction, as completions of follow-ups are compared (H2)."""
    return moment.replace(microsecond=0)


def seconds_between(earlier: datetime, later: datetime) -> Fraction:
    """Elapsed time, exact (J10)."""
    return Fraction((later - earlier) // timedelta(microseconds=1), 1_000_000)


def follow_up_id(store_id: str, ro_number: str, kind: str) -> str:
    """Name a follow-up of the service's own (H13)."""
    return str(uuid.uuid5(FOLLOW_UP_NAMESPACE, f"{store_id}/{ro_number}/{kind}"))


def exact_text(value: Fraction) -> str:
    """Write a finite decimal in full: no exponent, no trailing zeros."""
    for places in itertools.count():
        scaled = value * 10**places
        if scaled.denominator == 1:
            digits = str(abs(scaled.numerator)).rjust(places + 1, "0")
            whole, decimals = digits[: len(digits) - places], digits[len(digits) - places :]
            sign = "-" if value < 0 else ""
            return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"
    raise AssertionError  # pragma: no cover - sums of decimals are finite decimals


def rounded_text(value: Fraction, places: int) -> str:
    """Round half up (away from zero) and write all places."""
    units = (abs(value) * 10**places + Fraction(1, 2)).__floor__()
    digits = str(units).rjust(places + 1, "0")
    sign = "-" if value < 0 and units else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def median(samples: Sequence[Fraction]) -> Fraction:
    """Take the middle, or the mean of the two middle ones (J17)."""
    ordered = sorted(samples)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def comparable(
    wire: Iterable[Mapping[str, Any]],
) -> dict[tuple[str, str | None], tuple[Fraction | None, ...]]:
    """Read values off the wire, to be compared whatever their number of trailing zeros.

    Keyed by (period_start, member), each (numerator, denominator, value). Rows in which nothing
    was counted are left out: a member may be shown or not where all it has was not counted.
    """
    read = {}
    for row in wire:
        parts = [row[name] for name in ("numerator", "denominator", "value")]
        numbers = tuple(None if part is None else Fraction(part) for part in parts)
        if any(numbers):
            read[row["period_start"], row["member"]] = numbers
    return read


# -------------------------------------------------------------------------------------------------
# Days and periods
# -------------------------------------------------------------------------------------------------


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Tell the first instant of a local day; where midnight is skipped, that of the jump."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Tell 23:59:59 of a local day (H2); the second one where the clock shows it twice."""
    return start_of_day(day + ONE_DAY, zone) - ONE_SECOND


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """Tell the local date of an instant."""
    return moment.astimezone(zone).date()


def period_start(period: str, day: date) -> date:
    """Tell the first day of the period that a day lies in (J5)."""
    if period == "day":
        return day
    if period == "month":
        return day.replace(day=1)
    if period == "quarter":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    if period == "year":
        return day.replace(month=1, day=1)
    message = f"no such period: {period}"
    raise ValueError(message)


def period_end(period: str, start: date) -> date:
    """Tell the first day after a period that begins on ``start``."""
    if period == "day":
        return start + ONE_DAY
    months = {"month": 1, "quarter": 3, "year": 12}[period]
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return date(year, month + 1, 1)


def year_before(day: date) -> date:
    """Go back a year; 29 February becomes the 28th (G5)."""
    if (day.month, day.day) == (2, 29):
        return date(day.year - 1, 2, 28)
    return day.replace(year=day.year - 1)


# -------------------------------------------------------------------------------------------------
# The log
# -------------------------------------------------------------------------------------------------


class Log:
    """What was accepted, in order, and what of it still stands."""

    def __init__(self) -> None:
        self._by_identity: dict[Identity, LogEvent] = {}
        self._by_subject: dict[tuple[str, str], list[LogEvent]] = defaultdict(list)
        self._retractions_of: dict[Identity, list[Identity]] = defaultdict(list)
        self._waiting: dict[Identity, list[RawEvent]] = defaultdict(list)

    def receive(self, raw: RawEvent, recorded_at: datetime) -> list[LogEvent]:
        """Take in one event; returns what entered the log, waiting retractions too (A1)."""
        identity = (raw["source"], raw["id"])
        if identity in self._by_identity:  # again, or with another content (A4, A8)
            return []
        data = without_nulls(raw.get("data") or {})
        if raw["type"] == "event.retracted":
            target = (data["source"], data["id"])
            if target not in self._by_identity:  # quarantined; takes no identity (A12)
                self._waiting[target].append(raw)
                return []
            if self._by_identity[target].subject != raw["subject"]:  # invalid (A5)
                return []
            self._retractions_of[target].append(identity)
        event = LogEvent(
            seq=len(self._by_identity) + 1,
            recorded_at=recorded_at,
            identity=identity,
            type=raw["type"],
            subject=raw["subject"],
            at=instant(raw["time"]),
            data=data,
        )
        self._by_identity[identity] = event
        self._by_subject[family(event.type), event.subject].append(event)
        entered = [event]
        for waiting in self._waiting.pop(identity, []):
            entered += self.receive(waiting, recorded_at)
        return entered

    def retracted(self, identity: Identity) -> bool:
        """Tell whether a retraction of it stands (A2)."""
        return any(
            not self.retracted(retraction) for retraction in self._retractions_of.get(identity, ())
        )

    def about(self, event: LogEvent) -> LogEvent:
        """Follow a retraction (of a retraction ...) to the event that it is about in the end."""
        while event.type == "event.retracted":
            event = self._by_identity[event.data["source"], event.data["id"]]
        return event

    def standing(self, kind: str, subject: str) -> list[LogEvent]:
        """List the events of a subject that count, in order of (occurred_at, seq)."""
        events = [
            event
            for event in self._by_subject.get((kind, subject), ())
            if not self.retracted(event.identity)
        ]
        return sorted(events, key=lambda event: event.place)

    def ever(self, kind: str, subject: str) -> list[LogEvent]:
        """List all events of a subject, retracted ones included."""
        return self._by_subject.get((kind, subject), [])

    def subjects(self, kind: str) -> list[str]:
        """List the subjects of a family, in order of their first event."""
        return [subject for found, subject in self._by_subject if found == kind]


def family(event_type: str) -> str:
    """Tell what an event is about: repair_order, follow_up, complaint, staff ..."""
    return event_type.partition(".")[0]


# -------------------------------------------------------------------------------------------------
# Subjects
# -------------------------------------------------------------------------------------------------


class Order:
    """A repair order, read from its standing events in order of (occurred_at, seq)."""

    def __init__(self, number: str, events: Sequence[LogEvent]) -> None:
        self.number = number
        self.events = events
        self.opened = self.of("opened")
        self.handovers = self.of("delivered")
        self.cancelled = bool(self.of("cancelled"))  # final in whatever order (C1)
        settlements = self.of("settled")
        self.settlement = settlements[-1] if settlements else None

    def of(self, *names: str) -> list[LogEvent]:
        """List the events of some types."""
        types = {f"repair_order.{name}" for name in names}
        return [event for event in self.events if event.type in types]

    def from_opened(self, name: str) -> Any:
        """Take a field from the last ``opened`` that carries it (B5)."""
        for event in reversed(self.opened):
            if name in event.data:
                return event.data[name]
        return None

    @property
    def delivered_at(self) -> datetime | None:
        """The delivered time of the settlement: its ``delivered_at``, else its own time."""
        if self.settlement is None:
            return None
        said = self.settlement.data.get("delivered_at")
        return instant(said) if said else self.settlement.at

    @property
    def work_type(self) -> str | None:
        """The work type; text that is none of the six counts as other."""
        said = self.from_opened("work_type")
        return said if said is None or said in WORK_TYPES else "other"

    @property
    def members(self) -> dict[str, str | None]:
        """Who and what the order counts for, as known now (E1 to E5)."""
        technician: str | None = None
        team: str | None = None
        if dispatched := self.of("dispatched"):
            technician = dispatched[-1].data.get("technician")
            team = dispatched[-1].data.get("team")
        else:
            for event in self.of("work_started", "work_completed"):
                technician = event.data.get("technician", technician)
        return {
            "advisor": self.from_opened("advisor"),
            "technician": technician,
            "team": team,
            "work_type": self.work_type,
        }

    @property
    def members_when_settled(self) -> dict[str, str | None]:
        """The same, all unknown if the order was never opened (B3)."""
        return self.members if self.opened else dict.fromkeys(DELIVERY_GRAINS)

    def promises_until(self, delivered_at: datetime) -> list[LogEvent]:
        """List the promises that were made by the minute of the delivery (D4, D5)."""
        return [
            event
            for event in self.of("opened", "authorized", "promise_changed")
            if "promised_at" in event.data and to_minute(event.at) <= to_minute(delivered_at)
        ]

    def amounts(self, name: str) -> Fraction | None:
        """Sum the known kinds of ``amounts`` or ``costs``; None without any (G2, G3)."""
        assert self.settlement is not None
        said = self.settlement.data.get(name, {})
        known = [number(said[kind]) for kind in AMOUNT_KINDS if kind in said]
        return sum(known, Fraction(0)) if known else None


def first_promise(promises: Sequence[LogEvent]) -> LogEvent | None:
    """Take the first of ``opened`` and ``authorized``, else of ``promise_changed`` (D1, D2)."""
    taken = [event for event in promises if event.type != "repair_order.promise_changed"]
    return next(iter(taken or promises), None)


def promise_in_force(promises: Sequence[LogEvent], policy: Policy) -> datetime | None:
    """Walk on from the first promise to the reference for the delivery (step 2)."""
    first = first_promise(promises)
    if first is None:
        return None
    reference = instant(first.data["promised_at"])
    for event in promises[promises.index(first) + 1 :]:
        promised_at = instant(event.data["promised_at"])
        if event.type == "repair_order.authorized":
            reference = promised_at  # unconditionally (D3)
        elif event.type == "repair_order.promise_changed" and replaces(event, reference, policy):
            reference = promised_at
    return reference


def replaces(change: LogEvent, reference: datetime, policy: Policy) -> bool:
    """Tell whether a changed promise takes the place of the one in force."""
    reason = change.data.get("reason")
    confirmed = change.data.get("confirmed_by_customer")
    good_reason = (
        policy.accept_unknown_confirmation
        if reason is None
        else reason in policy.repromise_reasons
    )
    good_confirmation = (
        policy.accept_unknown_confirmation if confirmed is None else confirmed is True
    )
    in_time = policy.repromise_after_due or to_minute(change.at) <= to_minute(reference)
    return good_reason and good_confirmation and in_time


def excused(order: Order) -> bool:
    """Tell whether a signed note stands that the last review after it doesn't reject (D6, D7)."""
    reviews = order.of("delay_reviewed")
    for note in order.of("customer_delay_noted"):
        after = [review for review in reviews if review.place > note.place]
        rejected = bool(after) and after[-1].data["accepted"] is False
        if note.data["signed"] is True and not rejected:
            return True
    return False


def counted_comebacks(
    order: Order,
    odometer_at_opening: Callable[[str], Fraction | None],
    zone: ZoneInfo,
    policy: Policy,
) -> int:
    """Count the comebacks that are the shop's fault and were reported in the window (F1 to F4)."""
    reports = order.of("comeback_reported")
    last_assessment: dict[int, LogEvent] = {}
    for assessment in order.of("comeback_assessed"):
        if (report := assessed_report(reports, assessment)) is not None:
            last_assessment[report.seq] = assessment
    return sum(
        1
        for report in reports
        if report.seq in last_assessment
        and last_assessment[report.seq].data["verdict"] in COMEBACK_VERDICTS
        and in_rework_window(order, report, odometer_at_opening, zone, policy)
    )


def assessed_report(reports: Sequence[LogEvent], assessment: LogEvent) -> LogEvent | None:
    """Tell which report an assessment belongs to (F1)."""
    candidates = list(reports)
    named = assessment.data.get("comeback_ro")
    if named is not None:
        same = [report for report in reports if report.data.get("comeback_ro") == named]
        candidates = same or [report for report in reports if "comeback_ro" not in report.data]
    before = [report for report in candidates if report.place < assessment.place]
    if before:
        return before[-1]
    return candidates[0] if candidates else None


def in_rework_window(
    order: Order,
    report: LogEvent,
    odometer_at_opening: Callable[[str], Fraction | None],
    zone: ZoneInfo,
    policy: Policy,
) -> bool:
    """Tell whether a comeback was reported within the days and the distance of the policy."""
    delivered_at = order.delivered_at
    assert delivered_at is not None
    last_day = local_day(delivered_at, zone) + timedelta(days=policy.rework_window_days)
    if report.at < delivered_at or local_day(report.at, zone) > last_day:
        return False
    if policy.rework_window_km is None or "comeback_ro" not in report.data:
        return True
    handed_over = [
        event.data["odometer_km"] for event in order.handovers if "odometer_km" in event.data
    ]
    said = handed_over[-1] if handed_over else order.from_opened("odometer_km")
    came_back = odometer_at_opening(report.data["comeback_ro"])
    if said is None or came_back is None or came_back < number(said):
        return True
    return came_back - number(said) <= policy.rework_window_km


class Call:
    """A follow-up, read from what was posted about it, in order of (occurred_at, seq)."""

    def __init__(self, events: Sequence[LogEvent]) -> None:
        self.scheduled = [event for event in events if event.type == "follow_up.scheduled"]
        self.completions = [event for event in events if event.type == "follow_up.completed"]
        self.assigned = [event for event in events if event.type == "follow_up.assigned"]
        self.cancelled = any(event.type == "follow_up.cancelled" for event in events)

    @property
    def completed_at(self) -> datetime | None:
        """When it was completed: the first time counts (H6)."""
        return self.completions[0].at if self.completions else None

    @property
    def assignee(self) -> str | None:
        """Whose it is: the last one assigned, else who completed it (H12)."""
        if self.assigned:
            return str(self.assigned[-1].data["assignee"])
        return str(self.completions[0].data["by"]) if self.completions else None

    @property
    def says_on_time(self) -> bool | None:
        """What the customer said of the delivery: the last answer given (D9, H6)."""
        answers = [
            event.data["customer_says_on_time"]
            for event in self.completions
            if "customer_says_on_time" in event.data
        ]
        return answers[-1] if answers else None

    @property
    def ro_number(self) -> str | None:
        """Which order it is about: as scheduled, else as the completion says (D10, H10)."""
        for event in [*reversed(self.scheduled), *reversed(self.completions)]:
            if "ro_number" in event.data:
                return str(event.data["ro_number"])
        return None


# -------------------------------------------------------------------------------------------------
# The oracle
# -------------------------------------------------------------------------------------------------


class Oracle:
    """Every KPI of a store, from its events in order of arrival, each with its recorded time."""

    def __init__(
        self,
        arrivals: Iterable[tuple[RawEvent, datetime]],
        zone: str,
        now: datetime,
        *,
        store_id: str | None = None,
        skip: Collection[int] = (),
        swept_at: Sequence[datetime] | None = None,
        policy: Policy = DEFAULT_POLICY,
    ) -> None:
        """Replay the arrivals up to ``now``.

        Args:
            arrivals: (event, recorded_at) in order of arrival, recorded times rising.
            zone: IANA name of the store's time zone.
            now: the service's time when it is asked.
            store_id: whose events to take; left out, all events must be of one store.
            skip: positions of the events that were quarantined as invalid. Duplicates, conflicts
                and retractions of unknown events need not be named.
            swept_at: when overdue calls were looked for; None = whenever one fell due.
            policy: the rules, the same for all days.
        """
        self.zone = ZoneInfo(zone)
        self.now = now.astimezone(UTC)
        self.policy = policy
        self._log = Log()
        self._plans: dict[tuple[str, str], Plan] = defaultdict(Plan)
        self._own_ids: dict[str, tuple[str, str]] = {}  # follow-up id -> (RO number, kind)
        self._others: dict[str, set[str]] = defaultdict(set)  # RO number -> ids of calls of others
        self._falls_due: list[tuple[datetime, str]] = []  # a heap of (moment, id)
        self._clock = datetime.min.replace(tzinfo=UTC)
        self._sweeps = (
            None if swept_at is None else sorted(moment.astimezone(UTC) for moment in swept_at)
        )
        self._last_sweep = self.now
        if self._sweeps is not None:
            past = [moment for moment in self._sweeps if moment <= self.now]
            self._last_sweep = past[-1] if past else self._clock
        self._overdue: list[tuple[str, datetime]] = []
        skipped = set(skip)
        kept = (
            (raw, recorded_at.astimezone(UTC))
            for position, (raw, recorded_at) in enumerate(arrivals)
            if position not in skipped
            and raw["source"] != OWN_SOURCE
            and store_id in {None, raw["store"]}
        )
        self.store_id = store_id or ""
        for recorded_at, unit in itertools.groupby(kept, key=lambda arrival: arrival[1]):
            self._sweep(until=recorded_at)
            self._receive([raw for raw, _ in unit], recorded_at)
        self._sweep(until=self.now)

    # -- taking in --------------------------------------------------------------------------------

    def _receive(self, unit: Sequence[RawEvent], recorded_at: datetime) -> None:
        self._clock = max(self._clock, recorded_at)
        touched: dict[str, None] = {}
        for raw in unit:
            self.store_id = self.store_id or raw["store"]
            for event in self._log.receive(raw, recorded_at):
                touched.update(dict.fromkeys(self._orders_touched(self._log.about(event))))
        for ro_number in touched:
            self._react(ro_number)

    def _orders_touched(self, event: LogEvent) -> list[str]:
        if family(event.type) == "repair_order":
            for kind in ("first", "second"):
                own = follow_up_id(self.store_id, event.subject, kind)
                self._own_ids[own] = (event.subject, kind)
            return [event.subject]
        if family(event.type) == "follow_up":
            if event.subject in self._own_ids:
                return [self._own_ids[event.subject][0]]
            named = {
                said.data["ro_number"]
                for said in self._log.ever("follow_up", event.subject)
                if "ro_number" in said.data
            }
            for ro_number in named:
                self._others[ro_number].add(event.subject)
            return sorted(named)
        return []

    def _sweep(self, until: datetime) -> None:
        """Let fall overdue what is due, at each moment of it or when the service swept."""
        if self._sweeps is None:
            while self._falls_due and self._falls_due[0][0] <= until:
                self._clock = max(self._clock, self._falls_due[0][0])
                self._fall_overdue(*heapq.heappop(self._falls_due))
            return
        while self._sweeps and self._sweeps[0] <= until:
            self._clock = max(self._clock, self._sweeps.pop(0))
            while self._falls_due and self._falls_due[0][0] <= self._clock:
                self._fall_overdue(*heapq.heappop(self._falls_due))

    def _fall_overdue(self, moment: datetime, own_id: str) -> None:
        ro_number, kind = self._own_ids[own_id]
        plan = self._plans[ro_number, kind]
        call = self._call(own_id)
        still_so = plan.window is not None and plan.window.due_at + ONE_SECOND == moment
        if still_so and not (
            plan.missed_on_arrival or plan.overdue or call.cancelled or call.completions
        ):
            plan.overdue = True
            self._overdue.append((own_id, moment - ONE_SECOND))
            self._react(ro_number)

    # -- reading ----------------------------------------------------------------------------------

    def _order(self, ro_number: str) -> Order:
        return Order(ro_number, self._log.standing("repair_order", ro_number))

    def _call(self, call_id: str) -> Call:
        return Call(self._log.standing("follow_up", call_id))

    def _own_call(self, ro_number: str, kind: str) -> Call:
        return self._call(follow_up_id(self.store_id, ro_number, kind))

    # -- planning the two calls of an order -------------------------------------------------------

    def _react(self, ro_number: str) -> None:
        """Plan, move and cancel the calls of an order after something about it has changed."""
        order = self._order(ro_number)
        for kind in ("first", "second"):
            call = self._own_call(ro_number, kind)
            plan = self._plans[ro_number, kind]
            if not call.completions:
                if call.cancelled:  # by those who call; no plan of ours changes that
                    continue
                if self._is_kept_elsewhere(ro_number, kind):
                    plan.window = None
                    continue
            wanted = self._wanted_window(order, kind)
            if wanted is None:
                if not call.completions:
                    plan.window = None
            elif wanted != plan.window:  # only what differs from what is in force is written (H16)
                plan.window = plan.last_window = wanted
                plan.missed_on_arrival = wanted.due_at < self._clock
                plan.overdue = False
            if plan.window is not None:
                own_id = follow_up_id(self.store_id, ro_number, kind)
                heapq.heappush(self._falls_due, (plan.window.due_at + ONE_SECOND, own_id))

    def _is_kept_elsewhere(self, ro_number: str, kind: str) -> bool:
        """Tell whether somebody else's plan for this call takes the place of ours (H8)."""
        for other in self._others.get(ro_number, ()):
            scheduled = self._call(other).scheduled
            if scheduled and (scheduled[-1].data.get("ro_number"), scheduled[-1].data["kind"]) == (
                ro_number,
                kind,
            ):
                return True
        return False

    def _wanted_window(self, order: Order, kind: str) -> Window | None:
        """Tell the window that a call should have; None where no anchor stands."""
        if order.cancelled:
            return None
        if kind == "first":
            return self._first_window(order)
        return self._second_window(order)

    def _first_window(self, order: Order) -> Window | None:
        anchor = self._handed_over(order, self._own_call(order.number, "first").completed_at)
        if anchor is None:
            return None
        day = local_day(anchor, self.zone)
        return Window(
            anchor=day,
            opens_at=start_of_day(day + timedelta(days=self.policy.first_opens_after), self.zone),
            target_at=end_of_day(day + timedelta(days=self.policy.first_target_after), self.zone),
            due_at=end_of_day(day + timedelta(days=self.policy.first_due_after), self.zone),
        )

    def _handed_over(self, order: Order, called_at: datetime | None) -> datetime | None:
        """Tell when the customer got the car: the latest handover, else the settlement (H1).

        Once the call was made, the latest handover before it (H7). If it was made before all
        of them and there is no settlement, the latest has to do.
        """
        handovers = [event.at for event in order.handovers]
        before = [moment for moment in handovers if called_at is None or moment <= called_at]
        if before:
            return before[-1]
        if order.delivered_at is not None and not self.policy.anchor_needs_handover:
            return order.delivered_at
        return handovers[-1] if handovers else None

    def _second_window(self, order: Order) -> Window | None:
        """Plan it from the day of call 1, or from its due day if that was missed (H9)."""
        first_window = self._first_window(order)
        if first_window is None:
            return None
        first_plan = self._plans[order.number, "first"]
        first = self._own_call(order.number, "first")
        second_at = self._own_call(order.number, "second").completed_at
        due_day = local_day(first_window.due_at, self.zone)
        if first.completed_at is not None:
            was_late = to_second(first.completed_at) > first_window.due_at
            already_called = second_at is not None and second_at <= first.completed_at
            day = (
                due_day
                if was_late and already_called
                else local_day(first.completed_at, self.zone)
            )
        elif first.cancelled or first_plan.window is None:
            return None
        elif first_plan.overdue or first_plan.missed_on_arrival:
            day = due_day
        else:
            return None
        due_at = end_of_day(day + timedelta(days=self.policy.second_due_after), self.zone)
        return Window(
            anchor=day,
            opens_at=start_of_day(day + timedelta(days=self.policy.second_opens_after), self.zone),
            target_at=due_at,
            due_at=due_at,
        )

    # -- follow-ups as they stand -----------------------------------------------------------------

    def follow_ups(self, ro_number: str) -> OrderFollowUps:
        """Tell what became of the two calls that the service plans for an order."""
        order = self._order(ro_number)
        return OrderFollowUps(
            first=self._own_view(order, "first"), second=self._own_view(order, "second")
        )

    def overdue(self) -> list[tuple[str, datetime]]:
        """List the ``follow_up.overdue`` written for calls of the service's own: (id, due_at)."""
        return list(self._overdue)

    def _own_view(self, order: Order, kind: str) -> FollowUpView | None:
        plan = self._plans.get((order.number, kind), Plan())
        call = self._own_call(order.number, kind)
        if plan.last_window is None:
            return None
        wanted = self._wanted_window(order, kind)
        if call.completions and wanted is not None:
            status, window = "completed", wanted
        elif call.cancelled or call.completions or plan.window is None:
            status, window = "cancelled", None
        elif plan.missed_on_arrival:
            status, window = "missed_on_arrival", plan.window
        else:
            status, window = ("overdue" if plan.overdue else "planned"), plan.window
        return FollowUpView(
            follow_up_id=follow_up_id(self.store_id, order.number, kind),
            kind=kind,
            ro_number=order.number,
            status=status,
            window=window or (plan.last_window if wanted is not None or order.cancelled else None),
            missed_on_arrival=plan.missed_on_arrival,
            completed_at=call.completed_at,
            assignee=call.assignee,
        )

    def _foreign_view(self, call_id: str) -> FollowUpView | None:
        """Read a follow-up that somebody else planned; the last plan counts (H10)."""
        call = self._call(call_id)
        if not call.scheduled:  # completed but never scheduled counts nowhere (H15)
            return None
        plan = call.scheduled[-1]
        due_at = instant(plan.data["due_at"])
        window = Window(
            anchor=local_day(due_at, self.zone),
            opens_at=instant(plan.data["opens_at"]),
            target_at=instant(plan.data.get("target_at", plan.data["due_at"])),
            due_at=due_at,
        )
        missed = due_at < plan.recorded_at
        ro_number = plan.data.get("ro_number")
        if ro_number is not None and self._order(ro_number).cancelled:
            status = "cancelled"
        elif call.completions:
            status = "completed"
        elif call.cancelled:
            status = "cancelled"
        elif missed:
            status = "missed_on_arrival"
        else:
            status = "overdue" if to_second(due_at) + ONE_SECOND <= self._last_sweep else "planned"
        return FollowUpView(
            follow_up_id=call_id,
            kind=plan.data["kind"],
            ro_number=ro_number,
            status=status,
            window=window,
            missed_on_arrival=missed,
            completed_at=call.completed_at,
            assignee=call.assignee,
        )

    def _all_follow_ups(self) -> Iterator[FollowUpView]:
        for ro_number in self._log.subjects("repair_order"):
            both = self.follow_ups(ro_number)
            yield from (view for view in (both.first, both.second) if view is not None)
        for call_id in self._log.subjects("follow_up"):
            if call_id not in self._own_ids and (view := self._foreign_view(call_id)) is not None:
                yield view

    @cached_property
    def _reported_late(self) -> set[str]:
        """Orders of which a customer said in a call that the car was late (D9)."""
        reported = set()
        for call_id in self._log.subjects("follow_up"):
            call = self._call(call_id)
            ro_number = self._own_ids[call_id][0] if call_id in self._own_ids else call.ro_number
            if call.says_on_time is False and ro_number is not None:
                reported.add(ro_number)
        return reported

    # -- judging ----------------------------------------------------------------------------------

    def verdict(self, ro_number: str) -> Verdict:
        """Tell whether a settled order was on time."""
        return self._verdict(self._order(ro_number))

    def _verdict(self, order: Order) -> Verdict:
        delivered_at = order.delivered_at
        if delivered_at is None or order.cancelled:
            return Verdict("not_judged", "not-settled", None, None)
        promises = order.promises_until(delivered_at)
        first = first_promise(promises)
        reference = promise_in_force(promises, self.policy)
        if first is None or reference is None or not order.opened:
            verdict = (
                "late" if self.policy.count_late_without_promise and order.opened else "not_judged"
            )
            return Verdict(verdict, "no-promise", None, None)
        latest = to_minute(reference) + timedelta(minutes=self.policy.grace_minutes)
        on_time_by_papers = to_minute(delivered_at) <= latest
        has_excuse = excused(order)
        if not on_time_by_papers:
            verdict, reason = (
                ("excused", "excused-by-customer") if has_excuse else ("late", "late")
            )
        elif (
            self.policy.customer_report and not has_excuse and order.number in self._reported_late
        ):
            verdict, reason = "late", "customer-says-late"
        else:
            verdict, reason = "on_time", "on-time"
        return Verdict(verdict, reason, reference, instant(first.data["promised_at"]))

    @cached_property
    def _rows(self) -> dict[str, list[Row]]:
        """Everything that counts, by KPI."""
        rows: dict[str, list[Row]] = defaultdict(list)
        for ro_number in self._log.subjects("repair_order"):
            order = self._order(ro_number)
            if order.cancelled:  # counts nowhere (C2)
                continue
            self._judge_opened(order, rows)
            self._judge_dispatch(order, rows)
            if order.settlement is not None:
                self._judge_delivery(order, rows)
                self._judge_quality(order, rows)
                self._judge_settlement(order, rows)
        for view in self._all_follow_ups():
            self._judge_follow_up(view, rows)
        for complaint in self._log.subjects("complaint"):
            self._judge_complaint(complaint, rows)
        for staff_no in self._log.subjects("staff"):
            self._judge_timecards(staff_no, rows)
        return rows

    def _judge_opened(self, order: Order, rows: dict[str, list[Row]]) -> None:
        if order.opened:
            day = local_day(order.opened[0].at, self.zone)
            rows["arrivals"].append(Row(day, order.members, Fraction(1)))

    def _judge_dispatch(self, order: Order, rows: dict[str, list[Row]]) -> None:
        dispatched = order.of("dispatched")
        received = order.of("opened", "authorized")
        if not dispatched or not received:
            return
        day = local_day(dispatched[0].at, self.zone)
        waited = seconds_between(received[0].at, dispatched[0].at)
        if waited < 0:  # left out (G8)
            rows["dispatch_minutes"].append(Row(day, order.members, not_counted="negative-span"))
        else:
            rows["dispatch_minutes"].append(Row(day, order.members, waited))

    def _settled_day(self, order: Order) -> date:
        assert order.delivered_at is not None
        return local_day(order.delivered_at, self.zone)

    def _judge_delivery(self, order: Order, rows: dict[str, list[Row]]) -> None:
        day, members = self._settled_day(order), order.members_when_settled
        delivered_at = order.delivered_at
        assert delivered_at is not None

        def ratio(code: str, *, hit: bool) -> None:
            rows[code].append(Row(day, members, Fraction(hit), Fraction(1)))

        verdict = self._verdict(order)
        counts_as = verdict.verdict
        if counts_as == "excused":
            counts_as = {
                "count_on_time": "on_time",
                "exclude": "not_judged",
                "count_late": "late",
            }[self.policy.customer_caused]
        if counts_as == "not_judged":
            rows["on_time_delivery_rate"].append(Row(day, members, not_counted=verdict.reason))
        else:
            ratio("on_time_delivery_rate", hit=counts_as == "on_time")

        if verdict.first_promise is None:
            rows["on_time_first_promise_rate"].append(Row(day, members, not_counted="no-promise"))
        else:
            latest = to_minute(verdict.first_promise) + timedelta(
                minutes=self.policy.grace_minutes
            )
            ratio("on_time_first_promise_rate", hit=to_minute(delivered_at) <= latest)

        changes = len(order.of("promise_changed"))
        rows["promise_changes_per_visit"].append(Row(day, members, Fraction(changes), Fraction(1)))
        ratio("promise_coverage_rate", hit=bool(order.promises_until(delivered_at)))
        if verdict.verdict == "excused" and self.policy.customer_caused != "count_late":
            rows["excused_late_count"].append(Row(day, members, Fraction(1)))

        if not order.opened:
            rows["repair_cycle_hours"].append(Row(day, members, not_counted="never-opened"))
        elif delivered_at < order.opened[0].at:
            rows["repair_cycle_hours"].append(Row(day, members, not_counted="negative-span"))
        else:
            span = seconds_between(order.opened[0].at, delivered_at)
            rows["repair_cycle_hours"].append(Row(day, members, span))

    def _judge_quality(self, order: Order, rows: dict[str, list[Row]]) -> None:
        day, members = self._settled_day(order), order.members_when_settled
        inspections = order.of("inspected")
        failed = sum(1 for event in inspections if event.data["passed"] is False)
        comebacks = counted_comebacks(order, self._odometer_at_opening, self.zone, self.policy)

        def ratio(code: str, numerator: int, denominator: int) -> None:
            rows[code].append(Row(day, members, Fraction(numerator), Fraction(denominator)))

        ratio("external_rework_rate", comebacks > 0, 1)
        ratio("rework_rate", comebacks > 0 or failed > 0, 1)
        if inspections:
            ratio("internal_rework_rate", failed > 0, 1)
        else:
            rows["internal_rework_rate"].append(Row(day, members, not_counted="not-inspected"))
        if members["work_type"] in REPAIR_WORK_TYPES:
            ratio("first_time_fix_rate", comebacks == 0, 1)
        else:
            rows["first_time_fix_rate"].append(Row(day, members, not_counted="other-work-type"))
        if failed + comebacks:
            ratio("quality_containment_rate", failed, failed + comebacks)
        else:
            rows["quality_containment_rate"].append(Row(day, members, not_counted="no-defect"))

    def _odometer_at_opening(self, ro_number: str) -> Fraction | None:
        said = self._order(ro_number).from_opened("odometer_km")
        return None if said is None else number(said)

    def _judge_settlement(self, order: Order, rows: dict[str, list[Row]]) -> None:
        day, members = self._settled_day(order), order.members_when_settled
        assert order.settlement is not None
        data = order.settlement.data
        revenue = order.amounts("amounts") or Fraction(0)
        costs = order.amounts("costs")
        rows["visits_settled"].append(Row(day, members, Fraction(1)))
        rows["repair_revenue"].append(Row(day, members, revenue))
        rows["revenue_growth"].append(Row(day, members, revenue))
        rows["revenue_per_visit"].append(Row(day, members, revenue, Fraction(1)))
        rows["complaint_rate"].append(Row(day, members, Fraction(0), Fraction(1)))
        if costs is None:
            rows["gross_margin"].append(Row(day, members, not_counted="no-costs"))
        else:
            rows["gross_margin"].append(Row(day, members, revenue - costs, revenue))
        if "billed_hours" in data and "clocked_hours" in data:
            billed, clocked = number(data["billed_hours"]), number(data["clocked_hours"])
            rows["labor_efficiency"].append(Row(day, members, billed, clocked))
        else:
            rows["labor_efficiency"].append(Row(day, members, not_counted="no-hours"))
        requested = number(data.get("parts_requested", 0))
        if requested > 0:
            filled = "parts_filled" in data and number(data["parts_filled"]) >= requested
            rows["parts_fill_rate"].append(Row(day, members, Fraction(filled), Fraction(1)))
            rows["parts_shortage_rate"].append(
                Row(day, members, Fraction(not filled), Fraction(1))
            )
        else:
            rows["parts_fill_rate"].append(Row(day, members, not_counted="no-parts-requested"))
            rows["parts_shortage_rate"].append(Row(day, members, not_counted="no-parts-requested"))

    def _judge_follow_up(self, view: FollowUpView, rows: dict[str, list[Row]]) -> None:
        if view.kind not in {"first", "second"} or view.window is None:
            return
        codes = ["follow_up_on_time_rate"]
        if view.kind == "first":
            codes += ["follow_up_rate", "follow_up_target_rate"]
        day, members = local_day(view.window.due_at, self.zone), {"assignee": view.assignee}
        if view.status in {"cancelled", "missed_on_arrival"}:
            for code in codes:
                rows[code].append(Row(day, members, not_counted=view.status.replace("_", "-")))
        elif view.status in {"completed", "overdue"}:
            completed_at = view.completed_at if view.status == "completed" else None
            for code in codes:
                hit = completed_at is not None and self._call_counts(
                    code, to_second(completed_at), view.window
                )
                rows[code].append(Row(day, members, Fraction(hit), Fraction(1)))

    @staticmethod
    def _call_counts(code: str, completed_at: datetime, window: Window) -> bool:
        if code == "follow_up_on_time_rate":
            return to_second(window.opens_at) <= completed_at <= to_second(window.due_at)
        if code == "follow_up_target_rate":  # no lower bound (H11)
            return completed_at <= to_second(window.target_at)
        return True

    def _judge_complaint(self, complaint_id: str, rows: dict[str, list[Row]]) -> None:
        opened = [
            event
            for event in self._log.standing("complaint", complaint_id)
            if event.type == "complaint.opened"
        ]
        if not opened:
            return
        said: dict[str, Any] = {}
        for event in opened:
            said.update(event.data)
        advisor = (
            self._order(said["ro_number"]).from_opened("advisor") if "ro_number" in said else None
        )
        members = {"advisor": advisor, "nature": said.get("nature")}
        rows["complaint_rate"].append(
            Row(local_day(opened[0].at, self.zone), members, Fraction(1), Fraction(0))
        )

    def _judge_timecards(self, staff_no: str, rows: dict[str, list[Row]]) -> None:
        latest: dict[str, LogEvent] = {}
        for event in self._log.standing("staff", staff_no):
            if event.type == "staff.timecard_recorded":
                latest[event.data["work_date"]] = event
        # a card without clocked hours is out altogether: it is neither settled nor due (E8, G10)
        for work_date, card in latest.items():
            day, members = (
                date.fromisoformat(work_date),
                {"technician": staff_no, "team": card.data.get("team")},
            )
            if "clocked_hours" in card.data and "attended_hours" in card.data:
                clocked, attended = (
                    number(card.data["clocked_hours"]),
                    number(card.data["attended_hours"]),
                )
                rows["labor_utilization"].append(Row(day, members, clocked, attended))

    # -- adding up --------------------------------------------------------------------------------

    def kpi(
        self, code: str, period: str, start: date, stop: date, by: str = "store"
    ) -> list[Value]:
        """Tell the values for the whole periods that touch [start, stop), by period and member.

        Raises:
            KeyError: no such KPI.
            ValueError: a grain that it doesn't have (E9), or no such period.
        """
        _, grains = KPIS[code]
        if by not in ("store", *grains):
            message = f"{code} has no grain {by}"
            raise ValueError(message)
        values = []
        begins = period_start(period, start)
        while begins < stop:
            ends = period_end(period, begins)
            values += self._period_values(code, begins, ends, by)
            begins = ends
        return values

    def _period_values(self, code: str, begins: date, ends: date, by: str) -> list[Value]:
        rows = self._rows_between(code, begins, ends)
        earlier: list[Row] = []
        if KPIS[code][0] == "growth":
            one_day = ends - begins == ONE_DAY
            until = year_before(begins) + ONE_DAY if one_day else year_before(ends)
            earlier = self._rows_between(code, year_before(begins), until)
        if by == "store":
            return [self._value(code, begins, ends, None, rows, earlier)]
        # a visit has no nature: all visits of the store stand below each nature's line (J11)
        by_nature = by == "nature"
        visits = [row for row in rows if by_nature and row.denominator]
        belonging = [row for row in rows if not by_nature or not row.denominator]
        members = {row.members[by] for row in [*belonging, *earlier]}
        return [
            self._value(
                code,
                begins,
                ends,
                member,
                [row for row in belonging if row.members[by] == member] + visits,
                [row for row in earlier if row.members[by] == member],
            )
            for member in sorted(members, key=lambda member: (member is None, member or ""))
        ]

    def _rows_between(self, code: str, begins: date, ends: date) -> list[Row]:
        return [row for row in self._rows.get(code, ()) if begins <= row.day < ends]

    @staticmethod
    def _value(
        code: str,
        begins: date,
        ends: date,
        member: str | None,
        rows: Sequence[Row],
        earlier: Sequence[Row],
    ) -> Value:
        shape = KPIS[code][0]
        numerators = [row.numerator for row in rows if row.numerator is not None]
        denominators = [row.denominator for row in rows if row.denominator is not None]
        numerator: str | None = None
        denominator: str | None = None
        value: str | None = None
        exact: Fraction | None = None
        if shape == "ratio":
            over, under = sum(numerators, Fraction(0)), sum(denominators, Fraction(0))
            numerator, denominator = exact_text(over), exact_text(under)
            exact = over / under if under else None
            value = rounded_text(exact, 6) if exact is not None else None
        elif shape == "sum":
            exact = sum(numerators, Fraction(0))
            numerator = value = exact_text(exact)
        elif shape == "growth":
            now = sum(numerators, Fraction(0))
            before = sum(
                (row.numerator for row in earlier if row.numerator is not None), Fraction(0)
            )
            exact = (now - before) / before if before else None
            value = rounded_text(exact, 6) if exact is not None else None
        elif numerators:
            exact = median(numerators) / {"median_hours": 3600, "median_minutes": 60}[shape]
            value = rounded_text(exact, 2)
        not_counted: dict[str, int] = {}
        for row in rows:
            if row.not_counted is not None:
                not_counted[row.not_counted] = not_counted.get(row.not_counted, 0) + 1
        return Value(
            period_start=begins.isoformat(),
            period_end=ends.isoformat(),
            member=member,
            numerator=numerator,
            denominator=denominator,
            value=value,
            not_counted=not_counted,
            exact=exact,
        )
