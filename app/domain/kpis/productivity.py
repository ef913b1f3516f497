"""Productivity: hours sold, worked and attended, and how fast work is handed out."""

from datetime import timedelta
from decimal import Decimal
from typing import Final

from app.domain.kpis import reasons
from app.domain.kpis.facts import FactEntry
from app.domain.kpis.kpi import Grain, Kpi, Words
from app.domain.kpis.visit import Visit, seconds, whole_seconds
from app.domain.repair_order import RepairOrder
from app.domain.staff import Timecard

_FAMILY: Final = Words("Productivity", "效率")
_GRAINS: Final[tuple[Grain, ...]] = ("store", "technician", "team")


class LaborEfficiency(Kpi):
    """Billed hours over clocked hours of settled orders that carry both, by settled day.

    The hours of the settlement that counts alone (G6).
    """

    code = "labor_efficiency"
    name = Words("Labor efficiency", "工作效率")
    formula = Words(
        "billed hours / clocked hours, over settled orders that carry both",
        "售出工时 / 实际工作工时，仅限两者齐全的已结算工单",
    )
    family = _FAMILY
    source = "design/kpis.md, Productivity; domain catalogue 3.5, C22"
    grains = _GRAINS
    target = Decimal("1.10")
    direction = "up"


class LaborUtilization(Kpi):
    """Clocked hours over attended hours of timecards that carry both, by work date.

    The latest card of each staff number and work date, as a whole: without clocked hours that day
    is out (G10).
    """

    code = "labor_utilization"
    name = Words("Labor utilization", "工时利用率")
    formula = Words(
        "clocked hours / attended hours, over timecards that carry both",
        "实际工作工时 / 上班工时，仅限两者齐全的考勤记录",
    )
    family = _FAMILY
    source = "design/kpis.md, Productivity; domain catalogue 3.5"
    bases = ("work",)
    grains = _GRAINS
    target = Decimal("0.85")
    direction = "up"


class DispatchMinutes(Kpi):
    """Median minutes from the first opening or authorization to the first dispatch, by its day.

    All orders that are not cancelled, settled or not, for the order's technician (G7). The exact
    elapsed time; negative spans are left out, 0 is a sample (G8). Not additive, rounded once (G9).
    """

    code = "dispatch_minutes"
    name = Words("Dispatch time", "派工时间")
    formula = Words(
        "median of first dispatch - first opening or authorization, in minutes",
        "首次派工时间减首次开单或客户签字时间的中位数（分钟）",
    )
    family = _FAMILY
    source = "design/kpis.md, Productivity; domain catalogue 3.3"
    unit = "minutes"
    aggregation = "median"
    bases = ("dispatched",)
    grains = _GRAINS
    direction = "down"


KPIS: Final = (LaborEfficiency(), LaborUtilization(), DispatchMinutes())


def judge(visit: Visit) -> list[FactEntry]:
    """What a settled order gives to this family."""
    billed, clocked = visit.settlement.billed_hours, visit.settlement.clocked_hours
    if billed is None or clocked is None:
        return [FactEntry("labor_efficiency", None, None, reasons.HOURS_MISSING)]
    return [FactEntry("labor_efficiency", billed, clocked, reasons.HOURS_KNOWN)]


def judge_dispatch(order: RepairOrder) -> list[FactEntry]:
    """What a dispatched order that is not cancelled gives to this family."""
    code = "dispatch_minutes"
    span = dispatch_span(order)
    if span is None:
        return [FactEntry(code, None, None, reasons.NO_START)]
    if span < timedelta(0):
        return [FactEntry(code, None, None, reasons.NEGATIVE_SPAN)]
    return [FactEntry(code, seconds(span), None, reasons.MEASURED, whole_seconds(span))]


def dispatch_span(order: RepairOrder) -> timedelta | None:
    """From the first of opened and authorized to the first dispatched; None if one is missing."""
    starts = [at for at in (order.first_opened_at, order.first_authorized_at) if at is not None]
    if not starts or order.first_dispatched_at is None:
        return None
    return order.first_dispatched_at - min(starts)


def judge_hours(timecard: Timecard) -> list[FactEntry]:
    """What a timecard gives to this family: nothing without both kinds of hours (E8, G10)."""
    if timecard.clocked_hours is None or timecard.attended_hours is None:
        return []
    return [
        FactEntry(
            "labor_utilization",
            timecard.clocked_hours,
            timecard.attended_hours,
            reasons.HOURS_KNOWN,
        )
    ]
