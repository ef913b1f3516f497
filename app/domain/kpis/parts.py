"""Parts: did the store have what the workshop asked for?"""

from decimal import Decimal
from typing import Final

from app.domain.kpis import reasons
from app.domain.kpis.facts import ONE, ZERO, FactEntry
from app.domain.kpis.kpi import Grain, Kpi, Words
from app.domain.kpis.visit import Visit
from app.domain.repair_order import Settlement

_FAMILY: Final = Words("Parts", "备件")
_GRAINS: Final[tuple[Grain, ...]] = ("store", "work_type")


class PartsFillRate(Kpi):
    """Settled orders whose requested parts were all supplied over those that requested any.

    By settled day (G12); where the number supplied is not known they were not (G11).
    """

    code = "parts_fill_rate"
    name = Words("Parts fill rate", "备件满足率")
    formula = Words(
        "settled orders with all requested parts supplied / settled orders that requested parts",
        "备件全部供应的已结算工单数 / 有备件需求的已结算工单数",
    )
    family = _FAMILY
    source = "design/kpis.md, Parts; domain catalogue 3.6, C25"
    grains = _GRAINS
    target = Decimal("0.95")
    direction = "up"


class PartsShortageRate(Kpi):
    """The complement of parts_fill_rate: the formula as its source prints it (C25)."""

    code = "parts_shortage_rate"
    name = Words("Parts shortage rate", "备件缺件率")
    formula = Words(
        "settled orders with requested parts missing / settled orders that requested parts",
        "备件未全部供应的已结算工单数 / 有备件需求的已结算工单数",
    )
    family = _FAMILY
    source = "design/kpis.md, Parts; domain catalogue 3.6, C25"
    grains = _GRAINS
    target = Decimal("0.05")
    direction = "down"


KPIS: Final = (PartsFillRate(), PartsShortageRate())


def judge(visit: Visit) -> list[FactEntry]:
    """What a settled order gives to this family."""
    settlement = visit.settlement
    if not settlement.parts_requested:
        reason = reasons.NO_PARTS_REQUESTED
        return [
            FactEntry("parts_fill_rate", None, None, reason),
            FactEntry("parts_shortage_rate", None, None, reason),
        ]
    filled = is_filled(settlement)
    reason = reasons.PARTS_FILLED if filled else reasons.PARTS_NOT_FILLED
    share = ONE if filled else ZERO
    return [
        FactEntry("parts_fill_rate", share, ONE, reason),
        FactEntry("parts_shortage_rate", ONE - share, ONE, reason),
    ]


def is_filled(settlement: Settlement) -> bool:
    """Whether every requested line was supplied; False where that is not known (G11)."""
    requested, filled = settlement.parts_requested, settlement.parts_filled
    return requested is not None and filled is not None and filled >= requested
