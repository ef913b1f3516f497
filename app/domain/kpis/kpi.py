"""What every KPI says of itself."""

import inspect
from decimal import Decimal
from typing import ClassVar, Final, Literal

import msgspec

from app.domain.kpis.facts import Basis

Grain = Literal["store", "advisor", "technician", "team", "work_type", "assignee", "nature"]
STAFF_GRAINS: Final[frozenset[Grain]] = frozenset({"advisor", "technician", "assignee"})
"""Those whose members are staff."""
Aggregation = Literal["ratio", "sum", "median", "growth"]
Unit = Literal["ratio", "count", "money", "hours", "minutes"]
Direction = Literal["up", "down"]


class Words(msgspec.Struct, frozen=True, gc=False):
    """The same text in both languages."""

    en: str
    zh: str


class Kpi:
    """Base of the KPIs. The docstring of each is its contract.

    Attributes:
        code: Stable; what the wire calls it.
        name: Of the KPI, for people.
        formula: In words.
        family: Heading of design/kpis.md.
        source: Where the definition comes from.
        unit: Of the value; `money` is in the store's currency.
        aggregation: How values come from facts: the sums of both parts (`ratio`), the sum of the
            numerator (`sum`), the samples' median (`median`), or another KPI's sums (`growth`).
        bases: Which facts carry it, and so by which day it counts.
        grains: What it can be split by, the store first.
        whole_store_denominator: Grains at which the denominator is that of the whole store (J11).
        sums_of: Code of the KPI whose sums a `growth` is computed from.
        target: Of the value; None where no source names one.
        direction: Which way is better; None where neither is.
        policy_keys: The policies that its facts hang on.
    """

    code: ClassVar[str]
    name: ClassVar[Words]
    formula: ClassVar[Words]
    family: ClassVar[Words]
    source: ClassVar[str]
    unit: ClassVar[Unit] = "ratio"
    aggregation: ClassVar[Aggregation] = "ratio"
    bases: ClassVar[tuple[Basis, ...]] = ("settled",)
    grains: ClassVar[tuple[Grain, ...]]
    whole_store_denominator: ClassVar[tuple[Grain, ...]] = ()
    sums_of: ClassVar[str | None] = None
    target: ClassVar[Decimal | None] = None
    direction: ClassVar[Direction | None] = None
    policy_keys: ClassVar[tuple[str, ...]] = ()

    @property
    def contract(self) -> str:
        """The docstring: what exactly is counted."""
        return inspect.getdoc(type(self)) or ""
