"""The verdict on a delivery in words: what was promised, what moved the promise, what did not."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from app.domain.follow_up import FollowUp
from app.domain.kpis import reasons
from app.domain.kpis.delivery import (
    ExcusedLateCount,
    Judgement,
    OnTimeDeliveryRate,
    OnTimeFirstPromiseRate,
    PromiseChangesPerVisit,
    PromiseCoverageRate,
    judge_delivery,
    reports_late,
    standing_note,
)
from app.domain.kpis.facts import FactEntry
from app.domain.kpis.kpi import Words
from app.domain.kpis.promises import Refusal, Step, Walk, taken_for_granted, walk_promises
from app.domain.kpis.verdict import OnTime, Verdict, ascending, parts_of, sentence
from app.domain.kpis.visit import Visit, settled_day
from app.domain.kpis.wording import Times, date_and_time, joined, span_words, times_word
from app.domain.policies import Policy
from app.domain.repair_order import Promise, RepairOrder

_CAUSES: Final = {
    "add_on": Words("an add-on", "增项"),
    "customer_request": Words("a request of the customer", "客户要求"),
    "parts_delay": Words("a delay of parts", "备件延误"),
    "shop_delay": Words("a delay in the shop", "车间延误"),
}
_OTHER_CAUSE: Final = Words("another reason", "其他原因")


def explain_on_time(
    order: RepairOrder, follow_ups: Sequence[FollowUp], policy: Policy, zone: ZoneInfo
) -> OnTime:
    """The verdict on the delivery of an order in any state, for `on_time` of the order."""
    day = settled_day(order, zone)
    settlement = order.settlement
    if day is not None and settlement is not None:
        visit = Visit(order, settlement, day, policy, zone, follow_ups, {})
        judged = judge_delivery(visit)
        promised = judged.walk.reference
        return OnTime(
            judged.verdict,
            judged.reasons,
            sentence(judged.verdict, joined(_clauses(visit, judged))),
            None if promised is None else promised.promised_at,
            _seqs(visit, judged),
        )
    walk = walk_promises(order.promises, policy, order.delivered_at)
    times = Times(zone, _instants(walk))
    clauses = [*_promised(walk, times), *_moves(walk.steps, times)]
    seqs: set[int | None] = {step.promise.seq for step in walk.steps}
    if order.cancelled:
        reason = reasons.CANCELLED
        clauses = [
            Words("the order is cancelled and counts nowhere", "工单已取消，不计入任何指标")
        ]
        seqs = {order.cancelled_seq}
    else:
        reason = reasons.NOT_SETTLED
        clauses.insert(0, reasons.REASONS[reason])
    return OnTime(
        "not_judged",
        (reason,),
        sentence("not_judged", joined(clauses)),
        None if walk.reference is None else walk.reference.promised_at,
        ascending(seqs),
    )


def explain(code: str, visit: Visit, entry: FactEntry | None) -> Verdict:
    """Why a settled order counts in a KPI of this family, or does not."""
    judged = judge_delivery(visit)
    if code == OnTimeDeliveryRate.code:
        what = joined(_clauses(visit, judged))
        return Verdict(
            judged.verdict,
            judged.reasons,
            sentence(judged.verdict, what),
            _seqs(visit, judged),
        )
    if code == OnTimeFirstPromiseRate.code and entry is not None:
        return _first_promise(visit, judged, entry)
    reason = reasons.NOT_EXCUSED if entry is None else entry.reason
    settled: set[int | None] = {visit.settlement.seq}
    if code == ExcusedLateCount.code:
        of_verdict = sentence(judged.verdict, joined(_clauses(visit, judged)))
        what = joined([reasons.REASONS[reason], of_verdict])
        seqs = _seqs(visit, judged)
    elif code == PromiseChangesPerVisit.code:
        changes = [given for given in visit.order.promises if given.by == "changed"]
        what = _changes(changes)
        seqs = ascending(settled | {given.seq for given in changes})
    elif code == PromiseCoverageRate.code:
        times = Times(visit.zone, [*_instants(judged.walk), visit.delivered_at])
        what = joined(_promised(judged.walk, times))
        seqs = ascending(settled | {judged.walk.first.seq if judged.walk.first else None})
    else:
        what = _cycle(visit)
        seqs = ascending(settled | {visit.order.first_opened_seq})
    verdict = parts_of(entry)
    return Verdict(verdict, (reason,), sentence(verdict, what), seqs)


def _first_promise(visit: Visit, judged: Judgement, entry: FactEntry) -> Verdict:
    times = Times(visit.zone, [*_instants(judged.walk), visit.delivered_at])
    first = judged.walk.first
    if entry.numerator is None:
        verdict = judged.verdict
    else:
        verdict = "on_time" if entry.numerator else "late"
    if first is None:
        what = joined(_no_promise(visit, judged))
    else:
        promised, delivered = times(first.promised_at), times(visit.delivered_at)
        clauses = [
            Words(
                f"first promised {promised}, delivered {delivered}",
                f"首次承诺{promised}交车，实际{delivered}交车",
            )
        ]
        if entry.numerator is None:
            clauses.insert(0, reasons.REASONS[entry.reason])
        what = joined([*clauses, *_grace(visit), *_settlements(visit)])
    seqs = ascending({visit.settlement.seq, None if first is None else first.seq})
    return Verdict(verdict, (entry.reason,), sentence(verdict, what), seqs)


# --- The sentence of the verdict ----------------------------------------------------------------


def _clauses(visit: Visit, judged: Judgement) -> Iterator[Words]:
    walk = judged.walk
    times = Times(visit.zone, [*_instants(walk), visit.delivered_at])
    if walk.reference is None:
        yield from _no_promise(visit, judged)
        return
    if judged.reason == reasons.NEVER_OPENED:
        yield reasons.REASONS[reasons.NEVER_OPENED]
    promised, delivered = times(walk.reference.promised_at), times(visit.delivered_at)
    yield Words(
        f"promised {promised}, delivered {delivered}", f"承诺{promised}交车，实际{delivered}交车"
    )
    yield from _moves(walk.steps, times)
    yield from _grace(visit)
    yield from _excuse(visit, judged)
    yield from _customer(judged, visit)
    yield from _settlements(visit)


def _no_promise(visit: Visit, judged: Judgement) -> Iterator[Words]:
    yield reasons.REASONS[reasons.NO_PROMISE]
    if visit.order.first_opened_at is None:
        yield reasons.REASONS[reasons.NEVER_OPENED]
    times = Times(visit.zone, [*_instants(judged.walk), visit.delivered_at])
    yield from _moves(judged.walk.steps, times)
    if judged.verdict == "late":
        yield Words(
            "by the policy an order without a promise is late", "按规则，没有承诺的工单视为迟交"
        )
    yield from _settlements(visit)


def _promised(walk: Walk, times: Times) -> Iterator[Words]:
    if walk.reference is None:
        yield reasons.REASONS[reasons.NO_PROMISE]
    else:
        promised = times(walk.reference.promised_at)
        yield Words(f"promised {promised}", f"承诺{promised}交车")


def _moves(steps: Sequence[Step], times: Times) -> Iterator[Words]:
    """What became of every promise but the first."""
    old = ""
    for step in steps:
        new = times(step.promise.promised_at)
        match step.effect:
            case "first":
                old = new
            case "replaced":
                yield _replaced(step.promise, old, new)
                old = new
            case "refused":
                yield _refused(step, old, new)
            case "ignored":
                yield Words(
                    f"the change to {new} came before the first promise and has no effect",
                    f"改为{new}的变更早于首次承诺，无效",
                )
            case _:
                yield Words(
                    f"{new} was promised only after the delivery", f"{new}是在交车之后才承诺的"
                )


def _replaced(promise: Promise, old: str, new: str) -> Words:
    if promise.by != "changed":
        return Words(
            f"the customer's authorization moved {old} to {new}",
            f"客户签字将{old}改为{new}",
        )
    cause = _cause(promise)
    if promise.inferred:
        return Words(
            f"the new time {new} instead of {old} holds: it was read out of a snapshot of the "
            "order, its reason and confirmation are not known and taken for granted",
            f"新时间{new}取代{old}：由工单快照推断，原因和客户确认未知，按已确认处理",
        )
    if taken_for_granted(promise):
        return Words(
            f"the new time {new} instead of {old} holds: what is not known of its reason or "
            "confirmation is taken for granted",
            f"新时间{new}取代{old}：原因或客户确认未知，按已确认处理",
        )
    return Words(
        f"the new time {new} instead of {old} for {cause.en} was confirmed by the customer",
        f"因{cause.zh}将{old}改为{new}，已经客户确认",
    )


def _refused(step: Step, old: str, new: str) -> Words:
    cause = _cause(step.promise)
    words: dict[Refusal, Words] = {
        "reason": Words(
            f"was given for {cause.en}, which does not move a promise",
            f"原因是{cause.zh}，不能变更承诺",
        ),
        "unknown_reason": Words("has no known reason", "原因未知"),
        "unconfirmed": Words("was never confirmed by the customer", "未经客户确认"),
        "unknown_confirmation": Words(
            "is not known to be confirmed by the customer", "不知客户是否确认"
        ),
        "after_due": Words(f"came when {old} had already passed", f"提出时{old}已过"),
    }
    faults = [words[refusal] for refusal in step.refusals]
    read = Words(", read out of a snapshot of the order,", "（由工单快照推断）")
    seen = read if step.promise.inferred else Words("", "")
    return Words(
        f"the new time {new}{seen.en} " + ", and ".join(fault.en for fault in faults),
        f"新时间{new}{seen.zh}" + "，且".join(fault.zh for fault in faults),
    )


def _cause(promise: Promise) -> Words:
    return _CAUSES.get(promise.reason or "", _OTHER_CAUSE)


def _grace(visit: Visit) -> Iterator[Words]:
    minutes = visit.policy.on_time_grace_minutes
    if minutes:
        yield Words(f"{times_word(minutes, 'minute', 'minutes')} of grace", f"宽限{minutes}分钟")


def _excuse(visit: Visit, judged: Judgement) -> Iterator[Words]:
    """What was said of the customer's part in a lateness by the papers."""
    order = visit.order
    signed = any(note.signed for note in order.delay_notes)
    if judged.late_minutes <= visit.policy.on_time_grace_minutes or not order.delay_notes:
        return
    if not signed:
        yield Words(
            "a note of the customer's own delay was not signed", "客户原因的备注未经客户签字"
        )
    elif not judged.excused:
        yield Words(
            "the customer's signed note was rejected in the spot check", "客户签字的备注被抽查驳回"
        )
    elif judged.verdict == "late":
        yield Words(
            "the customer signed for the delay, which by the policy excuses nothing",
            "客户已签字认可延误，但按规则不免责",
        )
    else:
        counted = judged.parts is not None
        yield Words(
            "the customer signed that the delay was on the customer's side, so it "
            + ("counts as on time" if counted else "is left out"),
            "客户已签字确认延误由客户造成，" + ("按准时计算" if counted else "不计入"),
        )


