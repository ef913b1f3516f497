"""Quality, money, hours and parts of an order in words."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from app.domain.kpis import complaints, parts, productivity, quality, reasons, volume
from app.domain.kpis.facts import FactEntry
from app.domain.kpis.kpi import Words
from app.domain.kpis.quality import JudgedComeback, judge_comebacks
from app.domain.kpis.verdict import Verdict, ascending, parts_of, sentence
from app.domain.kpis.visit import Visit
from app.domain.kpis.wording import date_and_time, joined, number, span_words, times_word
from app.domain.repair_order import RepairOrder

_KINDS: Final = {
    "labor": Words("labor", "工时费"),
    "parts": Words("parts", "备件"),
    "sublet": Words("sublet", "外包"),
    "other": Words("other", "其他"),
}
_FINDINGS: Final = {
    "workmanship": Words("workmanship", "施工质量"),
    "diagnosis": Words("diagnosis", "诊断失误"),
    "part_defect": Words("part defect", "备件缺陷"),
    "part_unavailable": Words("part unavailable", "备件缺货"),
    "not_rework": Words("not rework", "非返修"),
}


def explain_quality(code: str, visit: Visit, entry: FactEntry) -> Verdict:
    """Why a settled order counts in a KPI of quality, or does not."""
    order = visit.order
    with_inspections = code != quality.ExternalReworkRate.code
    with_comebacks = code != quality.InternalReworkRate.code
    clauses: list[Words] = []
    seqs: set[int | None] = {visit.settlement.seq}
    if code == quality.FirstTimeFixRate.code:
        with_inspections = False
        if entry.numerator is None:
            clauses.append(reasons.REASONS[entry.reason])
            with_comebacks = False
    if with_inspections:
        clauses.append(_inspections(order))
        seqs.update(order.failed_inspection_seqs or order.inspection_seqs)
    if with_comebacks:
        judged = judge_comebacks(visit)
        clauses.extend(_comebacks(visit, judged))
        for one in judged:
            assessment = one.comeback.assessment
            seqs.update({one.comeback.report.seq, None if assessment is None else assessment.seq})
    return _verdict(entry, joined(clauses), seqs)


def explain_settlement(code: str, visit: Visit, entry: FactEntry) -> Verdict:
    """Why a settled order counts in a KPI that reads the settlement alone, or does not."""
    settlement = visit.settlement
    if code in _MONEY:
        what = _money(code, visit)
    elif code == productivity.LaborEfficiency.code:
        what = Words(
            f"billed {number(settlement.billed_hours)} h, "
            f"clocked {number(settlement.clocked_hours)} h",
            f"售出{number(settlement.billed_hours)}小时，"
            f"实际{number(settlement.clocked_hours)}小时",
        )
    elif code in {parts.PartsFillRate.code, parts.PartsShortageRate.code}:
        what = _parts(visit)
    else:
        delivered = date_and_time(visit.delivered_at, visit.zone)
        what = Words(f"a visit, delivered {delivered}", f"维修台次，{delivered}交车")
    return _verdict(entry, what, {settlement.seq})


def explain_arrival(
    order: RepairOrder, opened_at: datetime, entry: FactEntry, zone: ZoneInfo
) -> Verdict:
    """Why an opened order counts as an arrival."""
    opened = date_and_time(opened_at, zone)
    what = Words(f"opened {opened}", f"{opened}开单")
    return _verdict(entry, what, {order.first_opened_seq})


def explain_dispatch(order: RepairOrder, entry: FactEntry, zone: ZoneInfo) -> Verdict:
    """Why a dispatched order gives a sample of the dispatch time, or does not."""
    span = productivity.dispatch_span(order)
    dispatched_at = order.first_dispatched_at
    seqs: set[int | None] = {order.first_dispatched_seq}
    if span is None or dispatched_at is None:
        return _verdict(entry, reasons.REASONS[entry.reason], seqs)
    opened_at = order.first_opened_at
    by_opening = opened_at is not None and dispatched_at - span == opened_at
    start, end = date_and_time(dispatched_at - span, zone), date_and_time(dispatched_at, zone)
    begun = Words("opened", "开单") if by_opening else Words("authorized", "客户签字")
    what = Words(f"{begun.en} {start}, dispatched {end}", f"{start}{begun.zh}，{end}派工")
    if span < timedelta(0):
        what = joined([reasons.REASONS[entry.reason], what])
    else:
        took = span_words(span)
        what = Words(f"{what.en}: {took.en}", f"{what.zh}：{took.zh}")
    seqs.add(order.first_opened_seq if by_opening else order.first_authorized_seq)
    return _verdict(entry, what, seqs)


def _verdict(entry: FactEntry, what: Words, seqs: set[int | None]) -> Verdict:
    verdict = parts_of(entry)
    return Verdict(verdict, (entry.reason,), sentence(verdict, what), ascending(seqs))


def _inspections(order: RepairOrder) -> Words:
    failed, all_of_them = order.inspections_failed, order.inspections
    if not all_of_them:
        return reasons.REASONS[reasons.NOT_INSPECTED]
    return Words(
        f"{failed} of {times_word(all_of_them, 'inspection', 'inspections')} not passed",
        f"{all_of_them}次检验中{failed}次不合格",
    )


def _comebacks(visit: Visit, judged: list[JudgedComeback]) -> Iterator[Words]:
    if not judged:
        yield reasons.REASONS[reasons.NO_COMEBACK]
    for one in judged:
        yield _comeback(visit, one)


def _comeback(visit: Visit, judged: JudgedComeback) -> Words:
    report, assessment = judged.comeback.report, judged.comeback.assessment
    number_of_it = report.comeback_ro or (assessment.comeback_ro if assessment else None)
    reported = date_and_time(report.at, visit.zone)
    order = "" if number_of_it is None else f" ({number_of_it})"
    subject = Words(f"the comeback of {reported}{order}", f"{reported}的返修{order}")
    if assessment is None:
        return Words(f"{subject.en} is not assessed yet", f"{subject.zh}尚未鉴定")
    finding = _FINDINGS.get(assessment.verdict, Words(assessment.verdict, assessment.verdict))
    if assessment.technician is not None:
        team = "" if assessment.team is None else f", {assessment.team}"
        finding = Words(
            f"{finding.en}, responsible {assessment.technician}{team}",
            f"{finding.zh}，责任人{assessment.technician}{team}",
        )
    days = visit.policy.rework_days(visit.order.work_type)
    last_day = visit.day + timedelta(days=days)
    outcome = {
        "counted": Words("counts", "计入"),
        "no_rework": Words("does not count", "不计入"),
        "before_delivery": Words(
            "was reported before the delivery and does not count", "早于交车，不计入"
        ),
        "outside_days": Words(
            f"was reported after {last_day}, the last of {times_word(days, 'day', 'days')}, "
            "and does not count",
            f"晚于{days}天期限的最后一天{last_day}，不计入",
        ),
        "outside_km": _too_far(visit, judged),
    }[judged.standing]
    return Words(
        f"{subject.en} {outcome.en}: {finding.en}", f"{subject.zh}{outcome.zh}：{finding.zh}"
    )


def _too_far(visit: Visit, judged: JudgedComeback) -> Words:
    limit, distance = number(visit.policy.rework_window_km), number(judged.distance_km)
    return Words(
        f"came after {distance} km, more than {limit}, and does not count",
        f"已行驶{distance}公里，超过{limit}公里，不计入",
    )


_MONEY: Final = frozenset(
    {
        volume.RepairRevenue.code,
        volume.RevenuePerVisit.code,
        volume.GrossMargin.code,
        volume.RevenueGrowth.code,
    }
)


def _money(code: str, visit: Visit) -> Words:
    settlement = visit.settlement
    revenue = _sum_words(settlement.amounts)
    clauses = [Words(f"revenue {revenue.en}", f"产值{revenue.zh}")]
    if code == volume.GrossMargin.code:
        if volume.costs_of(settlement) is None:
            clauses.append(reasons.REASONS[reasons.NO_COSTS])
        else:
            costs = _sum_words(settlement.costs)
            clauses.append(Words(f"costs {costs.en}", f"成本{costs.zh}"))
    return joined(clauses)


def _sum_words(amounts: Mapping[str, Decimal]) -> Words:
    """The known kinds, and their sum where there are several."""
    known = [kind for kind in volume.AMOUNT_KINDS if kind in amounts]
    total = number(sum((amounts[kind] for kind in known), Decimal(0)))
    if not known:
        return Words(total, total)
    end = f" = {total}" if len(known) > 1 else ""
    return Words(
        " + ".join(f"{_KINDS[kind].en} {number(amounts[kind])}" for kind in known) + end,
        " + ".join(f"{_KINDS[kind].zh}{number(amounts[kind])}" for kind in known) + end,
    )


def _parts(visit: Visit) -> Words:
    requested, filled = visit.settlement.parts_requested, visit.settlement.parts_filled
    if not requested:
        return reasons.REASONS[reasons.NO_PARTS_REQUESTED]
    if filled is None:
        return Words(
            f"{times_word(requested, 'line', 'lines')} requested, how many came is not known",
            f"需求{requested}项，供应数未知",
        )
    return Words(
        f"{filled} of {times_word(requested, 'requested line', 'requested lines')} supplied",
        f"需求{requested}项，供应{filled}项",
    )


CODES_OF_QUALITY: Final = frozenset(kpi.code for kpi in quality.KPIS)
CODES_OF_SETTLEMENT: Final = frozenset(
    {
        volume.VisitsSettled.code,
        *_MONEY,
        productivity.LaborEfficiency.code,
        *(kpi.code for kpi in parts.KPIS),
        complaints.ComplaintRate.code,
    }
)
