"""Quality: failed inspections before the delivery, comebacks after it."""

from datetime import timedelta
from decimal import Decimal
from typing import Final, Literal

import msgspec

from app.domain.kpis import reasons
from app.domain.kpis.facts import ONE, ZERO, FactEntry
from app.domain.kpis.kpi import Grain, Kpi, Words
from app.domain.kpis.visit import Visit
from app.domain.periods import local_day
from app.domain.repair_order import Comeback, comebacks

_FAMILY: Final = Words("Quality", "质量")
_GRAINS: Final[tuple[Grain, ...]] = ("store", "technician", "team", "work_type")
_REWORK_RULES: Final = ("rework.window_days", "rework.window_km")

REWORK_VERDICTS: Final = frozenset({"workmanship", "diagnosis", "part_defect"})
REPAIR_WORK_TYPES: Final = frozenset({"ordinary_repair", "warranty"})


class ExternalReworkRate(Kpi):
    """Settled orders with a counted comeback over settled orders, by settled day of the original.

    A comeback counts if its last assessment says workmanship, diagnosis or part defect, it was
    reported at or after the delivered time and by the end of the window's last day, and, where
    both odometers are known, within the window's kilometres. It counts for the original order's
    technician (E6). One that is not assessed does not count and is listed as open.
    """

    code = "external_rework_rate"
    name = Words("External rework rate", "外返率")
    formula = Words(
        "settled orders with a counted comeback / settled orders",
        "有计入返修的已结算工单数 / 已结算工单数",
    )
    family = _FAMILY
    source = "design/kpis.md, Quality; domain catalogue 2.17, 3.4, C20, C37"
    grains = _GRAINS
    target = Decimal("0.005")
    direction = "down"
    policy_keys = _REWORK_RULES


class InternalReworkRate(Kpi):
    """Settled orders with a failed inspection over settled orders with any, by settled day.

    Inspections of any level, whenever they happened (F6).
    """

    code = "internal_rework_rate"
    name = Words("Internal rework rate", "内返率")
    formula = Words(
        "settled orders with a failed inspection / settled orders with any inspection",
        "有检验不合格的已结算工单数 / 有检验记录的已结算工单数",
    )
    family = _FAMILY
    source = "design/kpis.md, Quality; domain catalogue 2.17, 3.4"
    grains = _GRAINS
    direction = "down"


class ReworkRate(Kpi):
    """Settled orders with a failed inspection or a counted comeback over settled orders (F7)."""

    code = "rework_rate"
    name = Words("Rework rate", "返修率")
    formula = Words(
        "settled orders with a failed inspection or a counted comeback / settled orders",
        "有检验不合格或计入返修的已结算工单数 / 已结算工单数",
    )
    family = _FAMILY
    source = "design/kpis.md, Quality; domain catalogue 2.17, 3.4, C20"
    grains = _GRAINS
    target = Decimal("0.03")
    direction = "down"
    policy_keys = _REWORK_RULES


class FirstTimeFixRate(Kpi):
    """Settled ordinary repairs and warranty orders without a counted comeback over all those."""

    code = "first_time_fix_rate"
    name = Words("First-time fix rate", "一次修复率")
    formula = Words(
        "settled ordinary repairs and warranty orders without a counted comeback / those orders",
        "没有计入返修的一般维修和保修工单数 / 已结算的一般维修和保修工单数",
    )
    family = _FAMILY
    source = "design/kpis.md, Quality; domain catalogue 3.4"
    grains = _GRAINS
    direction = "up"
    policy_keys = _REWORK_RULES


class QualityContainmentRate(Kpi):
    """Failed inspections over failed inspections and counted comebacks, of settled orders.

    Counts events, not orders (F6). An order with neither is in neither part.
    """

    code = "quality_containment_rate"
    name = Words("Quality containment rate", "维修质量可控率")
    formula = Words(
        "failed inspections / (failed inspections + counted comebacks)",
        "检验不合格次数 / （检验不合格次数 + 计入的返修次数）",
    )
    family = _FAMILY
    source = "design/kpis.md, Quality; domain catalogue 3.4, C23"
    grains = _GRAINS
    direction = "up"
    policy_keys = _REWORK_RULES


KPIS: Final = (
    ExternalReworkRate(),
    InternalReworkRate(),
    ReworkRate(),
    FirstTimeFixRate(),
    QualityContainmentRate(),
)

