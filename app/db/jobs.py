"""Runs of jobs: who claimed which, until when, and what came of it.

A run is one row per store, job and local date. It is claimed by writing the row, so that of n
processes one runs it; the claim is a lease, so that the work of a process that died is taken over.
"""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any

import asyncpg
import orjson

from app.db.engine import Connection
from app.domain.jobs import JobRun, Night, RunState

_COLUMNS = """
    store_id, job, run_date, state, claimed_by, started_at, lease_until, finished_at, as_of_seq,
    error, detail::text
"""
_CLAIM = f"""
    INSERT INTO job_run AS t (store_id, job, run_date, state, claimed_by, started_at, lease_until)
    VALUES ($1, $2, $3, 'running', $4, $5, $6)
    ON CONFLICT (store_id, job, run_date) DO UPDATE SET
        state = excluded.state, claimed_by = excluded.claimed_by,
        started_at = excluded.started_at, lease_until = excluded.lease_until,
        finished_at = NULL, as_of_seq = NULL, error = NULL, detail = NULL
     WHERE t.state = 'running' AND t.lease_until < excluded.started_at
        OR t.state = 'failed' AND ($7::timestamptz IS NULL OR t.started_at < $7)
        OR t.state = 'done' AND ($8::timestamptz IS NULL OR t.started_at < $8)
    RETURNING {_COLUMNS}
"""
_RENEW = """
    UPDATE job_run SET lease_until = $5
     WHERE store_id = $1 AND job = $2 AND run_date = $3 AND claimed_by = $4 AND state = 'running'
"""
_FINISH = f"""
    UPDATE job_run
       SET state = $5, finished_at = $6, as_of_seq = $7, error = $8, detail = $9
     WHERE store_id = $1 AND job = $2 AND run_date = $3 AND claimed_by = $4 AND state = 'running'
    RETURNING {_COLUMNS}
"""
_LIST = f"""
    SELECT {_COLUMNS} FROM job_run
     WHERE job = $1 AND ($2::text[] IS NULL OR store_id = ANY($2))
       AND ($3::date IS NULL OR run_date < $3 OR run_date = $3 AND store_id > $4)
     ORDER BY run_date DESC, store_id LIMIT $5
"""
_DUE = """
    SELECT s.store_id, s.time_zone
      FROM store s
      JOIN unnest($2::text[], $3::timestamptz[], $4::date[]) AS z (time_zone, due_at, run_date)
        ON z.time_zone = s.time_zone
      LEFT JOIN job_run r
        ON r.store_id = s.store_id AND r.job = $1 AND r.run_date = z.run_date
     WHERE s.created_at <= z.due_at
       AND (r.store_id IS NULL
            OR r.state = 'running' AND r.lease_until < $5
            OR r.state = 'failed' AND r.started_at < $6
            OR r.state = 'done' AND r.started_at < z.due_at)
     ORDER BY s.store_id
"""
_ZONES = "SELECT time_zone FROM store GROUP BY time_zone"
_STORES = """
    SELECT store_id, time_zone FROM store
     WHERE $1::text[] IS NULL OR store_id = ANY($1) ORDER BY store_id
"""


class JobRepository:
    """The runs over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def claim(
        self,
        *,
        store_id: str,
        job: str,
        run_date: date,
        claimed_by: str,
        now: datetime,
        lease_until: datetime,
        unless_failed_since: datetime | None,
        unless_done_since: datetime | None,
    ) -> JobRun | None:
        """Take a run, or find that another has it.

        A run whose lease is over is taken in any case.

        Args:
            store_id: Whose run.
            job: Which job.
            run_date: Of which local date.
            claimed_by: Unique to this claim.
            now: The service's time.
            lease_until: Until when nobody else takes it.
            unless_failed_since: A run that failed is taken again if it was started before this
                moment; None: in any case.
            unless_done_since: Likewise for a run that is done.

        Returns:
            The claimed run, None if it is another's or done.
        """
        row = await self._connection.fetchrow(
            _CLAIM,
            store_id,
            job,
            run_date,
            claimed_by,
            now,
            lease_until,
            unless_failed_since,
            unless_done_since,
        )
        return None if row is None else _run(row)

    async def renew(self, run: JobRun, lease_until: datetime) -> bool:
        """Lengthen the lease; False if the run is no longer this claim's."""
        status = await self._connection.execute(
            _RENEW, run.store_id, run.job, run.run_date, run.claimed_by, lease_until
        )
        return status != "UPDATE 0"

    async def finish(
        self,
        run: JobRun,
        *,
        state: RunState,
        now: datetime,
        as_of_seq: int | None = None,
        error: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> JobRun | None:
        """Note what became of a run; None if it is no longer this claim's."""
        row = await self._connection.fetchrow(
            _FINISH,
            run.store_id,
            run.job,
            run.run_date,
            run.claimed_by,
            state,
            now,
            as_of_seq,
            error,
            None if detail is None else orjson.dumps(detail).decode(),
        )
        return None if row is None else _run(row)

    async def list_runs(
        self,
        *,
        job: str,
        stores: Collection[str] | None,
        after: tuple[date, str] | None,
        limit: int,
    ) -> list[JobRun]:
        """List runs, the latest date first; `stores` None is all."""
        run_date, store_id = after or (None, None)
        rows = await self._connection.fetch(
            _LIST, job, None if stores is None else sorted(stores), run_date, store_id, limit
        )
        return [_run(row) for row in rows]

    async def list_due(
        self, *, job: str, nights: Collection[Night], now: datetime, failed_before: datetime
    ) -> list[tuple[str, str]]:
        """List (store, time zone) where the last night wasn't run, or not to its end.

        A store that was set up only after the night was due has nothing to catch up. A run that
        failed is due again if it was started before `failed_before`.
        """
        rows = await self._connection.fetch(
            _DUE,
            job,
            [night.time_zone for night in nights],
            [night.due_at for night in nights],
            [night.run_date for night in nights],
            now,
            failed_before,
        )
        return [(row["store_id"], row["time_zone"]) for row in rows]

    async def list_time_zones(self) -> list[str]:
        """List the time zones that stores are in."""
        return [row["time_zone"] for row in await self._connection.fetch(_ZONES)]

    async def list_stores(self, stores: Collection[str] | None) -> list[tuple[str, str]]:
        """List (store, time zone) in order of code; `stores` None is all."""
        rows = await self._connection.fetch(_STORES, None if stores is None else sorted(stores))
        return [(row["store_id"], row["time_zone"]) for row in rows]


def _run(row: asyncpg.Record) -> JobRun:
    return JobRun(
        store_id=row["store_id"],
        job=row["job"],
        run_date=row["run_date"],
        state=RunState(row["state"]),
        claimed_by=row["claimed_by"],
        started_at=row["started_at"],
        lease_until=row["lease_until"],
        finished_at=row["finished_at"],
        as_of_seq=row["as_of_seq"],
        error=row["error"],
        detail=None if row["detail"] is None else orjson.loads(row["detail"]),
    )
