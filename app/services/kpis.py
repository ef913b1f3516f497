"""KPIs for their readers: values, what is behind each of them, and what became of published ones.

The results are shaped as the wire has them (design/kpis.md): numbers and seqs are decimal texts.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from app.db.engine import Connection, Pool
from app.db.event_log import EventLog
from app.db.facts import (
    Change,
    ExplainedFact,
    FactRepository,
    Part,
    Selection,
    Side,
    Tally,
)
from app.db.judged_states import JudgedStates
from app.db.snapshots import STORE_GRAIN, Coverage, Publication, SnapshotRepository
from app.domain.errors import Fault, InvalidInputError, NotFoundError
from app.domain.events.catalog import CATALOG
from app.domain.events.envelope import Event, Kind
from app.domain.kpis.kpi import Kpi, Words
from app.domain.kpis.reasons import REASONS
from app.domain.kpis.registry import KPIS
from app.domain.kpis.values import decimal_text
from app.domain.pages import PageRequest, encode_cursor, page_of
from app.domain.periods import Period, PeriodUnit, period_of, widened, year_before
from app.domain.policies import Policies
from app.services.judging import Judge
from app.services.kpi_values import KpiValue, read_values
from app.services.metrics import PUBLISHED_UNITS

MAX_PERIODS: Final = 4_000
MAX_CHANGES: Final = 50
_FIRST_DAY: Final = date(1970, 1, 1)
_LAST_DAY: Final = date(2200, 1, 1)
_DAYS_AT_LEAST: Final = {
    PeriodUnit.DAY: 1,
    PeriodUnit.MONTH: 28,
    PeriodUnit.QUARTER: 90,
    PeriodUnit.YEAR: 365,
}


class PeriodValue(msgspec.Struct, frozen=True, kw_only=True):
    """A value of a KPI, of one period and member.

    Attributes:
        member: None at store grain and for what has no member.
        not_counted: How many were settled or due and are in neither part, by reason.
    """

    period_start: date
    period_end: date
    member: str | None
    numerator: str | None
    denominator: str | None
    value: str | None
    not_counted: Mapping[str, int]


class KpiValues(msgspec.Struct, frozen=True, kw_only=True):
    """The values of a KPI, as known at `as_of_seq`."""

    code: str
    store_id: str
    period: str
    by: str
    as_of_seq: str
    values: list[PeriodValue]


class OverviewValue(PeriodValue, frozen=True, kw_only=True):
    """A value against its target; `met` is None without a target or a value."""

    met: bool | None


class OverviewItem(msgspec.Struct, frozen=True, kw_only=True):
    """A KPI of the overview."""

    code: str
    name: Words
    unit: str
    target: str | None
    direction: str | None
    values: list[OverviewValue]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Every KPI of a store, as known at `as_of_seq`."""

    store_id: str
    period: str
    as_of_seq: str
    items: list[OverviewItem]
    next_cursor: str | None = None


class DecidingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the log, named as in its envelope; its data hold nothing personal."""

    seq: str
    source: str
    id: str
    type: str
    subject: str
    time: datetime
    recordedtime: datetime
    data: msgspec.Raw


class ExplainedItem(msgspec.Struct, frozen=True, kw_only=True):
    """A subject in a part of a value, and why it is there.

    Attributes:
        late_seconds: What the list is ordered by: lateness, or the sample of a median; 0 for KPIs
            that know neither.
        explanation: None where the subject has changed so much since that it has no state.
    """

    kind: Kind
    subject: str
    day: date
    advisor: str | None
    technician: str | None
    team: str | None
    work_type: str | None
    assignee: str | None
    nature: str | None
    numerator: str | None
    denominator: str | None
    reason: str
    late_seconds: int
    verdict: str | None
    reasons: Sequence[str]
    explanation: Words | None
    events: list[DecidingEvent]


class ReasonTotal(msgspec.Struct, frozen=True, kw_only=True):
    """How many subjects of a reason are in each part."""

    reason: str
    words: Words | None
    numerator: int
    denominator: int
    not_counted: int


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What is behind a value: the subjects of one of its parts, and the totals of all."""

    code: str
    store_id: str
    period: str
    period_start: date
    period_end: date
    by: str
    member: str | None
    part: Part
    as_of_seq: str
    totals: list[ReasonTotal]
    items: list[ExplainedItem]
    next_cursor: str | None