# --- Comebacks ----------------------------------------------------------------------------------


Standing = Literal["counted", "open", "no_rework", "before_delivery", "outside_days", "outside_km"]


class JudgedComeback(msgspec.Struct, frozen=True, gc=False):
    """A comeback and whether it counts.

    Attributes:
        comeback: The report and its last assessment.
        standing: Counted, open (not assessed), or why it does not count.
        distance_km: Driven since the delivery; None where it is not known.
    """

    comeback: Comeback
    standing: Standing
    distance_km: Decimal | None


def judge_comebacks(visit: Visit) -> list[JudgedComeback]:
    """Judge every comeback of a settled order, in order of the reports."""
    if not visit.order.comeback_reports:
        return []
    return [_judge_comeback(visit, comeback) for comeback in comebacks(visit.order)]


def _judge_comeback(visit: Visit, comeback: Comeback) -> JudgedComeback:
    report, assessment = comeback.report, comeback.assessment
    distance = _distance_km(visit, comeback)
    standing: Standing
    if assessment is None:
        standing = "open"
    elif assessment.verdict not in REWORK_VERDICTS:
        standing = "no_rework"
    elif report.at < visit.delivered_at:
        standing = "before_delivery"
    elif local_day(report.at, visit.zone) > visit.day + timedelta(
        days=visit.policy.rework_days(visit.order.work_type)
    ):
        standing = "outside_days"
    elif (
        distance is not None
        and visit.policy.rework_window_km is not None
        and distance > visit.policy.rework_window_km
    ):
        standing = "outside_km"
    else:
        standing = "counted"
    return JudgedComeback(comeback, standing, distance)


def _distance_km(visit: Visit, comeback: Comeback) -> Decimal | None:
    """Kilometres between delivery and comeback; a negative distance is none (F4)."""
    number = comeback.report.comeback_ro
    if number is None and comeback.assessment is not None:
        number = comeback.assessment.comeback_ro
    there = visit.comeback_odometers.get(number) if number is not None else None
    here = visit.order.handover_odometer_km
    if there is None or here is None or there < here:
        return None
    return there - here


# --- The entries --------------------------------------------------------------------------------


def judge(visit: Visit) -> list[FactEntry]:
    """What a settled order gives to this family."""
    order = visit.order
    failed = order.inspections_failed
    judged = judge_comebacks(visit)
    counted = sum(comeback.standing == "counted" for comeback in judged)
    reason = _comeback_reason(judged)
    has_comeback = ONE if counted else ZERO

    if not order.inspection_seqs:
        internal = FactEntry("internal_rework_rate", None, None, reasons.NOT_INSPECTED)
    elif failed:
        internal = FactEntry("internal_rework_rate", ONE, ONE, reasons.INSPECTION_FAILED)
    else:
        internal = FactEntry("internal_rework_rate", ZERO, ONE, reasons.INSPECTIONS_PASSED)

    if order.work_type in REPAIR_WORK_TYPES:
        fixed = FactEntry("first_time_fix_rate", ONE - has_comeback, ONE, reason)
    else:
        fixed = FactEntry("first_time_fix_rate", None, None, reasons.OTHER_WORK_TYPE)

    rework = FactEntry(
        "rework_rate",
        ONE if counted or failed else ZERO,
        ONE,
        reasons.INSPECTION_FAILED if failed and not counted else reason,
    )
    return [
        FactEntry("external_rework_rate", has_comeback, ONE, reason),
        internal,
        rework,
        fixed,
        _containment(failed, counted, reason),
    ]


def _comeback_reason(judged: list[JudgedComeback]) -> str:
    standings = {comeback.standing for comeback in judged}
    if not standings:
        return reasons.NO_COMEBACK
    if "counted" in standings:
        return reasons.COMEBACK
    return reasons.COMEBACK_OPEN if "open" in standings else reasons.COMEBACK_NOT_COUNTED


def _containment(failed: int, counted: int, comeback_reason: str) -> FactEntry:
    code = "quality_containment_rate"
    if not failed and not counted:
        is_open = comeback_reason == reasons.COMEBACK_OPEN
        return FactEntry(code, None, None, comeback_reason if is_open else reasons.NO_DEFECT)
    reason = reasons.INSPECTION_FAILED if failed else reasons.COMEBACK
    return FactEntry(code, Decimal(failed), Decimal(failed + counted), reason)