def _customer(judged: Judgement, visit: Visit) -> Iterator[Words]:
    """What the customer said, where it decides or flags."""
    if judged.reason == reasons.CUSTOMER_SAYS_LATE:
        yield Words(
            "the customer said in a follow-up that it was late", "客户在回访中表示未准时交车"
        )
    elif judged.flagged and judged.excused:
        yield Words(
            "flagged: the customer said in a follow-up that it was late, the signed note stands",
            "注意：客户在回访中表示未准时交车，但签字备注有效",
        )
    elif judged.flagged:
        yield Words(
            "flagged: the customer said in a follow-up that it was late, which does not count "
            f"under the policy {visit.policy.on_time_customer_report}",
            "注意：客户在回访中表示未准时交车，按规则以单据为准",
        )


def _settlements(visit: Visit) -> Iterator[Words]:
    """Which settlement counts where there are several (F5)."""
    count = len(visit.order.settlements)
    if count > 1 and not visit.settlement.explicit:
        yield Words(
            f"the last of {count} settlements counts: it has no delivery time, so its own time "
            "is the delivered time",
            f"以{count}次结算中的最后一次为准：其中没有交车时间，以结算时间为交车时间",
        )
    elif count > 1:
        yield Words(f"the last of {count} settlements counts", f"以{count}次结算中的最后一次为准")


