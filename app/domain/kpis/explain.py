"""Why one subject counts in one KPI, or does not: a verdict, its reasons, a sentence, the events.

Explanations are made from the same judgement as the facts, so that they cannot say otherwise.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

from app.domain.complaint import Complaint
from app.domain.follow_up import FollowUp
from app.domain.kpis import (
    call_words,
    delivery,
    delivery_words,
    order_words,
    productivity,
    reasons,
    volume,
)
from app.domain.kpis.facts import Fact, FactEntry
from app.domain.kpis.judge import (
    judge_complaint,
    judge_follow_up,
    judge_timecard,
    judge_visit,
)
from app.domain.kpis.productivity import DispatchMinutes
from app.domain.kpis.registry import KPIS
from app.domain.kpis.verdict import OnTime, Verdict, ascending, sentence
from app.domain.kpis.visit import Visit, visit_of
from app.domain.kpis.volume import Arrivals
from app.domain.policies import Policies, Policy
from app.domain.repair_order import RepairOrder
from app.domain.staff import Timecard

_CODES_OF_DELIVERY = frozenset(kpi.code for kpi in delivery.KPIS)


def on_time(
    order: RepairOrder, follow_ups: Sequence[FollowUp], policy: Policy, zone: ZoneInfo
) -> OnTime:
    """The verdict on the delivery of an order in any state.

    Args:
        order: One that is not settled or is cancelled is not judged, and the reason says so.
        follow_ups: Those joined by its number, of any kind and state.
        policy: The one valid on the settled day (`settled_day` in `app.domain.kpis.visit`); for an
            order that is not settled the one valid today.
        zone: Of the store.
    """
    return delivery_words.explain_on_time(order, follow_ups, policy, zone)


def explain_repair_order(
    code: str,
    order: RepairOrder,
    *,
    follow_ups: Sequence[FollowUp],
    comeback_odometers: Mapping[str, Decimal],
    policies: Policies,
    zone: ZoneInfo,
) -> Verdict:
    """Why an order counts in a KPI, or does not; arguments as for `judge_repair_order`.

    For revenue_growth that is why it counts in the revenue it is computed from.

    Raises:
        KeyError: there is no such KPI.
    """
    bases = KPIS[code].bases
    if order.cancelled:
        return _not_counted(reasons.CANCELLED, {order.cancelled_seq})
    if code == Arrivals.code:
        return _explain_arrival(order, zone)
    if code == DispatchMinutes.code:
        return _explain_dispatch(order, zone)
    if "settled" not in bases:
        return _not_counted(reasons.UNRELATED, set())
    visit = visit_of(
        order,
        follow_ups=follow_ups,
        comeback_odometers=comeback_odometers,
        policies=policies,
        zone=zone,
    )
    if visit is None:
        return _not_counted(reasons.NOT_SETTLED, {order.first_opened_seq})
    return _explain_visit(code, visit)


def _explain_arrival(order: RepairOrder, zone: ZoneInfo) -> Verdict:
    if order.first_opened_at is None:
        return _not_counted(reasons.NEVER_OPENED, set())
    entry = volume.judge_arrival()[0]
    return order_words.explain_arrival(order, order.first_opened_at, entry, zone)


def _explain_dispatch(order: RepairOrder, zone: ZoneInfo) -> Verdict:
    if order.first_dispatched_at is None:
        return _not_counted(reasons.NOT_DISPATCHED, {order.first_opened_seq})
    entry = productivity.judge_dispatch(order)[0]
    return order_words.explain_dispatch(order, entry, zone)


def _explain_visit(code: str, visit: Visit) -> Verdict:
    entries = {entry.code: entry for entry in judge_visit(visit).entries}
    if code in _CODES_OF_DELIVERY:
        return delivery_words.explain(code, visit, entries.get(code))
    entry = entries[KPIS[code].sums_of or code]
    if code in order_words.CODES_OF_QUALITY:
        return order_words.explain_quality(code, visit, entry)
    return order_words.explain_settlement(code, visit, entry)


def explain_follow_up(
    code: str, follow_up: FollowUp, order: RepairOrder | None, *, zone: ZoneInfo
) -> Verdict:
    """Why a follow-up counts in a KPI, or does not; arguments as for `judge_follow_up`.

    Raises:
        KeyError: there is no such KPI.
    """
    if "due" not in KPIS[code].bases:
        return _not_counted(reasons.UNRELATED, set())
    entry = _entry(judge_follow_up(follow_up, order, zone=zone), code)
    return call_words.explain_call(code, follow_up, order, entry, zone)


def explain_complaint(
    code: str, complaint: Complaint, order: RepairOrder | None, *, zone: ZoneInfo
) -> Verdict:
    """Why a complaint counts in a KPI, or does not; arguments as for `judge_complaint`.

    Raises:
        KeyError: there is no such KPI.
    """
    if "nature" not in KPIS[code].grains:
        return _not_counted(reasons.UNRELATED, set())
    entry = _entry(judge_complaint(complaint, order, zone=zone), code)
    return call_words.explain_complaint(complaint, entry, zone)


def explain_timecard(code: str, timecard: Timecard) -> Verdict:
    """Why a timecard counts in a KPI, or does not.

    Raises:
        KeyError: there is no such KPI.
    """
    if "work" not in KPIS[code].bases:
        return _not_counted(reasons.UNRELATED, set())
    return call_words.explain_hours(timecard, _entry(judge_timecard(timecard), code))


def _entry(facts: Sequence[Fact], code: str) -> FactEntry | None:
    for fact in facts:
        for entry in fact.entries:
            if entry.code == code:
                return entry
    return None


def _not_counted(reason: str, seqs: set[int | None]) -> Verdict:
    words = sentence("not_counted", reasons.REASONS[reason])
    return Verdict("not_counted", (reason,), words, ascending(seqs))
