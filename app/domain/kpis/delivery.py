"""Delivery: was the promise kept? The papers, the excuse, the customer's word."""

from datetime import timedelta
from decimal import Decimal
from typing import Final

import msgspec

from app.domain.follow_up import FollowUp
from app.domain.kpis import reasons
from app.domain.kpis.facts import ONE, ZERO, FactEntry
from app.domain.kpis.kpi import Grain, Kpi, Words
from app.domain.kpis.promises import Walk, walk_promises
from app.domain.kpis.verdict import OnTimeVerdict
from app.domain.kpis.visit import Visit, minute, seconds, whole_seconds
from app.domain.repair_order import DelayNote, DelayReview, Promise, RepairOrder

_FAMILY: Final = Words("Delivery", "交车")
_GRAINS: Final[tuple[Grain, ...]] = ("store", "advisor", "technician", "team", "work_type")
_PROMISE_RULES: Final = (
    "on_time.no_promise",
    "on_time.repromise_reasons",
    "on_time.repromise_after_due",
    "on_time.unknown_confirmation",
    "on_time.grace_minutes",
    "on_time.customer_caused",
    "on_time.customer_report",
)


class OnTimeDeliveryRate(Kpi):
    """Settled orders delivered by the promise in force over those judged, by settled day.

    A delivery in the promised minute is on time. An order without any promise at its delivered
    time is not judged (or late, by policy), one that was never opened is not judged either (B3).
    Lateness that the customer signed for is excused: on time by default. A customer who says
    "late" in a follow-up outweighs the papers. Exact parts; no value when nothing was judged.
    """

    code = "on_time_delivery_rate"
    name = Words("On-time delivery rate", "准时交车率")
    formula = Words(
        "settled orders judged on time / settled orders judged on time or late",
        "准时交车的已结算工单数 / 判定为准时或迟交的已结算工单数",
    )
    family = _FAMILY
    source = "design/kpis.md, Delivery; domain catalogue 2.14, 2.15, 3.3, C10-C15"
    grains = _GRAINS
    target = Decimal("0.96")
    direction = "up"
    policy_keys = _PROMISE_RULES


class OnTimeFirstPromiseRate(Kpi):
    """Settled orders delivered by the very first promise over those that had one, by settled day.

    Knows no changed promise, no excuse and no customer report; the grace applies (D13). Orders
    without a promise as in on_time_delivery_rate.
    """

    code = "on_time_first_promise_rate"
    name = Words("On-time rate against the first promise", "首次承诺准时交车率")
    formula = Words(
        "settled orders delivered by their first promise / settled orders judged against it",
        "按首次承诺时间交车的已结算工单数 / 按首次承诺判定的已结算工单数",
    )
    family = _FAMILY
    source = "design/kpis.md, Delivery; domain catalogue 2.15"
    grains = _GRAINS
    direction = "up"
    policy_keys = ("on_time.no_promise", "on_time.grace_minutes")


class PromiseChangesPerVisit(Kpi):
    """Changes of the promise per settled order, by settled day.

    Counts every change that stands, whenever it came and whether or not it replaced the reference
    (D14).
    """

    code = "promise_changes_per_visit"
    name = Words("Promise changes per visit", "单台承诺变更次数")
    formula = Words(
        "changes of the promised time / settled orders", "承诺交车时间变更次数 / 已结算工单数"
    )
    family = _FAMILY
    source = "design/kpis.md, Delivery; domain catalogue 2.14"
    grains = _GRAINS
    direction = "down"


class PromiseCoverageRate(Kpi):
    """Settled orders with any promise over settled orders, by settled day.

    Without it an on-time rate can be dressed up. What was promised only after the delivered time
    is no promise (D5).
    """

    code = "promise_coverage_rate"
    name = Words("Promise coverage rate", "承诺交车时间覆盖率")
    formula = Words(
        "settled orders with any promise / settled orders",
        "有承诺交车时间的已结算工单数 / 已结算工单数",
    )
    family = _FAMILY
    source = "design/kpis.md, Delivery; domain catalogue 2.14"
    grains = _GRAINS
    direction = "up"


