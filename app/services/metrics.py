"""Facts and snapshots: judged from what came in, summed, and published once a night.

Everything that changes the metrics of a store happens in its turn: one transaction that holds the
store's cursor row and sees the log, the states and the facts in one snapshot. So there is one
refresher per store at a time, and when a turn ends the facts are exactly what the log says up to
the cursor. The cost of a turn follows what came in since the last one, not the length of the log.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, TypeVar

import structlog

from app.db.engine import Pool
from app.db.facts import Revision, keys_of
from app.db.judged_states import JUDGED_KINDS
from app.db.snapshots import SnapshotRepository
from app.domain.errors import UnavailableError
from app.domain.events.envelope import Kind
from app.domain.kpis.registry import KPIS
from app.domain.policies import Policies
from app.services.judging import Judge
from app.services.metrics_turn import Turn, hold_turn
from app.services.publishing import Publisher

Item = TypeVar("Item")

LISTED: Final = frozenset((kpi.code, grain) for kpi in KPIS.values() for grain in kpi.grains)
"""Every (code, grain) that sums are kept of."""

_EVENTS_AT_ONCE: Final = 20_000
_SUBJECTS_AT_ONCE: Final = 500
_DAYS_AT_ONCE: Final = 31

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
        async with hold_turn(self._pool, store_id, wait=True) as turn:
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
                async with hold_turn(self._pool, store_id, wait=False) as turn:
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
        async with hold_turn(self._pool, store_id, wait=True) as turn:
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
        async with hold_turn(self._pool, store_id, wait=True) as turn:
            publisher = Publisher(turn, now)
            published = await publisher.publish_ended(night)
            restated = await publisher.restate_changed()
            closed_until = turn.progress.closed_until
            await turn.snapshots.close(
                store_id, night if closed_until is None else max(night, closed_until)
            )
            return Published(turn.progress.seq, published, restated)

    async def _take_in(self, turn: Turn, *, everything: bool) -> Refreshed:
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
        self, turn: Turn, refreshed: Refreshed, after: int, until: int
    ) -> None:
        """Judge the subjects that the events in (after, until] reach."""
        touched = await turn.states.list_touched(turn.store_id, after=after, until=until)
        for kind, keys in touched.items():
            for part in _parts(sorted(keys), _SUBJECTS_AT_ONCE):
                await self._judge(turn, refreshed, kind, part)

    async def _judge_all(self, turn: Turn, refreshed: Refreshed) -> None:
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
        self, turn: Turn, refreshed: Refreshed, kind: Kind, keys: Collection[str]
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


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut a sequence into parts of bounded length."""
    return (items[start : start + size] for start in range(0, len(items), size))
