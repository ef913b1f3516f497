"""The runs over the quarantine, as rows: who claimed which, until when, and how far it is.

A run is claimed with a lease, so that of n processes one does it, and that of a process that died
is taken over where it stood.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from app.db.engine import Pool
from app.db.quarantine import MATCHES, matching
from app.domain.events.envelope import Reason
from app.domain.quarantine import Actor, QuarantineFilter, QuarantineState
from app.domain.quarantine_runs import QuarantineRun, QuarantineRunState, RunAction, RunKind

_COLUMNS = """
    run_id, kind, stores, filter, awaits_store, action, dry_run, requested_by, requested_at,
    until_id, state, total, accepted, discarded, waiting, position, claimed_by, started_at,
    finished_at, error
"""
_COUNT = f"""
    SELECT count(*)::integer AS total, coalesce(max(quarantine_id), '') AS until_id
      FROM quarantine WHERE {MATCHES}
"""
_ADD = f"""
    INSERT INTO quarantine_run (run_id, kind, stores, filter, awaits_store, action, dry_run,
        requested_by, requested_at, until_id, state, total)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'queued', $11)
    ON CONFLICT (awaits_store) WHERE awaits_store IS NOT NULL AND state IN ('queued', 'running')
    DO NOTHING
    RETURNING {_COLUMNS}