class ExcusedLateCount(Kpi):
    """Settled orders whose lateness is excused, by settled day: the list of the spot check.

    Counted where the policy takes excused orders for on time or leaves them out; 0 where it counts
    them as late (D12).
    """

    code = "excused_late_count"
    name = Words("Excused late deliveries", "客户原因迟交台次")
    formula = Words(
        "settled orders whose lateness the customer signed for", "客户签字认可延误的已结算工单数"
    )
    family = _FAMILY
    source = "design/kpis.md, Delivery; domain catalogue 2.15, C10"
    unit = "count"
    aggregation = "sum"
    grains = _GRAINS
    policy_keys = _PROMISE_RULES


class RepairCycleHours(Kpi):
    """Median hours from the first opening to the delivered time of settled orders, by settled day.

    The exact elapsed time; negative spans and orders that were never opened are left out, 0 is a
    sample (G8). Not additive: computed for each period and member, rounded once (G9).
    """

    code = "repair_cycle_hours"
    name = Words("Repair cycle", "维修周期")
    formula = Words(
        "median of delivered time - opened, in hours", "交车时间减开单时间的中位数（小时）"
    )
    family = _FAMILY
    source = "design/kpis.md, Delivery; domain catalogue 3.3"
    unit = "hours"
    aggregation = "median"
    grains = _GRAINS
    direction = "down"


KPIS: Final = (
    OnTimeDeliveryRate(),
    OnTimeFirstPromiseRate(),
    PromiseChangesPerVisit(),
    PromiseCoverageRate(),
    ExcusedLateCount(),
    RepairCycleHours(),
)


# --- The verdict --------------------------------------------------------------------------------


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """The verdict on one delivery, with what decided it.

    Attributes:
        verdict: As the wire has it.
        reason: The deciding reason (D16).
        parts: Of on_time_delivery_rate; None if it is in neither.
        walk: The promises.
        late_minutes: Delivered after the reference; negative is early; 0 without a reference.
        excused: A signed note stands that no review rejects, whatever the papers say.
        flagged: The customer says late, and that did not decide (D8, kpis.md step 5).
    """

    verdict: OnTimeVerdict
    reason: str
    parts: tuple[Decimal, Decimal] | None
    walk: Walk
    late_minutes: int
    excused: bool
    flagged: bool = False

    @property
    def reasons(self) -> tuple[str, ...]:
        """The deciding reason, and what flags it."""
        if self.flagged:
            return (self.reason, reasons.CUSTOMER_SAYS_LATE)
        return (self.reason,)


_IN_BOTH: Final = (ONE, ONE)
_IN_DENOMINATOR: Final = (ZERO, ONE)


def judge_delivery(visit: Visit) -> Judgement:
    """Judge one settled order: steps 1 to 5 of the verdict."""
    order, policy = visit.order, visit.policy
    walk = walk_promises(order.promises, policy, visit.delivered_at)
    reference = walk.reference
    excused = has_excuse(order)
    if reference is None or order.first_opened_at is None:
        late_minutes = 0 if reference is None else _late_minutes(visit, reference)
        if order.first_opened_at is not None and policy.on_time_no_promise == "count_late":
            return Judgement(
                "late", reasons.NO_PROMISE, _IN_DENOMINATOR, walk, late_minutes, excused
            )
        reason = reasons.NO_PROMISE if reference is None else reasons.NEVER_OPENED
        return Judgement("not_judged", reason, None, walk, late_minutes, excused)

    late_minutes = _late_minutes(visit, reference)
    if late_minutes > policy.on_time_grace_minutes:
        if not excused or policy.on_time_customer_caused == "count_late":
            return Judgement("late", reasons.LATE, _IN_DENOMINATOR, walk, late_minutes, excused)
        parts = _IN_BOTH if policy.on_time_customer_caused == "count_on_time" else None
        flagged = customer_says_late(visit)
        return Judgement("excused", reasons.EXCUSED, parts, walk, late_minutes, excused, flagged)

    says_late = customer_says_late(visit)
    if says_late and not excused and policy.on_time_customer_report == "union":
        return Judgement(
            "late",
            reasons.CUSTOMER_SAYS_LATE,
            _IN_DENOMINATOR,
            walk,
            late_minutes,
            excused,
        )
    return Judgement("on_time", reasons.ON_TIME, _IN_BOTH, walk, late_minutes, excused, says_late)


