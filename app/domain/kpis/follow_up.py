"""Follow-up: were the customers called, and in time?"""

from datetime import datetime
from decimal import Decimal
from typing import Final

from app.domain.follow_up import FollowUp, Withdrawal
from app.domain.kpis import reasons
from app.domain.kpis.facts import ONE, ZERO, FactEntry
from app.domain.kpis.kpi import Grain, Kpi, Words
from app.domain.kpis.visit import second
from app.domain.repair_order import RepairOrder

_FAMILY: Final = Words("Follow-up", "客户回访")
_GRAINS: Final[tuple[Grain, ...]] = ("store", "assignee")
_FIRST_WINDOW: Final = (
    "follow_up.anchor",
    "follow_up.first.opens_day",
    "follow_up.first.target_day",
    "follow_up.first.due_day",
)
_SECOND_WINDOW: Final = ("follow_up.second.opens_day", "follow_up.second.due_day")

FIRST: Final = "first"
SECOND: Final = "second"


class FollowUpRate(Kpi):
    """First follow-ups completed, whenever, over those due, by the local day of the due time.

    Due is what the log says is overdue, or what is completed (H4), early or not (H14). Cancelled
    ones and those whose window was over on arrival are in neither part; a completed one of the
    latter counts like any other (H3).
    """

    code = "follow_up_rate"
    name = Words("Follow-up rate", "客户回访率")
    formula = Words(
        "first follow-ups completed / first follow-ups due",
        "已完成的首次回访数 / 到期的首次回访数",
    )
    family = _FAMILY
    source = "design/kpis.md, Follow-up; domain catalogue 2.4, 3.1, C5, C41"
    bases = ("due",)
    grains = _GRAINS
    target = Decimal("0.30")
    direction = "up"
    policy_keys = _FIRST_WINDOW


class FollowUpOnTimeRate(Kpi):
    """First and second follow-ups completed within their window over those due, by due day.

    Both bounds are in, compared by whole seconds (H2). Too early is not on time (H11).
    """

    code = "follow_up_on_time_rate"
    name = Words("Follow-up on-time rate", "回访及时率")
    formula = Words(
        "first and second follow-ups completed within their window / those due",
        "在期限内完成的首次和二次回访数 / 到期的首次和二次回访数",
    )
    family = _FAMILY
    source = "design/kpis.md, Follow-up; domain catalogue 2.4, 2.5, 3.1, C1, C2"
    bases = ("due",)
    grains = _GRAINS
    direction = "up"
    policy_keys = _FIRST_WINDOW + _SECOND_WINDOW


class FollowUpTargetRate(Kpi):
    """First follow-ups completed by the end of the target day over those due, by due day.

    Knows no lower bound (H11). Where a CRM gives no target the due time is the target (H10).
    """

    code = "follow_up_target_rate"
    name = Words("Follow-up target rate", "回访目标日达成率")
    formula = Words(
        "first follow-ups completed by the end of the target day / first follow-ups due",
        "目标日结束前完成的首次回访数 / 到期的首次回访数",
    )
    family = _FAMILY
    source = "design/kpis.md, Follow-up; domain catalogue 2.4, C1"
    bases = ("due",)
    grains = _GRAINS
    direction = "up"
    policy_keys = _FIRST_WINDOW


KPIS: Final = (FollowUpRate(), FollowUpOnTimeRate(), FollowUpTargetRate())

_CODES: Final = {
    FIRST: tuple(kpi.code for kpi in KPIS),
    SECOND: (FollowUpOnTimeRate.code,),
}


_WITHOUT_ANCHOR: Final = frozenset({Withdrawal.NO_ANCHOR, Withdrawal.FIRST_PENDING})


def judge(follow_up: FollowUp, order: RepairOrder | None) -> list[FactEntry]:
    """What a follow-up gives to this family: nothing for other kinds or without a due day."""
    codes = _CODES.get(follow_up.kind or "", ())
    due_at = follow_up.due_at
    if not codes or due_at is None or lost_its_window(follow_up):
        return []
    reason = not_counted_because(follow_up, order)
    if reason is not None:
        return [FactEntry(code, None, None, reason) for code in codes]
    return [_counted(code, follow_up, due_at) for code in codes]


def lost_its_window(follow_up: FollowUp) -> bool:
    """Whether what its window counts from is gone: no due day, even for a completed one (H5)."""
    return follow_up.withdrawn_seq is not None and follow_up.withdrawn_reason in _WITHOUT_ANCHOR


def not_counted_because(follow_up: FollowUp, order: RepairOrder | None) -> str | None:
    """Why a follow-up with a window is in neither part; None if it counts."""
    status = follow_up.status
    if status == "cancelled" or (order is not None and order.cancelled):
        return reasons.CANCELLED  # of a cancelled order even a completed one (C2, H5)
    if status == "completed":
        return None
    if follow_up.missed_on_arrival:
        return reasons.MISSED_ON_ARRIVAL
    return reasons.NOT_DUE if follow_up.breach is None else None


def _counted(code: str, follow_up: FollowUp, due_at: datetime) -> FactEntry:
    completed_at = follow_up.completed_at
    if completed_at is None:
        return FactEntry(code, ZERO, ONE, reasons.NOT_COMPLETED)
    done = second(completed_at)
    lateness = done - second(due_at)
    if code == FollowUpRate.code:
        reason, good = reasons.COMPLETED, True
    elif code == FollowUpTargetRate.code:
        good = done <= second(follow_up.target_at or due_at)
        reason = reasons.COMPLETED_BY_TARGET if good else reasons.COMPLETED_AFTER_TARGET
    elif follow_up.opens_at is not None and done < second(follow_up.opens_at):
        reason, good = reasons.COMPLETED_TOO_EARLY, False
    else:
        good = lateness <= 0
        reason = reasons.COMPLETED_IN_TIME if good else reasons.COMPLETED_TOO_LATE
    return FactEntry(code, ONE if good else ZERO, ONE, reason, lateness)