"""
_CLAIM = f"""
    UPDATE quarantine_run
       SET state = 'running', claimed_by = $2, lease_until = $3,
           started_at = coalesce(started_at, $1)
     WHERE run_id = (
        SELECT run_id FROM quarantine_run
         WHERE state = 'queued' OR state = 'running' AND lease_until < $1
         ORDER BY run_id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING {_COLUMNS}
"""
_SAVE = f"""
    UPDATE quarantine_run
       SET accepted = $3, discarded = $4, waiting = $5, position = $6, lease_until = $7
     WHERE run_id = $1 AND claimed_by = $2 AND state IN ('running', 'cancelled')
    RETURNING {_COLUMNS}
"""
_FINISH = f"""
    UPDATE quarantine_run SET state = $3, finished_at = $4, error = $5
     WHERE run_id = $1 AND claimed_by = $2 AND state = 'running'
    RETURNING {_COLUMNS}
"""
_CANCEL = f"""
    UPDATE quarantine_run SET state = 'cancelled', finished_at = $2
     WHERE run_id = $1 AND state IN ('queued', 'running')
    RETURNING {_COLUMNS}
"""
_RECOUNT = """
    SELECT state, reason, count(*)::integer AS items
      FROM quarantine WHERE run_id = $1 GROUP BY state, reason
"""
_LIST = f"""
    SELECT {_COLUMNS} FROM quarantine_run
     WHERE ($1::text[] IS NULL OR stores <@ $1) AND ($2::text IS NULL OR run_id < $2)
     ORDER BY run_id DESC LIMIT $3
"""
_AWAITED = """
    SELECT DISTINCT q.awaits_store
      FROM quarantine q
      JOIN store s ON s.store_id = q.awaits_store
     WHERE q.store_id = '' AND q.state = 'waiting' AND q.awaits_store IS NOT NULL
       AND NOT EXISTS (
        SELECT FROM quarantine_run r
         WHERE r.awaits_store = q.awaits_store
           AND (r.state IN ('queued', 'running')
                OR r.state = 'cancelled'
                OR r.state = 'failed' AND r.finished_at > $1))
"""
_decode_filter = msgspec.json.Decoder(QuarantineFilter).decode
_decode_action = msgspec.json.Decoder(RunAction).decode
_decode_actor = msgspec.json.Decoder(Actor).decode
_decode_waiting = msgspec.json.Decoder(dict[Reason, int]).decode


class QuarantineRunRepository:
    """Runs over the quarantine."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(
        self,
        *,
        run_id: str,
        kind: RunKind,
        stores: Collection[str] | None,
        wanted: QuarantineFilter,
        action: RunAction,
        dry_run: bool,
        by: Actor,
        now: datetime,
    ) -> QuarantineRun | None:
        """Queue a run over what the filter matches now.

        Returns:
            The run; None if one for the same awaited store is queued or running.
        """
        row: Any = await self._pool.fetchrow(_COUNT, *matching(wanted))
        added = await self._pool.fetchrow(
            _ADD,
            run_id,
            kind,
            None if stores is None else sorted(stores),
            _encoded(wanted),
            wanted.awaits_store,
            _encoded(action),
            dry_run,
            _encoded(by),
            now,
            row["until_id"],
            row["total"],
        )
        return None if added is None else _run(added)

    async def find(self, run_id: str) -> QuarantineRun | None:
        """Find a run by its id."""
        row = await self._pool.fetchrow(
            f"SELECT {_COLUMNS} FROM quarantine_run WHERE run_id = $1", run_id
        )
        return None if row is None else _run(row)

    async def list_page(
        self, *, stores: Collection[str] | None, before: str | None, limit: int
    ) -> list[QuarantineRun]:
        """List runs, the latest first; `stores` are those that the caller is bound to."""
        rows = await self._pool.fetch(
            _LIST, None if stores is None else sorted(stores), before, limit
        )
        return [_run(row) for row in rows]

    async def claim(
        self, *, claimed_by: str, now: datetime, lease_until: datetime
    ) -> QuarantineRun | None:
        """Take the oldest run that is queued, or that a process left behind; None without any."""
        row = await self._pool.fetchrow(_CLAIM, now, claimed_by, lease_until)
        return None if row is None else _run(row)

    async def save(self, run: QuarantineRun, *, lease_until: datetime) -> QuarantineRun | None:
        """Note how far a run is, and lengthen its lease.

        Returns:
            The run, which may be cancelled by now; None if it is no longer this claim's.
        """
        row = await self._pool.fetchrow(
            _SAVE,
            run.run_id,
            run.claimed_by,
            run.accepted,
            run.discarded,
            _encoded(run.waiting),
            run.position,
            lease_until,
        )
        return None if row is None else _run(row)

    async def finish(
        self,
        run: QuarantineRun,
        state: QuarantineRunState,
        *,
        now: datetime,
        error: str | None = None,
    ) -> QuarantineRun | None:
        """Note what became of a run; None if it is no longer this claim's."""
        row = await self._pool.fetchrow(_FINISH, run.run_id, run.claimed_by, state, now, error)
        return None if row is None else _run(row)

    async def cancel(self, run_id: str, *, now: datetime) -> QuarantineRun | None:
        """Stop a run where it is; None if it is at its end already."""
        row = await self._pool.fetchrow(_CANCEL, run_id, now)
        return None if row is None else _run(row)

    async def recount(self, run_id: str) -> tuple[int, int, Mapping[Reason, int]]:
        """Count what a run did, as the items tell: accepted, discarded, waiting by reason."""
        accepted = discarded = 0
        waiting: dict[Reason, int] = {}
        for state, reason, items in await self._pool.fetch(_RECOUNT, run_id):
            match QuarantineState(state):
                case QuarantineState.REPLAYED:
                    accepted += items
                case QuarantineState.DISCARDED:
                    discarded += items
                case QuarantineState.WAITING:
                    waiting[Reason(reason)] = items
        return accepted, discarded, waiting

    async def list_awaited_stores(self, *, failed_since: datetime) -> list[str]:
        """List stores that are there by now and that items wait for, none of whose runs is open.

        A store whose run was cancelled, or failed since then, is left out.
        """
        rows = await self._pool.fetch(_AWAITED, failed_since)
        return [row["awaits_store"] for row in rows]


def _encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _run(row: asyncpg.Record) -> QuarantineRun:
    return QuarantineRun(
        run_id=row["run_id"],
        kind=RunKind(row["kind"]),
        stores=row["stores"],
        filter=_decode_filter(row["filter"]),
        awaits_store=row["awaits_store"],
        action=_decode_action(row["action"]),
        dry_run=row["dry_run"],
        requested_by=_decode_actor(row["requested_by"]),
        requested_at=row["requested_at"],
        until_id=row["until_id"],
        state=QuarantineRunState(row["state"]),
        total=row["total"],
        accepted=row["accepted"],
        discarded=row["discarded"],
        waiting=_decode_waiting(row["waiting"]),
        position=row["position"],
        claimed_by=row["claimed_by"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        error=row["error"],
    )
