"""Volume and money: what came in, what was settled, what it brought."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from app.domain.kpis import reasons
from app.domain.kpis.facts import ONE, ZERO, FactEntry
from app.domain.kpis.kpi import Grain, Kpi, Words
from app.domain.kpis.visit import Visit
from app.domain.repair_order import Settlement

_FAMILY: Final = Words("Volume and money", "台次与产值")
_GRAINS: Final[tuple[Grain, ...]] = ("store", "advisor", "team", "work_type")

AMOUNT_KINDS: Final = ("labor", "parts", "sublet", "other")


class Arrivals(Kpi):
    """Orders opened and not cancelled, by day of the first opening.

    Orders are counted, not cars (G13), each number once (B5, J14).
    """

    code = "arrivals"
    name = Words("Arrivals", "进场台次")
    formula = Words("repair orders opened", "开单工单数")
    family = _FAMILY
    source = "design/kpis.md, Volume and money; domain catalogue 3.5, C18, C32"
    unit = "count"
    aggregation = "sum"
    bases = ("opened",)
    grains = _GRAINS
    direction = "up"


class VisitsSettled(Kpi):
    """Settled orders, by settled day. Orders are counted, not cars (G13)."""

    code = "visits_settled"
    name = Words("Visits settled", "维修台次")
    formula = Words("settled orders", "已结算工单数")
    family = _FAMILY
    source = "design/kpis.md, Volume and money; domain catalogue 3.5, C18, C32"
    unit = "count"
    aggregation = "sum"
    grains = _GRAINS
    direction = "up"


class RepairRevenue(Kpi):
    """Labor, parts, sublet and other of the settlement that counts, by settled day.

    The latest settlement as a whole (G1); a kind that it lacks is 0, an unknown kind is not
    counted (G2). A credit is summed like any amount (G4).
    """

    code = "repair_revenue"
    name = Words("Repair revenue", "维修产值")
    formula = Words(
        "sum of labor + parts + sublet + other of settled orders",
        "已结算工单的工时费 + 备件 + 外包 + 其他之和",
    )
    family = _FAMILY
    source = "design/kpis.md, Volume and money; domain catalogue 3.5"
    unit = "money"
    aggregation = "sum"
    grains = _GRAINS
    direction = "up"


class RevenuePerVisit(Kpi):
    """Repair revenue over settled orders, by settled day. Too high is as wrong as too low."""

    code = "revenue_per_visit"
    name = Words("Revenue per visit", "单台营业收入")
    formula = Words("repair revenue / settled orders", "维修产值 / 已结算工单数")
    family = _FAMILY
    source = "design/kpis.md, Volume and money; domain catalogue 3.5"
    unit = "money"
    grains = _GRAINS


class GrossMargin(Kpi):
    """Revenue less costs over revenue, of settled orders that carry costs, by settled day.

    An order carries costs if its settlement has at least one known kind of them (G3); the kinds it
    lacks are 0.
    """

    code = "gross_margin"
    name = Words("Gross margin", "毛利率")
    formula = Words(
        "(revenue - costs) / revenue, over settled orders that carry costs",
        "（产值 - 成本）/ 产值，仅限带有成本的已结算工单",
    )
    family = _FAMILY
    source = "design/kpis.md, Volume and money; domain catalogue 3.5"
    grains = _GRAINS
    direction = "up"


class RevenueGrowth(Kpi):
    """Repair revenue against the same period last year, less 1.

    Whole periods, 29 February against the 28th, each member against itself; no value where last
    year's sum is 0 (G5). Computed from the sums of repair_revenue when it is read.
    """

    code = "revenue_growth"
    name = Words("Revenue growth", "营收成长率")
    formula = Words(
        "(this period's revenue - same period last year's) / same period last year's",
        "（本期产值 - 去年同期产值）/ 去年同期产值",
    )
    family = _FAMILY
    source = "design/kpis.md, Volume and money; domain catalogue 3.5"
    aggregation = "growth"
    grains = _GRAINS
    sums_of = "repair_revenue"
    direction = "up"


KPIS: Final = (
    Arrivals(),
    VisitsSettled(),
    RepairRevenue(),
    RevenuePerVisit(),
    GrossMargin(),
    RevenueGrowth(),
)


def revenue_of(settlement: Settlement) -> Decimal:
    """All known kinds of amounts together (G2)."""
    return _known(settlement.amounts)


def costs_of(settlement: Settlement) -> Decimal | None:
    """All known kinds of costs together; None where the settlement has none of them (G3)."""
    if not any(kind in settlement.costs for kind in AMOUNT_KINDS):
        return None
    return _known(settlement.costs)


def judge(visit: Visit) -> list[FactEntry]:
    """What a settled order gives to this family."""
    revenue = revenue_of(visit.settlement)
    costs = costs_of(visit.settlement)
    return [
        FactEntry("visits_settled", ONE, None, reasons.SETTLED),
        FactEntry("repair_revenue", revenue, None, reasons.SETTLED),
        FactEntry("revenue_per_visit", revenue, ONE, reasons.SETTLED),
        FactEntry("gross_margin", None, None, reasons.NO_COSTS)
        if costs is None
        else FactEntry("gross_margin", revenue - costs, revenue, reasons.CARRIES_COSTS),
    ]


def judge_arrival() -> list[FactEntry]:
    """What an order that was opened and is not cancelled gives to this family."""
    return [FactEntry("arrivals", ONE, None, reasons.OPENED)]


def _known(amounts: Mapping[str, Decimal]) -> Decimal:
    return sum((amounts[kind] for kind in AMOUNT_KINDS if kind in amounts), ZERO)