def standing_note(order: RepairOrder) -> DelayNote | None:
    """The last signed note that the last review does not reject; None without one (D6, D7)."""
    review = order.delay_reviews[-1] if order.delay_reviews else None
    for note in reversed(order.delay_notes):
        if note.signed and (review is None or review.accepted or not _after(review, note)):
            return note
    return None


def has_excuse(order: RepairOrder) -> bool:
    """Whether a signed note stands that the last review after it does not reject."""
    return bool(order.delay_notes) and standing_note(order) is not None


def _after(review: DelayReview, note: DelayNote) -> bool:
    return (review.at, review.seq) > (note.at, note.seq)


def reports_late(follow_up: FollowUp) -> bool:
    """Whether the last answer given in this follow-up is that it was late (D9)."""
    return bool(follow_up.completions) and follow_up.customer_says_on_time is False


def customer_says_late(visit: Visit) -> bool:
    """Whether any follow-up of the order says so (D9, H20)."""
    return any(map(reports_late, visit.follow_ups))


def _late_minutes(visit: Visit, promise: Promise) -> int:
    """Whole minutes from the promise to the delivery, seconds cut off on both sides."""
    return minute(visit.delivered_at) - minute(promise.promised_at)


# --- The entries --------------------------------------------------------------------------------


def judge(visit: Visit) -> list[FactEntry]:
    """What a settled order gives to this family."""
    order = visit.order
    judged = judge_delivery(visit)
    parts = judged.parts or (None, None)
    lateness = judged.late_minutes * 60
    entries = [
        FactEntry("on_time_delivery_rate", parts[0], parts[1], judged.reason, lateness),
        _first_promise(visit, judged),
        _changes(order),
        FactEntry("promise_coverage_rate", ZERO, ONE, reasons.NO_PROMISE)
        if judged.walk.first is None
        else FactEntry("promise_coverage_rate", ONE, ONE, reasons.PROMISED),
        _cycle(visit),
    ]
    if judged.verdict == "excused":
        entries.append(FactEntry("excused_late_count", ONE, None, reasons.EXCUSED, lateness))
    return entries


def _first_promise(visit: Visit, judged: Judgement) -> FactEntry:
    """Against the first promise alone (D13)."""
    code = "on_time_first_promise_rate"
    first = judged.walk.first
    if first is None or visit.order.first_opened_at is None:
        # without a promise in force there is no first one either: the same answer as above
        parts = judged.parts or (None, None)
        return FactEntry(code, parts[0], parts[1], judged.reason)
    late_minutes = _late_minutes(visit, first)
    if late_minutes > visit.policy.on_time_grace_minutes:
        return FactEntry(code, ZERO, ONE, reasons.LATE, late_minutes * 60)
    return FactEntry(code, ONE, ONE, reasons.ON_TIME, late_minutes * 60)


def _changes(order: RepairOrder) -> FactEntry:
    count = order.promise_changes
    reason = reasons.PROMISE_CHANGED if count else reasons.PROMISE_UNCHANGED
    return FactEntry("promise_changes_per_visit", Decimal(count), ONE, reason)


def _cycle(visit: Visit) -> FactEntry:
    code = "repair_cycle_hours"
    opened_at = visit.order.first_opened_at
    if opened_at is None:
        return FactEntry(code, None, None, reasons.NEVER_OPENED)
    span = visit.delivered_at - opened_at
    if span < timedelta(0):
        return FactEntry(code, None, None, reasons.NEGATIVE_SPAN)
    return FactEntry(code, seconds(span), None, reasons.MEASURED, whole_seconds(span))
