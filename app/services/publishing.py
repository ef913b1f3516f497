"""What a night publishes: the values of the periods that ended, and restated ones.

A published value is never overwritten; one that late facts changed gets a new version.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from app.db.snapshots import STORE_GRAIN, Publication
from app.domain.kpis.registry import KPIS
from app.domain.kpis.values import Value, value_of
from app.domain.periods import (
    Period,
    PeriodUnit,
    add_months,
    local_day,
    period_of,
    periods_between,
    year_before,
)
from app.services.kpi_values import read_values, type_value_key
from app.services.metrics_turn import Turn

PUBLISHED_UNITS: Final = (
    PeriodUnit.DAY,
    PeriodUnit.MONTH,
    PeriodUnit.QUARTER,
    PeriodUnit.YEAR,
)
"""Lengths of the periods that a night publishes (J17)."""

_GRAINS: Final = frozenset(grain for kpi in KPIS.values() for grain in kpi.grains)
_PERIODS_AT_ONCE: Final = 5


class Publisher:
    """Writes the values of one night of a store whose turn it is."""

    def __init__(self, turn: Turn, now: datetime) -> None:
        self._turn = turn
        self._now = now

    async def publish_ended(self, night: date) -> int:
        """Publish the periods that ended since the last night, up to this one.

        The first night also takes what was imported: the periods before the store was set up, as
        far as they have a fact.
        """
        turn = self._turn
        since = turn.progress.closed_until or local_day(turn.head.created_at, turn.zone)
        count = 0
        for unit in PUBLISHED_UNITS:
            periods = _ended(unit, since, night)
            if turn.progress.closed_until is None:
                imported = await turn.snapshots.list_periods_with_facts(turn.store_id, unit, since)
                found = (period_of(start, unit) for start in imported)
                periods |= {period for period in found if period.end <= night}
            for run in _runs(periods):
                values = await self._values(unit, run, KPIS)
                publications = [
                    self._publication(unit, period_of(key[1], unit), key, value, version=1)
                    for key, value in values.items()
                ]
                await turn.snapshots.publish(turn.store_id, publications)
                count += len(publications)
        return count

    async def restate_changed(self) -> int:
        """Publish a new version of each value that facts of closed days have changed."""
        turn = self._turn
        if turn.progress.closed_until is None or turn.progress.closed_seq is None:
            return 0
        changed = await turn.facts.list_revised(
            turn.store_id, after=turn.progress.closed_seq, until=turn.progress.seq
        )
        count = 0
        for unit in PUBLISHED_UNITS:
            codes = _touched(unit, changed, turn.progress.closed_until)
            for run in _runs(codes):
                count += await self._restate(
                    unit, run, set().union(*(codes[period] for period in run))
                )
        return count

    async def _restate(
        self, unit: PeriodUnit, periods: Sequence[Period], codes: Collection[str]
    ) -> int:
        """Compare the values of consecutive periods with what was published of them."""
        turn = self._turn
        values = await self._values(unit, periods, codes)
        latest = {
            (found.code, found.period_start, found.grain, found.member): found
            for found in await turn.snapshots.list_latest(
                turn.store_id,
                codes=codes,
                period=unit,
                starts_on=periods[0].start,
                ends_on=periods[-1].end,
            )
        }
        publications = []
        for key in sorted(values.keys() | latest.keys()):
            code, start, _, _ = key
            nothing = value_of(KPIS[code], None, None)
            value, last = values.get(key, nothing), latest.get(key)
            if last is None:
                # a member without a part in a published period had nothing to publish: its
                # first value there is a restatement
                is_first = (code, start, STORE_GRAIN, "") not in latest
                if is_first or value != nothing:
                    publications.append((key, value, 1 if is_first else 2))
            elif _numbers(value) != (last.numerator, last.denominator, last.value):
                publications.append((key, value, last.version + 1))
        await turn.snapshots.publish(
            turn.store_id,
            [
                self._publication(unit, period_of(key[1], unit), key, value, version=version)
                for key, value, version in publications
            ],
        )
        return len(publications)

    async def _values(
        self, unit: PeriodUnit, periods: Sequence[Period], codes: Iterable[str]
    ) -> dict[type_value_key, Value]:
        """The values of consecutive periods as known now."""
        values = await read_values(
            self._turn.snapshots,
            self._turn.store_id,
            kpis=[KPIS[code] for code in codes],
            grains=_GRAINS,
            unit=unit,
            period=Period(periods[0].start, periods[-1].end),
        )
        return {value.key: value.value for value in values}

    def _publication(
        self, unit: PeriodUnit, period: Period, key: type_value_key, value: Value, *, version: int
    ) -> Publication:
        code, start, grain, member = key
        numerator, denominator, number = _numbers(value)
        return Publication(
            code=code,
            period=unit,
            period_start=start,
            grain=grain,
            member=member,
            version=version,
            period_end=period.end,
            numerator=numerator,
            denominator=denominator,
            value=number,
            as_of_seq=self._turn.progress.seq,
            published_at=self._now,
        )


def _ended(unit: PeriodUnit, since: date, until: date) -> set[Period]:
    """The periods that ended after the local date `since`, `until` the latest."""
    if since >= until:
        return set()
    return {period for period in periods_between(since, until, unit) if period.end <= until}


def _touched(
    unit: PeriodUnit, changed: Iterable[tuple[date, str]], closed_until: date
) -> dict[Period, set[str]]:
    """The closed periods whose values changed facts (day, code) may have moved, with the codes."""
    grown: dict[str, list[str]] = defaultdict(list)
    for kpi in KPIS.values():
        if kpi.sums_of is not None:
            grown[kpi.sums_of].append(kpi.code)
    touched: dict[Period, set[str]] = defaultdict(set)
    for day, code in changed:
        if code not in KPIS:
            continue
        period = period_of(day, unit)
        touched[period].update((code, *grown[code]))
        if grown[code]:
            for later in _year_later(period, unit):
                touched[later].update(grown[code])
    return {period: codes for period, codes in touched.items() if period.end <= closed_until}


def _year_later(period: Period, unit: PeriodUnit) -> Iterator[Period]:
    """The periods whose last year's period is this one: 28 February may have two (G5)."""
    first = period_of(add_months(period.start, 12), unit)
    for candidate in (first, period_of(first.end, unit)):
        if year_before(candidate) == period:
            yield candidate


def _runs(periods: Iterable[Period]) -> Iterator[Sequence[Period]]:
    """Cut periods into consecutive runs of bounded length, in order."""
    run: list[Period] = []
    for period in sorted(periods):
        if run and (run[-1].end != period.start or len(run) == _PERIODS_AT_ONCE):
            yield run
            run = []
        run.append(period)
    if run:
        yield run


def _numbers(value: Value) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """A value's texts as the numbers that they are."""
    return _number(value.numerator), _number(value.denominator), _number(value.value)


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
