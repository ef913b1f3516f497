"""What an explanation hands out."""

from datetime import datetime
from typing import Final, Literal

import msgspec

from app.domain.kpis.facts import FactEntry
from app.domain.kpis.kpi import Words

OnTimeVerdict = Literal["on_time", "late", "excused", "not_judged"]
VerdictCode = Literal[
    "on_time",
    "late",
    "excused",
    "not_judged",
    "both_parts",
    "numerator",
    "denominator",
    "counted",
    "not_counted",
]


class Verdict(msgspec.Struct, frozen=True):
    """Why one subject counts in a KPI, or does not.

    Attributes: verdict: For the two on-time rates what became of the promise; for other ratios the
        parts that it is in; for sums and medians whether it is counted. reasons: Stable codes, the
        deciding one first; what follows flags it. explanation: A sentence, local times of the
        store. seqs: Of the events that decided it, ascending.
    """

    verdict: VerdictCode
    reasons: tuple[str, ...]
    explanation: Words
    seqs: tuple[int, ...]


class OnTime(msgspec.Struct, frozen=True):
    """The verdict on a delivery, as a repair order shows it.

    Attributes:
        verdict: `not_judged` also while the order is not settled.
        reasons: Stable codes, the deciding one first; what follows flags it.
        explanation: A sentence, local times of the store.
        reference: The promised time in force, None without any promise.
        seqs: Of the events that decided it, ascending.
    """

    verdict: OnTimeVerdict
    reasons: tuple[str, ...]
    explanation: Words
    reference: datetime | None
    seqs: tuple[int, ...]


PREFIXES: Final[dict[VerdictCode, Words]] = {
    "on_time": Words("on time", "准时"),
    "late": Words("late", "迟交"),
    "excused": Words("excused", "免责"),
    "not_judged": Words("not judged", "不作判定"),
    "both_parts": Words("in both parts", "计入分子和分母"),
    "numerator": Words("in the numerator", "计入分子"),
    "denominator": Words("in the denominator only", "仅计入分母"),
    "counted": Words("counted", "计入"),
    "not_counted": Words("not counted", "不计入"),
}


def parts_of(entry: FactEntry | None) -> VerdictCode:
    """Which parts an entry is in."""
    if entry is None or entry.numerator is None:
        return "not_counted"
    if entry.denominator is None:
        return "counted"
    if not entry.denominator:
        return "numerator"
    return "both_parts" if entry.numerator else "denominator"


def sentence(verdict: VerdictCode, what: Words) -> Words:
    """The verdict in words, and what it rests on."""
    prefix = PREFIXES[verdict]
    return Words(f"{prefix.en}: {what.en}", f"{prefix.zh}：{what.zh}")


def ascending(seqs: set[int | None]) -> tuple[int, ...]:
    """Known seqs, each once."""
    return tuple(sorted(seq for seq in seqs if seq is not None))