class ChangeSide(msgspec.Struct, frozen=True, kw_only=True):
    """What a subject gave to the KPI, before or after."""

    day: date
    member: str | None
    numerator: str | None
    denominator: str | None
    reason: str
    words: Words | None


class SubjectChange(msgspec.Struct, frozen=True, kw_only=True):
    """A subject that moved a published value, and the events between that touched it."""

    kind: Kind
    subject: str
    before: ChangeSide | None
    after: ChangeSide | None
    events: list[DecidingEvent]


class PublishedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A value as a night published it."""

    version: int
    numerator: str | None
    denominator: str | None
    value: str | None
    as_of_seq: str
    published_at: datetime


class Restatement(PublishedVersion, frozen=True, kw_only=True):
    """A later version, and what moved it; `changes` may be the first of `changes_total`."""

    changes: list[SubjectChange]
    changes_total: int


class PublishedValue(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a value.

    Attributes:
        published: As it was published first; None where there was nothing to publish, or not yet.
        restatements: In order; the last one is what is published now.
        current: As known now; None where nothing is left of it.
    """

    period_start: date
    period_end: date
    member: str | None
    published: PublishedVersion | None
    restatements: list[Restatement]
    current: PeriodValue | None


class PublishedValues(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the values of a KPI; `current` is as known at `as_of_seq`."""

    code: str
    store_id: str
    period: str
    by: str
    as_of_seq: str
    values: list[PublishedValue]


@dataclass(frozen=True, slots=True)
class KpiQuery:
    """Which values are asked for.

    Attributes:
        starts_on: First local day; widened to whole periods (J1).
        ends_on: Local day after the last.
        period: Length of each.
        by: Grain.
        member: Only this one; "" is member null (J18), None is all.
        as_of: Not supported yet, like `as_of_seq`.
    """

    starts_on: date
    ends_on: date
    period: str
    by: str = STORE_GRAIN
    member: str | None = None
    as_of: str | None = None
    as_of_seq: str | None = None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A query that was checked."""

    kpi: Kpi
    unit: PeriodUnit
    period: Period
    grain: str
    member: str | None


class KpiService:
    """Reads KPIs."""

    def __init__(self, pool: Pool, *, policies: Policies) -> None:
        self._pool = pool
        self._policies = policies

    async def get_values(self, store_id: str, code: str, query: KpiQuery) -> KpiValues:
        """Get the values of a KPI as known now.

        Raises:
            NotFoundError: There is no such store or KPI.
            InvalidInputError: The query can't be answered; says why.
        """
        wanted = _checked(code, query)
        async with self._snapshot(store_id) as (snapshots, coverage, _):
            values = await _read(snapshots, store_id, wanted)
        return KpiValues(
            code=code,
            store_id=store_id,
            period=wanted.unit,
            by=wanted.grain,
            as_of_seq=str(coverage.seq),
            values=[_period_value(value) for value in values],
        )

    async def get_overview(self, store_id: str, query: KpiQuery) -> Overview:
        """Get every KPI of a store against its target, as known now.

        Raises:
            NotFoundError: There is no such store.
            InvalidInputError: The query can't be answered; says why.
        """
        unit, period = _checked_period(query)
        async with self._snapshot(store_id) as (snapshots, coverage, _):
            values = await read_values(
                snapshots,
                store_id,
                kpis=KPIS.values(),
                grains=(STORE_GRAIN,),
                unit=unit,
                period=period,
            )
        by_code: dict[str, list[KpiValue]] = defaultdict(list)
        for value in values:
            by_code[value.code].append(value)
        return Overview(
            store_id=store_id,
            period=unit,
            as_of_seq=str(coverage.seq),
            items=[_overview_item(kpi, by_code[kpi.code]) for kpi in KPIS.values()],
        )

    async def explain(
        self, store_id: str, code: str, query: KpiQuery, *, part: Part, page: PageRequest
    ) -> Explanation:
        """Open a value: the subjects in one of its parts, the latest first, each with its verdict.

        Raises:
            NotFoundError: There is no such store or KPI.
            InvalidInputError: The query can't be answered; says why.
        """
        wanted = _checked(code, query)
        counted, counted_part = _behind(wanted, part)
        after = _fact_key(page)
        async with self._snapshot(store_id) as (_, coverage, connection):
            facts = FactRepository(connection)
            found = page_of(
                await facts.list_explained(
                    store_id, counted, part=counted_part, after=after, limit=page.limit + 1
                ),
                page.limit,
                lambda fact: (fact.sort, str(fact.kind), fact.key, fact.basis),
            )
            tallies = await facts.tally(store_id, _behind(wanted, "numerator")[0])
            items = await self._explained_items(
                connection, store_id, wanted.kpi, found.items, ZoneInfo(coverage.time_zone)
            )
        return Explanation(
            code=code,
            store_id=store_id,
            period=wanted.unit,
            period_start=wanted.period.start,
            period_end=wanted.period.end,
            by=wanted.grain,
            member=wanted.member or None,
            part=part,
            as_of_seq=str(coverage.seq),
            totals=[_reason_total(tally) for tally in tallies],
            items=items,
            next_cursor=None if found.next_after is None else encode_cursor(found.next_after),
        )

    async def get_published(self, store_id: str, code: str, query: KpiQuery) -> PublishedValues:
        """Get what became of the values of a KPI: as published, each restatement, and now.

        Raises:
            NotFoundError: There is no such store or KPI.
            InvalidInputError: The query can't be answered; says why.
        """
        wanted = _checked(code, query)
        async with self._snapshot(store_id) as (snapshots, coverage, connection):
            current = {
                (value.period.start, value.member): value
                for value in await _read(snapshots, store_id, wanted)
            }
            store_versions = await _versions(snapshots, store_id, wanted, STORE_GRAIN, "")
            found = (
                store_versions
                if wanted.grain == STORE_GRAIN
                else await _versions(snapshots, store_id, wanted, wanted.grain, wanted.member)
            )
            firsts: dict[date, Publication] = {}
            for version in store_versions:
                firsts.setdefault(version.period_start, version)
            versions: dict[tuple[date, str], list[Publication]] = defaultdict(list)
            for version in found:
                versions[version.period_start, version.member].append(version)
            restater = _Restater(connection, store_id, wanted)
            values = []
            for start, member in sorted(
                current.keys() | versions.keys(), key=lambda key: (key[0], key[1] == "", key[1])
            ):
                value = current.get((start, member))
                told = versions.get((start, member), [])
                values.append(
                    PublishedValue(
                        period_start=start,
                        period_end=period_of(start, wanted.unit).end,
                        member=member or None,
                        published=_version(told[0]) if told and told[0].version == 1 else None,
                        restatements=await restater.restatements(told, firsts.get(start)),
                        current=None if value is None else _period_value(value),
                    )
                )
        return PublishedValues(
            code=code,
            store_id=store_id,
            period=wanted.unit,
            by=wanted.grain,
            as_of_seq=str(coverage.seq),
            values=values,
        )

    @asynccontextmanager
    async def _snapshot(
        self, store_id: str
    ) -> AsyncIterator[tuple[SnapshotRepository, Coverage, Connection]]:
        """One snapshot of the database, and what the metrics of the store cover in it."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            snapshots = SnapshotRepository(connection)
            coverage = await snapshots.find_coverage(store_id)
            if coverage is None:
                raise NotFoundError(
                    f"There is no store {store_id}. PUT /v1/stores/{store_id} makes one."
                )
            yield snapshots, coverage, connection

    async def _explained_items(
        self,
        connection: Connection,
        store_id: str,
        kpi: Kpi,
        facts: Sequence[ExplainedFact],
        zone: ZoneInfo,
    ) -> list[ExplainedItem]:
        judge = Judge(JudgedStates(connection), store_id, policies=self._policies, zone=zone)
        keys: dict[Kind, set[str]] = defaultdict(set)
        for fact in facts:
            keys[fact.kind].add(fact.key)
        verdicts = {
            (kind, key): verdict
            for kind, found in keys.items()
            for key, verdict in (await judge.explain(kpi.code, kind, found)).items()
        }
        seqs = {seq for verdict in verdicts.values() for seq in verdict.seqs}
        events = {
            event.seq: _deciding_event(event)
            for event in await EventLog(connection).read_seqs(store_id, sorted(seqs))
        }
        items = []
        for fact in facts:
            verdict = verdicts.get((fact.kind, fact.key))
            items.append(
                ExplainedItem(
                    kind=fact.kind,
                    subject=fact.key,
                    day=fact.day,
                    advisor=fact.advisor,
                    technician=fact.technician,
                    team=fact.team,
                    work_type=fact.work_type,
                    assignee=fact.assignee,
                    nature=fact.nature,
                    numerator=_text(fact.numerator),
                    denominator=_text(fact.denominator),
                    reason=fact.reason,
                    late_seconds=fact.sort,
                    verdict=None if verdict is None else verdict.verdict,
                    reasons=() if verdict is None else verdict.reasons,
                    explanation=None if verdict is None else verdict.explanation,
                    events=[]
                    if verdict is None
                    else [events[seq] for seq in verdict.seqs if seq in events],
                )
            )
        return items


class _Restater:
    """Tells what moved published values."""

    def __init__(self, connection: Connection, store_id: str, wanted: _Wanted) -> None:
        self._facts = FactRepository(connection)
        self._states = JudgedStates(connection)
        self._log = EventLog(connection)
        self._store_id = store_id
        self._wanted = wanted

    async def restatements(
        self, versions: Sequence[Publication], first: Publication | None
    ) -> list[Restatement]:
        """The versions after the first, each with what moved it.

        Args:
            versions: Of one value, in order. Where they begin with 2, it was nothing at first.
            first: The first version of the whole store in that period.
        """
        restatements = []
        before = first
        for version in versions:
            if version.version > 1 and before is not None:
                restatements.append(await self._restatement(before, version))
            before = version
        return restatements

    async def _restatement(self, before: Publication, version: Publication) -> Restatement:
        # a corrected zone restates without news: its revisions are those of the seq itself
        after = min(before.as_of_seq, version.as_of_seq - 1)
        changes, total = await self._changes(version, after)
        told = await self._told(changes, before.as_of_seq, version.as_of_seq)
        return Restatement(
            **msgspec.structs.asdict(_version(version)),
            changes=[
                SubjectChange(
                    kind=change.kind,
                    subject=change.key,
                    before=_side(change.before),
                    after=_side(change.after),
                    events=told[change.kind, change.key],
                )
                for change in changes
            ],
            changes_total=total,
        )

    async def _changes(self, version: Publication, after: int) -> tuple[list[Change], int]:
        """What facts of the period changed for the KPI; of growth, of last year's period too."""
        wanted = self._wanted
        period = Period(version.period_start, version.period_end)
        kpi, changes, total = wanted.kpi, list[Change](), 0
        periods = [period, year_before(period)] if kpi.sums_of else [period]
        member = None if wanted.grain in kpi.whole_store_denominator else version.member
        for part in periods:
            found, count = await self._facts.list_changes(
                self._store_id,
                Selection(
                    code=kpi.sums_of or kpi.code,
                    starts_on=part.start,
                    ends_on=part.end,
                    grain=wanted.grain,
                    member=member,
                ),
                after=after,
                until=version.as_of_seq,
                limit=MAX_CHANGES,
            )
            changes += found
            total += count
        return changes[:MAX_CHANGES], total

    async def _told(
        self, changes: Sequence[Change], after: int, until: int
    ) -> dict[tuple[Kind, str], list[DecidingEvent]]:
        """The events in (after, until] of each subject and of what its verdict hangs on."""
        subjects = {(change.kind, change.key) for change in changes}
        companions = await self._states.list_companions(self._store_id, subjects)
        reached = {subject for found in companions.values() for subject in found} | subjects
        events = await self._log.read_subjects(self._store_id, sorted(reached))
        between = {
            subject: [event for event in found if after < event.seq <= until]
            for subject, found in events.items()
        }
        return {
            subject: [
                _deciding_event(event)
                for event in sorted(
                    (
                        event
                        for found in {subject, *companions.get(subject, ())}
                        for event in between[found]
                    ),
                    key=lambda event: event.seq,
                )
            ]
            for subject in subjects
        }


def _checked(code: str, query: KpiQuery) -> _Wanted:
    kpi = KPIS.get(code)
    if kpi is None:
        raise NotFoundError(f"There is no KPI {code}. GET /v1/kpis lists them.")
    unit, period = _checked_period(query)
    if query.by not in kpi.grains:
        raise InvalidInputError.at(
            "/query/by",
            "not-a-grain",
            f"{code} is told by {', '.join(kpi.grains)}, not by {query.by}.",
        )
    if query.by == STORE_GRAIN and query.member:
        raise InvalidInputError.at(
            "/query/member", "no-member", "A member needs `by`; the store as a whole has none."
        )
    member = None if query.by == STORE_GRAIN else query.member
    return _Wanted(kpi, unit, period, query.by, member)


def _checked_period(query: KpiQuery) -> tuple[PeriodUnit, Period]:
    faults = []
    unit = next((found for found in PUBLISHED_UNITS if found == query.period), None)
    if unit is None:
        listed = ", ".join(PUBLISHED_UNITS)
        known = query.period in set(PeriodUnit)
        faults.append(
            Fault(
                "/query/period",
                "not-yet-supported" if known else "unknown-period",
                f"{query.period} is not supported yet; the periods are {listed}."
                if known
                else f"The periods are {listed}.",
            )
        )
    for name, day in (("from", query.starts_on), ("to", query.ends_on)):
        if not _FIRST_DAY <= day <= _LAST_DAY:
            faults.append(
                Fault(
                    f"/query/{name}",
                    "out-of-range",
                    f"The days are those from {_FIRST_DAY} to {_LAST_DAY}.",
                )
            )
    for name, given in (("as_of", query.as_of), ("as_of_seq", query.as_of_seq)):
        if given is not None:
            faults.append(
                Fault(
                    f"/query/{name}",
                    "not-yet-supported",
                    "What was known at another time is not supported yet; values are as now.",
                )
            )
    if query.ends_on <= query.starts_on:
        faults.append(
            Fault("/query/to", "no-days", "`to` is excluded, so it has to be after `from`.")
        )
    if unit is None or faults:
        raise InvalidInputError(faults)
    period = widened(query.starts_on, query.ends_on, unit)
    if (period.end - period.start).days > MAX_PERIODS * _DAYS_AT_LEAST[unit]:
        raise InvalidInputError.at(
            "/query/to", "too-many-periods", f"At most {MAX_PERIODS} periods in one answer."
        )
    return unit, period


async def _read(snapshots: SnapshotRepository, store_id: str, wanted: _Wanted) -> list[KpiValue]:
    return await read_values(
        snapshots,
        store_id,
        kpis=(wanted.kpi,),
        grains=(wanted.grain,),
        unit=wanted.unit,
        period=wanted.period,
        member=wanted.member,
    )


async def _versions(
    snapshots: SnapshotRepository,
    store_id: str,
    wanted: _Wanted,
    grain: str,
    member: str | None,
) -> list[Publication]:
    return await snapshots.list_versions(
        store_id,
        code=wanted.kpi.code,
        grain=grain,
        period=wanted.unit,
        starts_on=wanted.period.start,
        ends_on=wanted.period.end,
        member=member,
    )


def _behind(wanted: _Wanted, part: Part) -> tuple[Selection, Part]:
    """The facts behind a part of a value, and the part of theirs that they are in.

    Behind growth is the revenue of the period, over that of the same period last year; behind the
    denominator of a KPI over the whole store is the whole store.
    """
    kpi, period, counted = wanted.kpi, wanted.period, part
    member = wanted.member
    if kpi.sums_of is not None and part == "denominator":
        period, counted = year_before(period), "numerator"
    if wanted.grain in kpi.whole_store_denominator and part == "denominator":
        member = None
    return (
        Selection(
            code=kpi.sums_of or kpi.code,
            starts_on=period.start,
            ends_on=period.end,
            grain=wanted.grain,
            member=member,
        ),
        counted,
    )


def _fact_key(page: PageRequest) -> tuple[int, str, str, str] | None:
    match page.key(int, str, str, str):
        case (int() as sort, str() as kind, str() as key, str() as basis):
            return sort, kind, key, basis
        case _:
            return None


def _period_value(value: KpiValue) -> PeriodValue:
    return PeriodValue(
        period_start=value.period.start,
        period_end=value.period.end,
        member=value.member or None,
        numerator=value.value.numerator,
        denominator=value.value.denominator,
        value=value.value.value,
        not_counted=value.not_counted,
    )


def _overview_item(kpi: Kpi, values: Iterable[KpiValue]) -> OverviewItem:
    return OverviewItem(
        code=kpi.code,
        name=kpi.name,
        unit=kpi.unit,
        target=_text(kpi.target),
        direction=kpi.direction,
        values=[
            OverviewValue(**msgspec.structs.asdict(_period_value(value)), met=_is_met(kpi, value))
            for value in values
        ],
    )


def _is_met(kpi: Kpi, value: KpiValue) -> bool | None:
    if kpi.target is None or value.value.value is None:
        return None
    number = Decimal(value.value.value)
    return number <= kpi.target if kpi.direction == "down" else number >= kpi.target


def _reason_total(tally: Tally) -> ReasonTotal:
    return ReasonTotal(
        reason=tally.reason,
        words=REASONS.get(tally.reason),
        numerator=tally.numerator,
        denominator=tally.denominator,
        not_counted=tally.not_counted,
    )


def _version(publication: Publication) -> PublishedVersion:
    return PublishedVersion(
        version=publication.version,
        numerator=_text(publication.numerator),
        denominator=_text(publication.denominator),
        value=None if publication.value is None else format(publication.value, "f"),
        as_of_seq=str(publication.as_of_seq),
        published_at=publication.published_at,
    )


def _side(side: Side | None) -> ChangeSide | None:
    if side is None:
        return None
    return ChangeSide(
        day=side.day,
        member=side.member,
        numerator=_text(side.numerator),
        denominator=_text(side.denominator),
        reason=side.reason,
        words=REASONS.get(side.reason),
    )


def _deciding_event(event: Event) -> DecidingEvent:
    return DecidingEvent(
        seq=str(event.seq),
        source=event.source,
        id=event.id,
        type=event.type,
        subject=event.subject,
        time=event.occurred_at,
        recordedtime=event.recorded_at,
        data=msgspec.Raw(CATALOG[event.type].forms[-1].write(event.payload)),
    )


def _text(number: Decimal | None) -> str | None:
    return None if number is None else decimal_text(number)
