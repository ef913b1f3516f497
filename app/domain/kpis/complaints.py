"""Complaints: how many there are for the visits settled."""

from typing import Final

from app.domain.complaint import Complaint
from app.domain.kpis import reasons
from app.domain.kpis.facts import ONE, ZERO, FactEntry
from app.domain.kpis.kpi import Kpi, Words

_FAMILY: Final = Words("Complaints and satisfaction", "投诉与满意度")


class ComplaintRate(Kpi):
    """Complaints opened in the period over visits settled in the period.

    A complaint counts by the day of its first opening, for the advisor of the order that it names;
    a visit by its settled day. By nature it is over the whole store's visits (J11).
    """

    code = "complaint_rate"
    name = Words("Complaint rate", "客户投诉率")
    formula = Words(
        "complaints opened in the period / visits settled in the period",
        "本期投诉数 / 本期维修台次",
    )
    family = _FAMILY
    source = "design/kpis.md, Complaints and satisfaction; domain catalogue 3.1, C42"
    bases = ("opened", "settled")
    grains = ("store", "advisor", "nature")
    whole_store_denominator = ("nature",)
    direction = "down"


KPIS: Final = (ComplaintRate(),)


def judge_visit() -> list[FactEntry]:
    """What a settled order gives to this family: a visit."""
    return [FactEntry("complaint_rate", ZERO, ONE, reasons.SETTLED)]


def judge(complaint: Complaint) -> list[FactEntry]:
    """What a complaint gives to this family: nothing before its opening is known."""
    if complaint.opened_at is None:
        return []
    return [FactEntry("complaint_rate", ONE, ZERO, reasons.COMPLAINT_OPENED)]