# --- The other KPIs of the family ---------------------------------------------------------------


def _changes(changes: Sequence[Promise]) -> Words:
    if not changes:
        return reasons.REASONS[reasons.PROMISE_UNCHANGED]
    count = len(changes)
    return Words(
        f"the promise was changed {times_word(count, 'time', 'times')}",
        f"承诺时间变更{count}次",
    )


def _cycle(visit: Visit) -> Words:
    opened_at = visit.order.first_opened_at
    if opened_at is None:
        return reasons.REASONS[reasons.NEVER_OPENED]
    start = date_and_time(opened_at, visit.zone)
    end = date_and_time(visit.delivered_at, visit.zone)
    span = span_words(visit.delivered_at - opened_at)
    facts = Words(f"opened {start}, delivered {end}", f"{start}开单，{end}交车")
    if visit.delivered_at < opened_at:
        return joined([reasons.REASONS[reasons.NEGATIVE_SPAN], facts])
    return Words(f"{facts.en}: {span.en}", f"{facts.zh}：{span.zh}")


# --- What decided -------------------------------------------------------------------------------


def _instants(walk: Walk) -> list[datetime]:
    return [step.promise.promised_at for step in walk.steps]


def _seqs(visit: Visit, judged: Judgement) -> tuple[int, ...]:
    """The settlement, the promises, the note with its review, the customer's answer."""
    order = visit.order
    found: set[int | None] = {visit.settlement.seq}
    found.update(step.promise.seq for step in judged.walk.steps)
    if judged.late_minutes > visit.policy.on_time_grace_minutes or judged.flagged:
        note = standing_note(order)
        found.update(given.seq for given in order.delay_notes if note is None or given is note)
        if order.delay_notes and order.delay_reviews:
            found.add(order.delay_reviews[-1].seq)
    if judged.flagged or judged.reason == reasons.CUSTOMER_SAYS_LATE:
        found.update(_answer_seq(call) for call in visit.follow_ups if reports_late(call))
    return ascending(found)


def _answer_seq(follow_up: FollowUp) -> int:
    """Seq of the completion that gave the last answer; there is one."""
    answers = [one for one in follow_up.completions if one.customer_says_on_time is not None]
    return answers[-1].seq
