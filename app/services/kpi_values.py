"""Values of KPIs from the day sums: one way for what is shown now and for what is published.

So a published value and the value known now differ only by what the log said in between.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from app.db.snapshots import STORE_GRAIN, SnapshotRepository, Sum
from app.domain.kpis.facts import ZERO
from app.domain.kpis.kpi import Kpi
from app.domain.kpis.values import Value, over_the_whole_store, value_of
from app.domain.periods import Period, PeriodUnit, periods_between, year_before

type_value_key = tuple[str, date, str, str]
"""(code, first day of the period, grain, member); member '' is null."""


@dataclass(frozen=True, slots=True)
class KpiValue:
    """A value of a KPI for a period and member.

    Attributes:
        member: '' at store grain and for member null.
        not_counted: How many were settled or due but are in neither part, by reason.
    """

    code: str
    period: Period
    grain: str
    member: str
    value: Value
    not_counted: Mapping[str, int]

    @property
    def key(self) -> type_value_key:
        """What it is the value of."""
        return self.code, self.period.start, self.grain, self.member


@dataclass(slots=True)
class _Parts:
    """The figures that a value is made of, see `value_of`."""

    first: Decimal | None = None
    second: Decimal | None = None
    counted: bool = False
    not_counted: dict[str, int] = field(default_factory=dict)


async def read_values(
    snapshots: SnapshotRepository,
    store_id: str,
    *,
    kpis: Collection[Kpi],
    grains: Collection[str],
    unit: PeriodUnit,
    period: Period,
    member: str | None = None,
) -> list[KpiValue]:
    """Read values as known now: every period at store grain, a member where it has a part.

    Args:
        snapshots: Of a snapshot of the database, where several values must agree.
        store_id: Whose.
        kpis: Which; those that do not list a grain are left out at that grain.
        grains: By whom.
        unit: Length of each period.
        period: Whole periods of that length.
        member: Only this one; '' is member null; None is all.

    Returns:
        By period, then by member with null last.
    """
    periods = {found.start: found for found in periods_between(period.start, period.end, unit)}
    parts: dict[type_value_key, _Parts] = defaultdict(_Parts)
    whole = [kpi for kpi in kpis if set(kpi.whole_store_denominator) & set(grains)]
    reader = _Reader(snapshots, store_id, grains, unit, None if whole else member)
    await reader.add_sums(parts, kpis, period)
    await reader.add_medians(parts, kpis, period)
    await reader.add_growth(parts, kpis, periods.values())
    for kpi in whole:
        _take_whole_store(parts, kpi, grains)
    if STORE_GRAIN in grains and not member:
        for kpi in kpis:
            for start in periods:
                parts[kpi.code, start, STORE_GRAIN, ""].counted = True
    by_code = {kpi.code: kpi for kpi in kpis}
    values = [
        KpiValue(
            code,
            periods[start],
            grain,
            found,
            value_of(by_code[code], figures.first, figures.second),
            figures.not_counted,
        )
        for (code, start, grain, found), figures in parts.items()
        if figures.counted and (member is None or found == member)
    ]
    values.sort(key=lambda value: (value.period.start, value.member == "", value.member))
    return values


@dataclass(frozen=True, slots=True)
class _Reader:
    snapshots: SnapshotRepository
    store_id: str
    grains: Collection[str]
    unit: PeriodUnit
    member: str | None

    async def add_sums(
        self, parts: dict[type_value_key, _Parts], kpis: Iterable[Kpi], period: Period
    ) -> None:
        """Add both parts of ratios, the sums, and what was not counted of anything."""
        by_code = {kpi.code: kpi for kpi in kpis}
        for row in await self._sums(by_code, period):
            figures = parts[row.code, row.period_start, row.grain, row.member]
            if row.reason:
                figures.not_counted[row.reason] = row.count
            elif by_code[row.code].aggregation != "median":
                figures.counted = True
                figures.first, figures.second = row.numerator, row.denominator

    async def add_medians(
        self, parts: dict[type_value_key, _Parts], kpis: Iterable[Kpi], period: Period
    ) -> None:
        """Add the middle samples of medians."""
        medians = [kpi for kpi in kpis if kpi.aggregation == "median"]
        listed = {
            (kpi.code, grain) for kpi in medians for grain in kpi.grains if grain in self.grains
        }
        if not listed:
            return
        for row in await self.snapshots.list_medians(
            self.store_id,
            listed=listed,
            bases={basis for kpi in medians for basis in kpi.bases},
            period=self.unit,
            starts_on=period.start,
            ends_on=period.end,
            member=self.member,
        ):
            figures = parts[row.code, row.period_start, row.grain, row.member]
            figures.counted = True
            figures.first, figures.second = row.low, row.high

    async def add_growth(
        self,
        parts: dict[type_value_key, _Parts],
        kpis: Iterable[Kpi],
        periods: Collection[Period],
    ) -> None:
        """Add this period's and last year's sum of what grows (G5)."""
        growing = {kpi.sums_of: kpi for kpi in kpis if kpi.aggregation == "growth" and kpi.sums_of}
        if not growing or not periods:
            return
        first, last = min(periods), max(periods)
        earlier = {found.start: year_before(found).start for found in periods}
        later: dict[date, list[date]] = defaultdict(list)
        for start, found in earlier.items():
            later[found].append(start)
        before = {
            (row.code, row.period_start, row.grain, row.member): row.numerator
            for row in await self._sums(
                growing,
                Period(year_before(first).start, year_before(last).end),
            )
            if not row.reason
        }
        now = {
            (row.code, row.period_start, row.grain, row.member): row.numerator
            for row in await self._sums(growing, Period(first.start, last.end))
            if not row.reason
        }
        lost = {  # with a sum last year and none now: all of it is gone
            (code, start, grain, member)
            for (code, found, grain, member), total in before.items()
            if total
            for start in later.get(found, ())
        }
        for code, start, grain, member in lost | now.keys():
            figures = parts[growing[code].code, start, grain, member]
            figures.counted = True
            figures.first = now.get((code, start, grain, member))
            figures.second = before.get((code, earlier[start], grain, member))

    async def _sums(self, codes: Collection[str], period: Period) -> Sequence[Sum]:
        return await self.snapshots.list_sums(
            self.store_id,
            codes=codes,
            grains=self.grains,
            period=self.unit,
            starts_on=period.start,
            ends_on=period.end,
            member=self.member,
        )


def _take_whole_store(
    parts: dict[type_value_key, _Parts], kpi: Kpi, grains: Collection[str]
) -> None:
    """Put the store's denominator under each member's numerator, where the KPI says so (J11)."""
    for grain in set(kpi.whole_store_denominator) & set(grains):
        by_start: dict[date, dict[str, tuple[Decimal, Decimal]]] = defaultdict(dict)
        for (code, start, found, member), figures in parts.items():
            if code == kpi.code and found == grain:
                by_start[start][member] = figures.first or ZERO, figures.second or ZERO
        for start, members in by_start.items():
            shares = over_the_whole_store(dict(members.items()))
            for member in members:
                figures = parts[kpi.code, start, grain, member]
                figures.counted = member in shares
                figures.first, figures.second = shares.get(member, (None, None))
