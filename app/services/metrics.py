"""Facts and snapshots: judged from what came in, summed, and published once a night.

Everything that changes the metrics of a store happens in its turn: one transaction that holds the
store's cursor row and sees the log, the states and the facts in one snapshot. So there is one
refresher per store at a time, and when a turn ends the facts are exactly what the log says up to
the cursor. The cost of a turn follows what came in since the last one, not the length of the log.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import asyncpg
import structlog

from app.db.engine import Connection, Pool
from app.db.facts import FactRepository, Revision, keys_of
from app.db.judged_states import JUDGED_KINDS, JudgedStates
from app.db.snapshots import STORE_GRAIN, Progress, Publication, SnapshotRepository, StoreHead
from app.domain.errors import NotFoundError, UnavailableError
from app.domain.events.envelope import Kind
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
from app.domain.policies import Policies
from app.services.judging import Judge
from app.services.kpi_values import read_values, type_value_key

Item = TypeVar("Item")

PUBLISHED_UNITS: Final = (
    PeriodUnit.DAY,
    PeriodUnit.MONTH,
    PeriodUnit.QUARTER,
    PeriodUnit.YEAR,
)
"""Lengths of the periods that a night publishes (J17)."""

LISTED: Final = frozenset((kpi.code, grain) for kpi in KPIS.values() for grain in kpi.grains)
"""Every (code, grain) that sums are kept of."""

GRAINS: Final = frozenset(grain for _, grain in LISTED)

_EVENTS_AT_ONCE: Final = 20_000
_SUBJECTS_AT_ONCE: Final = 500
_DAYS_AT_ONCE: Final = 31
_PERIODS_AT_ONCE: Final = 5
_TRIES: Final = 20

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Refreshed:
    """What a turn took in.

    Attributes:
        as_of_seq: The facts tell what the log says up to here.
        subjects: How many were judged.
        facts: How many facts were written or taken away.
        days: The days whose sums were made anew.
    """

    as_of_seq: int
    subjects: int = 0
    facts: int = 0
    days: set[date] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Published:
    """What a night published.

    Attributes:
        as_of_seq: The log up to here is what the values tell.
        published: Values published for the first time.
        restated: New versions of values published before.
    """

    as_of_seq: int
    published: int
    restated: int


@dataclass(frozen=True, slots=True)
class _Turn:
    """One store's metrics, held, as one snapshot has them."""

    store_id: str
    facts: FactRepository
    snapshots: SnapshotRepository
    states: JudgedStates
    progress: Progress
    head: StoreHead

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.head.time_zone)

    @property
    def is_zone_new(self) -> bool:
        """Whether the store's days are cut elsewhere than when the facts were judged (J4)."""
        return self.progress.time_zone not in {None, self.head.time_zone}

    def is_closed(self, day: date) -> bool:
        """Whether a night has published the day."""
        closed_until = self.progress.closed_until
        return closed_until is not None and day < closed_until


