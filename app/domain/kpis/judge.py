"""From the states of a subject to its facts, purely: the same states give the same facts."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

from app.domain.complaint import Complaint
from app.domain.events.envelope import Kind
from app.domain.follow_up import FollowUp
from app.domain.kpis import complaints, delivery, parts, productivity, quality, volume
from app.domain.kpis import follow_up as calls
from app.domain.kpis.facts import Fact
from app.domain.kpis.visit import Visit, visit_of
from app.domain.periods import local_day
from app.domain.policies import Policies
from app.domain.repair_order import RepairOrder
from app.domain.staff import Timecard


def judge_repair_order(
    order: RepairOrder,
    *,
    follow_ups: Sequence[FollowUp],
    comeback_odometers: Mapping[str, Decimal],
    policies: Policies,
    zone: ZoneInfo,
) -> list[Fact]:
    """Judge an order: its settlement, its opening and its first dispatch, each on its own day.

    Args: order: In any state; a cancelled one has no facts (C2). follow_ups: Those joined by its
        number, of any kind and state. comeback_odometers: Odometer at the opening, by the order
        numbers that its comebacks name (F4). Only needed where a policy has `rework.window_km`.
        policies: The one valid on the settled day judges (D17). zone: Of the store.
    """
    if order.cancelled:
        return []
    facts: list[Fact] = []
    visit = visit_of(
        order,
        follow_ups=follow_ups,
        comeback_odometers=comeback_odometers,
        policies=policies,
        zone=zone,
    )
    if visit is not None:
        facts.append(judge_visit(visit))
    if order.first_opened_at is not None:
        facts.append(
            Fact(
                kind=Kind.REPAIR_ORDER,
                key=order.ro_number,
                basis="opened",
                day=local_day(order.first_opened_at, zone),
                advisor=order.advisor,
                technician=order.technician,
                team=order.team,
                work_type=order.work_type,
                entries=tuple(volume.judge_arrival()),
            )
        )
    if order.first_dispatched_at is not None:
        facts.append(
            Fact(
                kind=Kind.REPAIR_ORDER,
                key=order.ro_number,
                basis="dispatched",
                day=local_day(order.first_dispatched_at, zone),
                advisor=order.advisor,
                technician=order.technician,
                team=order.team,
                work_type=order.work_type,
                entries=tuple(productivity.judge_dispatch(order)),
            )
        )
    return facts


def judge_follow_up(
    follow_up: FollowUp, order: RepairOrder | None, *, zone: ZoneInfo
) -> list[Fact]:
    """Judge a follow-up, by the local day of its due time.

    Args:
        follow_up: In any state; without a window it has no day and no fact (H5, H15).
        order: The one that it is joined to, None if it is joined to none or that is not known.
        zone: Of the store.
    """
    entries = calls.judge(follow_up, order)
    if not entries or follow_up.due_at is None:
        return []
    return [
        Fact(
            kind=Kind.FOLLOW_UP,
            key=follow_up.follow_up_id,
            basis="due",
            day=local_day(follow_up.due_at, zone),
            assignee=follow_up.assignee,
            entries=tuple(entries),
        )
    ]


def judge_complaint(
    complaint: Complaint, order: RepairOrder | None, *, zone: ZoneInfo
) -> list[Fact]:
    """Judge a complaint, by the local day of its first opening.

    Args: complaint: In any state; one whose opening is not known has no fact. order: The one that
        it names, None if it names none or that is not known: its advisor is the complaint's member
        (J11). zone: Of the store.
    """
    entries = complaints.judge(complaint)
    if not entries or complaint.opened_at is None:
        return []
    return [
        Fact(
            kind=Kind.COMPLAINT,
            key=complaint.complaint_id,
            basis="opened",
            day=local_day(complaint.opened_at, zone),
            advisor=None if order is None else order.advisor,
            nature=complaint.nature,
            entries=tuple(entries),
        )
    ]


def judge_timecard(timecard: Timecard) -> list[Fact]:
    """Judge a timecard, by its work date; without clocked hours it has no fact (E8, G10)."""
    entries = productivity.judge_hours(timecard)
    if not entries or timecard.work_date is None:
        return []
    return [
        Fact(
            kind=Kind.TIMECARD,
            key=timecard.key,
            basis="work",
            day=timecard.work_date,
            technician=timecard.staff_no,
            team=timecard.team,
            entries=tuple(entries),
        )
    ]


def judge_visit(visit: Visit) -> Fact:
    """Judge a settled order by its settled day; never opened, it has no members (B3)."""
    order = visit.order
    known = order.first_opened_at is not None
    return Fact(
        kind=Kind.REPAIR_ORDER,
        key=order.ro_number,
        basis="settled",
        day=visit.day,
        advisor=order.advisor if known else None,
        technician=order.technician if known else None,
        team=order.team if known else None,
        work_type=order.work_type if known else None,
        entries=(
            *delivery.judge(visit),
            *quality.judge(visit),
            *volume.judge(visit),
            *productivity.judge(visit),
            *parts.judge(visit),
            *complaints.judge_visit(),
        ),
    )
