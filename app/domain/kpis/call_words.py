"""Follow-ups, complaints and timecards in words."""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from app.domain.complaint import Complaint
from app.domain.follow_up import FollowUp
from app.domain.kpis import reasons
from app.domain.kpis.facts import FactEntry
from app.domain.kpis.follow_up import FollowUpOnTimeRate, FollowUpTargetRate
from app.domain.kpis.kpi import Words
from app.domain.kpis.verdict import Verdict, ascending, parts_of, sentence
from app.domain.kpis.wording import date_and_second, date_and_time, joined, number
from app.domain.repair_order import RepairOrder
from app.domain.staff import Timecard


def explain_call(
    code: str,
    follow_up: FollowUp,
    order: RepairOrder | None,
    entry: FactEntry | None,
    zone: ZoneInfo,
) -> Verdict:
    """Why a follow-up counts in a KPI of its family, or does not."""
    verdict = parts_of(entry)
    if entry is None:
        reason = (
            reasons.NO_WINDOW
            if follow_up.kind in {None, "first", "second"}
            else reasons.OTHER_KIND
        )
        if follow_up.kind == "second" and code != FollowUpOnTimeRate.code:
            reason = reasons.OTHER_KIND
    else:
        reason = entry.reason
    clauses = [reasons.REASONS[reason]]
    if reason == reasons.CANCELLED:
        clauses.append(_cancelled(follow_up, order))
    clauses.extend(_window(code, follow_up, zone))
    return Verdict(
        verdict,
        (reason,),
        sentence(verdict, joined(clauses)),
        _seqs(follow_up, order, reason),
    )


def _cancelled(follow_up: FollowUp, order: RepairOrder | None) -> Words:
    if order is not None and order.cancelled:
        return Words("its repair order is cancelled", "所属工单已取消")
    why = follow_up.cancelled_reason
    return Words(f"reason: {why}", f"原因：{why}")


def _window(code: str, follow_up: FollowUp, zone: ZoneInfo) -> Iterator[Words]:
    """The bounds that the KPI looks at, and when the call was made."""
    if code == FollowUpOnTimeRate.code and follow_up.opens_at is not None:
        opens = date_and_second(follow_up.opens_at, zone)
        yield Words(f"opens {opens}", f"{opens}开始")
    if code == FollowUpTargetRate.code and follow_up.target_at is not None:
        target = date_and_second(follow_up.target_at, zone)
        yield Words(f"target {target}", f"目标{target}")
    if follow_up.due_at is not None:
        due = date_and_second(follow_up.due_at, zone)
        yield Words(f"due {due}", f"{due}到期")
    completed_at = follow_up.completed_at
    if completed_at is not None:
        done = date_and_second(completed_at, zone)
        yield Words(f"completed {done}", f"{done}完成")


def _seqs(follow_up: FollowUp, order: RepairOrder | None, reason: str) -> tuple[int, ...]:
    found: set[int | None] = {follow_up.scheduled_seq or None}
    if reason == reasons.CANCELLED:
        found |= {follow_up.withdrawn_seq, follow_up.called_off_seq}
        found.add(None if order is None else order.cancelled_seq)
    elif follow_up.completions:
        found.add(follow_up.completions[0].seq)
    else:
        found.add(follow_up.overdue_seq)
    return ascending(found)


def explain_complaint(complaint: Complaint, entry: FactEntry | None, zone: ZoneInfo) -> Verdict:
    """Why a complaint counts in the complaint rate, or does not."""
    verdict = parts_of(entry)
    if entry is None or complaint.opened_at is None:
        reason = reasons.NEVER_OPENED
        what = reasons.REASONS[reason]
    else:
        reason = entry.reason
        what = _opened(complaint, complaint.opened_at, zone)
    seqs = ascending({complaint.opened_seq})
    return Verdict(verdict, (reason,), sentence(verdict, what), seqs)


def _opened(complaint: Complaint, opened_at: datetime, zone: ZoneInfo) -> Words:
    at = date_and_time(opened_at, zone)
    nature = "" if complaint.nature is None else f", {complaint.nature}"
    number_of_it = complaint.ro_number
    order = "" if number_of_it is None else f", {number_of_it}"
    return Words(f"complaint opened {at}{nature}{order}", f"{at}投诉{nature}{order}")


def explain_hours(timecard: Timecard, entry: FactEntry | None) -> Verdict:
    """Why a timecard counts in the labor utilization, or does not."""
    verdict = parts_of(entry)
    attended, clocked = timecard.attended_hours, timecard.clocked_hours
    seqs = ascending({timecard.seq or None})
    if entry is None or attended is None or clocked is None:
        reason = reasons.HOURS_MISSING
        return Verdict(verdict, (reason,), sentence(verdict, reasons.REASONS[reason]), seqs)
    what = Words(
        f"clocked {number(clocked)} h of {number(attended)} h attended",
        f"上班{number(attended)}小时，实际工作{number(clocked)}小时",
    )
    return Verdict(verdict, (entry.reason,), sentence(verdict, what), seqs)
