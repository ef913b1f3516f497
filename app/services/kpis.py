"""KPIs for their readers: values, what is behind them, and what became of published ones."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from functools import cache
from zoneinfo import ZoneInfo

from app.db.engine import Connection, Pool
from app.db.event_log import EventLog
from app.db.facts import ExplainedFact, FactRepository, Part, Selection
from app.db.feeds import FeedRepository
from app.db.judged_states import JudgedStates
from app.db.snapshots import STORE_GRAIN, Coverage, Publication, SnapshotRepository
from app.domain.access import NOBODY, Principal, personal_for
from app.domain.errors import NotFoundError
from app.domain.events.envelope import Kind
from app.domain.events.names import is_surrogate
from app.domain.kpis.coverage import Hint, hints
from app.domain.kpis.kpi import STAFF_GRAINS, Kpi
from app.domain.kpis.registry import KPIS
from app.domain.pages import PageRequest, encode_cursor, page_of
from app.domain.periods import Period, period_of, year_before
from app.domain.policies import Policies
from app.services.judging import Judge
from app.services.kpi_answers import (
    NO_NAMES,
    ExplainedItem,
    Explanation,
    KpiValues,
    Overview,
    PublishedValue,
    PublishedValues,
    event_answer,
    overview_answer,
    text_of,
    total_answer,
    value_answer,
    version_answer,
)
from app.services.kpi_queries import (
    MAX_PUBLISHED_PERIODS,
    KpiQuery,
    Wanted,
    checked,
    checked_period,
)
from app.services.kpi_values import KpiValue, read_values
from app.services.names import NameService
from app.services.restatements import Restater


class KpiService:
    """Reads KPIs."""

    def __init__(self, pool: Pool, *, policies: Policies, names: NameService) -> None:
        self._pool = pool
        self._policies = policies
        self._names = names

    async def get_values(
        self, store_id: str, code: str, query: KpiQuery, principal: Principal = NOBODY
    ) -> KpiValues:
        """Get the values of a KPI as known now; a surrogate is asked for as whom it stands for.

        A member of staff may be asked for by name.

        Raises:
            NotFoundError: There is no such store or KPI.
            InvalidInputError: The query can't be answered; says why.
            ForbiddenError: A member is asked for by name, and the caller may not see names.
        """
        wanted = await self._meant(store_id, checked(code, query), principal)
        async with self._snapshot(store_id) as (snapshots, coverage, connection):
            values = await _read(snapshots, store_id, wanted)
            hints_of = await _hints(connection, store_id, coverage)
        members = {value.member for value in values}
        names = await self._names_in(store_id, wanted, members, principal)
        return KpiValues(
            code=code,
            store_id=store_id,
            period=wanted.unit,
            by=wanted.grain,
            as_of_seq=str(coverage.seq),
            values=[value_answer(value, hints_of(value.period), names) for value in values],
        )

    async def get_overview(self, store_id: str, query: KpiQuery) -> Overview:
        """Get every KPI of a store against its target, as known now.

        Raises:
            NotFoundError: There is no such store.
            InvalidInputError: The query can't be answered; says why.
        """
        unit, period = checked_period(query)
        async with self._snapshot(store_id) as (snapshots, coverage, connection):
            hints_of = await _hints(connection, store_id, coverage)
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
            items=[overview_answer(kpi, by_code[kpi.code], hints_of) for kpi in KPIS.values()],
        )

    async def explain(
        self,
        store_id: str,
        code: str,
        query: KpiQuery,
        principal: Principal = NOBODY,
        *,
        part: Part,
        page: PageRequest,
    ) -> Explanation:
        """Open a value: the subjects in one of its parts, the latest first, each with its verdict.

        Raises:
            NotFoundError: There is no such store or KPI.
            InvalidInputError: The query can't be answered; says why.
            ForbiddenError: A member is asked for by name, and the caller may not see names.
        """
        wanted = await self._meant(store_id, checked(code, query), principal)
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
            hints_of = await _hints(connection, store_id, coverage)
            tallies = await facts.tally(store_id, _behind(wanted, "numerator")[0])
            items = await self._explained_items(
                connection, store_id, wanted.kpi, found.items, ZoneInfo(coverage.time_zone)
            )
        staff = {who for item in items for who in (item.advisor, item.technician, item.assignee)}
        texts = await self._names.texts(store_id, staff)
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
            totals=[total_answer(tally) for tally in tallies],
            items=items,
            names=personal_for(principal, texts),
            next_cursor=None if found.next_after is None else encode_cursor(found.next_after),
            coverage=hints_of(wanted.period),
        )

    async def get_published(
        self, store_id: str, code: str, query: KpiQuery, principal: Principal = NOBODY
    ) -> PublishedValues:
        """Get what became of the values of a KPI: as published, each restatement, and now.

        A surrogate has the history of the time in which nobody knew whom it stands for.

        Raises:
            NotFoundError: There is no such store or KPI.
            InvalidInputError: The query can't be answered; says why.
            ForbiddenError: A member is asked for by name, and the caller may not see names.
        """
        wanted = checked(code, query, MAX_PUBLISHED_PERIODS)
        if wanted.member is not None and not is_surrogate(wanted.member):
            wanted = await self._meant(store_id, wanted, principal)
        async with self._snapshot(store_id) as (snapshots, coverage, connection):
            current = {
                (value.period.start, value.member): value
                for value in await _read(snapshots, store_id, wanted)
            }
            hints_of = await _hints(connection, store_id, coverage)
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
            restater = Restater(connection, store_id, wanted)
            members = {member for _, member in current.keys() | versions.keys()}
            names = await self._names_in(store_id, wanted, members, principal)
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
                        member_name=names.get(member),
                        published=version_answer(told[0])
                        if told and told[0].version == 1
                        else None,
                        restatements=await restater.restatements(told, firsts.get(start)),
                        current=None
                        if value is None
                        else value_answer(value, hints_of(value.period), names),
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

    async def _meant(self, store_id: str, wanted: Wanted, principal: Principal) -> Wanted:
        """Ask for the member of staff whom a surrogate or a name stands for as known now."""
        if not wanted.member or wanted.grain not in STAFF_GRAINS:
            return wanted
        known = await self._names.known(store_id)
        member = await self._names.meant(
            store_id, wanted.member, "/query/member", known=known, principal=principal
        )
        return replace(wanted, member=member)

    async def _names_in(
        self, store_id: str, wanted: Wanted, members: Collection[str], principal: Principal
    ) -> Mapping[str, str]:
        """Find the names of members, as the caller may see them, where they are staff."""
        if wanted.grain not in STAFF_GRAINS:
            return NO_NAMES
        found = {member for member in members if member}
        return personal_for(principal, await self._names.texts(store_id, found))

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
            event.seq: event_answer(event)
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
                    numerator=text_of(fact.numerator),
                    denominator=text_of(fact.denominator),
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


async def _hints(
    connection: Connection, store_id: str, coverage: Coverage
) -> Callable[[Period], tuple[Hint, ...]]:
    """Read the silences of the store's feeds; gives those in a period."""
    silences = await FeedRepository(connection).list_silences(store_id)
    zone = ZoneInfo(coverage.time_zone)
    return cache(lambda period: hints(silences, period, zone))


async def _read(snapshots: SnapshotRepository, store_id: str, wanted: Wanted) -> list[KpiValue]:
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
    wanted: Wanted,
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


def _behind(wanted: Wanted, part: Part) -> tuple[Selection, Part]:
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
