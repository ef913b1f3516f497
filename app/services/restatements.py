"""What moved published values: the subjects whose facts changed between two nights, and why."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from app.db.engine import Connection
from app.db.event_log import EventLog
from app.db.facts import Change, FactRepository, Selection, Side
from app.db.judged_states import JudgedStates
from app.db.snapshots import STORE_GRAIN, Publication
from app.domain.events.envelope import Event, Kind
from app.domain.periods import Period, year_before
from app.services.kpi_answers import (
    DecidingEvent,
    Restatement,
    SubjectChange,
    event_answer,
    side_answer,
    version_answer,
)
from app.services.kpi_queries import Wanted

MAX_CHANGES: Final = 50
_CHANGES_AT_MOST: Final = 20_000


class Restater:
    """Tells what moved published values: one look at each pair of nights, whatever they moved."""

    def __init__(self, connection: Connection, store_id: str, wanted: Wanted) -> None:
        self._facts = FactRepository(connection)
        self._states = JudgedStates(connection)
        self._log = EventLog(connection)
        self._store_id = store_id
        self._wanted = wanted
        self._changes: dict[tuple[int, int], list[Change]] = {}
        self._events: dict[tuple[Kind, str], list[Event]] = {}

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
        moved = [
            change
            for change in await self._changes_between(before.as_of_seq, version.as_of_seq)
            if self._is_in(change.before, version) or self._is_in(change.after, version)
        ]
        shown = moved[:MAX_CHANGES]
        companions = await self._read_events({(change.kind, change.key) for change in shown})
        return Restatement(
            **msgspec.structs.asdict(version_answer(version)),
            changes=[
                SubjectChange(
                    kind=change.kind,
                    subject=change.key,
                    before=side_answer(change.before),
                    after=side_answer(change.after),
                    events=self._told(
                        {(change.kind, change.key), *companions[change.kind, change.key]},
                        before.as_of_seq,
                        version.as_of_seq,
                    ),
                )
                for change in shown
            ],
            changes_total=len(moved),
        )

    async def _changes_between(self, after: int, until: int) -> list[Change]:
        """What facts changed for the KPI, in all the days asked for."""
        if (after, until) not in self._changes:
            wanted = self._wanted
            self._changes[after, until] = [
                change
                for period in self._periods(wanted.period)
                for change in await self._facts.list_changes(
                    self._store_id,
                    Selection(
                        code=wanted.kpi.sums_of or wanted.kpi.code,
                        starts_on=period.start,
                        ends_on=period.end,
                        grain=wanted.grain,
                        member=None if self._is_over_whole_store else wanted.member,
                    ),
                    # a corrected zone restates without news: its revisions are those of the seq
                    after=min(after, until - 1),
                    until=until,
                    limit=_CHANGES_AT_MOST,
                )
            ]
        return self._changes[after, until]

    @property
    def _is_over_whole_store(self) -> bool:
        return self._wanted.grain in self._wanted.kpi.whole_store_denominator

    def _periods(self, period: Period) -> Sequence[Period]:
        """The days whose facts are in a value: those of growth are last year's too."""
        return (period, year_before(period)) if self._wanted.kpi.sums_of else (period,)

    def _is_in(self, side: Side | None, version: Publication) -> bool:
        if side is None:
            return False
        is_member = (
            self._wanted.grain == STORE_GRAIN
            or self._is_over_whole_store
            or (side.member or "") == version.member
        )
        return is_member and any(
            side.day in period
            for period in self._periods(Period(version.period_start, version.period_end))
        )

    async def _read_events(
        self, subjects: set[tuple[Kind, str]]
    ) -> dict[tuple[Kind, str], set[tuple[Kind, str]]]:
        """Read the events of subjects and of what their verdicts hang on, which is returned."""
        companions = await self._states.list_companions(self._store_id, subjects)
        reached = subjects.union(*companions.values())
        missing = sorted(reached - self._events.keys())
        if missing:
            self._events |= await self._log.read_subjects(self._store_id, missing)
        return companions

    def _told(
        self, subjects: Iterable[tuple[Kind, str]], after: int, until: int
    ) -> list[DecidingEvent]:
        """The events of subjects in (after, until], in order."""
        events = [
            event
            for subject in subjects
            for event in self._events[subject]
            if after < event.seq <= until
        ]
        return [event_answer(event) for event in sorted(events, key=lambda event: event.seq)]