class MetricsService:
    """Keeps facts, sums and published values."""

    def __init__(self, pool: Pool, *, policies: Policies) -> None:
        self._pool = pool
        self._policies = policies

    async def refresh(self, store_id: str) -> Refreshed:
        """Take in what came since the last turn; waits while another refresher is at it.

        Raises:
            NotFoundError: There is no such store.
            UnavailableError: Others held the store's metrics again and again.
        """
        async with self._turn(store_id, wait=True) as turn:
            return await self._take_in(turn, everything=turn.is_zone_new)

    async def refresh_behind(self) -> int:
        """Take in what came, in every store that has news; leave those that another is at.

        Returns:
            How many stores were brought up to date.
        """
        async with self._pool.acquire() as connection:
            behind = await SnapshotRepository(connection).list_behind()
        refreshed = 0
        for store_id in behind:
            try:
                async with self._turn(store_id, wait=False) as turn:
                    await self._take_in(turn, everything=turn.is_zone_new)
                refreshed += 1
            except UnavailableError:
                logger.debug("another process refreshes the store", store_id=store_id)
        return refreshed

    async def rebuild(self, store_id: str) -> Refreshed:
        """Judge every subject of a store again and sum every day anew.

        Leads to the same rows as `refresh`, whatever was there before.

        Raises:
            NotFoundError: There is no such store.
            UnavailableError: Others held the store's metrics again and again.
        """
        async with self._turn(store_id, wait=True) as turn:
            return await self._take_in(turn, everything=True)

    async def publish(self, store_id: str, *, night: date, now: datetime) -> Published:
        """Publish what ended before the local date `night`, and restate what has changed since.

        Each period is published once, at the first night after its end (J17). A value that late
        facts changed gets a new version; nothing is overwritten. Harmless to repeat.

        Args:
            store_id: Whose.
            night: Local date of the night; a period that ends on it has ended.
            now: The service's time.

        Raises:
            NotFoundError: There is no such store.
            UnavailableError: Others held the store's metrics again and again.
        """
        async with self._turn(store_id, wait=True) as turn:
            publisher = _Publisher(turn, now)
            published = await publisher.publish_ended(night)
            restated = await publisher.restate_changed()
            closed_until = turn.progress.closed_until
            await turn.snapshots.close(
                store_id, night if closed_until is None else max(night, closed_until)
            )
            return Published(turn.progress.seq, published, restated)

    @asynccontextmanager
    async def _turn(self, store_id: str, *, wait: bool) -> AsyncIterator[_Turn]:
        """Hold the store's metrics; everything in it is one transaction and one snapshot."""
        for _ in range(_TRIES):
            async with self._pool.acquire() as connection:
                try:
                    async with connection.transaction(isolation="repeatable_read"):
                        yield await _take_turn(store_id, connection, wait=wait)
                        return
                except _NotYetError as error:
                    if not error.try_again:
                        break
        raise UnavailableError(f"The metrics of store {store_id} are being refreshed just now.")

    async def _take_in(self, turn: _Turn, *, everything: bool) -> Refreshed:
        """Bring facts and sums to the head of the log."""
        before, head = turn.progress.seq, turn.head.seq
        refreshed = Refreshed(as_of_seq=head)
        if head == before and not everything and turn.progress.time_zone is not None:
            return refreshed
        if everything:
            await self._judge_all(turn, refreshed)
            await turn.snapshots.drop_sums(turn.store_id)
            refreshed.days.update(await turn.snapshots.list_fact_days(turn.store_id))
        else:
            for after in range(before, head, _EVENTS_AT_ONCE):
                until = min(after + _EVENTS_AT_ONCE, head)
                await self._judge_touched(turn, refreshed, after, until)
        for days in _parts(sorted(refreshed.days), _DAYS_AT_ONCE):
            await turn.snapshots.recount(turn.store_id, days, LISTED)
        await turn.snapshots.advance_cursor(
            turn.store_id,
            expected_seq=before,
            seq=head,
            time_zone=turn.head.time_zone,
            reopen=everything and turn.progress.closed_seq == head,
        )
        logger.info(
            "metrics refreshed",
            store_id=turn.store_id,
            as_of_seq=head,
            subjects=refreshed.subjects,
            facts=refreshed.facts,
            days=len(refreshed.days),
        )
        return refreshed

    async def _judge_touched(
        self, turn: _Turn, refreshed: Refreshed, after: int, until: int
    ) -> None:
        """Judge the subjects that the events in (after, until] reach."""
        touched = await turn.states.list_touched(turn.store_id, after=after, until=until)
        for kind, keys in touched.items():
            for part in _parts(sorted(keys), _SUBJECTS_AT_ONCE):
                await self._judge(turn, refreshed, kind, part)

    async def _judge_all(self, turn: _Turn, refreshed: Refreshed) -> None:
        """Judge every subject, and take away the facts of those that have no state any more."""
        for kind in JUDGED_KINDS:
            gone = set(await turn.facts.list_keys(turn.store_id, kind))
            last: str | None = None
            while keys := await turn.states.list_keys(
                turn.store_id, kind, after=last, limit=_SUBJECTS_AT_ONCE
            ):
                await self._judge(turn, refreshed, kind, keys)
                gone.difference_update(keys)
                last = keys[-1]
            for part in _parts(sorted(gone), _SUBJECTS_AT_ONCE):
                await self._judge(turn, refreshed, kind, part)

    async def _judge(
        self, turn: _Turn, refreshed: Refreshed, kind: Kind, keys: Collection[str]
    ) -> None:
        """Put the facts of these subjects in the place of those that they had before."""
        judge = Judge(turn.states, turn.store_id, policies=self._policies, zone=turn.zone)
        new = keys_of(await judge.judge(kind, keys))
        old = await turn.facts.find_of(turn.store_id, {kind: keys})
        changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
        refreshed.subjects += len(keys)
        if not changed:
            return
        await turn.facts.replace(
            turn.store_id,
            gone=changed & old.keys(),
            facts=[new[key] for key in sorted(changed & new.keys())],
            judged_seq=turn.head.seq,
        )
        revisions = [Revision(*key, old.get(key), new.get(key)) for key in sorted(changed)]
        days = [
            {side.day for side in (revision.before, revision.after) if side is not None}
            for revision in revisions
        ]
        await turn.facts.record_revisions(
            turn.store_id,
            [
                revision
                for revision, touched in zip(revisions, days, strict=True)
                if any(map(turn.is_closed, touched))
            ],
            from_seq=turn.progress.seq,
            judged_seq=turn.head.seq,
        )
        refreshed.facts += len(changed)
        refreshed.days.update(*days)


class _Publisher:
    """Writes the values of one night."""

    def __init__(self, turn: _Turn, now: datetime) -> None:
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
            grains=GRAINS,
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


class _NotYetError(Exception):
    """Another has the turn, or had it while this one waited: its snapshot is then too old.

    After an import a turn may last longer than a statement may wait.
    """

    def __init__(self, *, try_again: bool) -> None:
        super().__init__("not yet")
        self.try_again = try_again


async def _take_turn(store_id: str, connection: Connection, *, wait: bool) -> _Turn:
    snapshots = SnapshotRepository(connection)
    try:
        progress = await snapshots.lock_cursor(store_id, wait=wait)
        head = await snapshots.find_head(store_id)
        if head is None:
            raise NotFoundError(
                f"There is no store {store_id}. PUT /v1/stores/{store_id} makes one."
            )
        if progress is None:
            await snapshots.add_cursor(store_id)
            progress = Progress(seq=0, closed_until=None, closed_seq=None, time_zone=None)
    except (asyncpg.SerializationError, TimeoutError) as error:
        raise _NotYetError(try_again=True) from error
    except asyncpg.LockNotAvailableError as error:
        raise _NotYetError(try_again=False) from error
    return _Turn(
        store_id, FactRepository(connection), snapshots, JudgedStates(connection), progress, head
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


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut a sequence into parts of bounded length."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _numbers(value: Value) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """A value's texts as the numbers that they are."""
    return _number(value.numerator), _number(value.denominator), _number(value.value)


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
