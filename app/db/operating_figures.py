"""Figures for those who operate the service: how much waits, lags and fails, over all stores.

Read now and then, never on the way of a request: each statement is an aggregate that an index
answers, or one over a small table.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from app.db.engine import Pool
from app.db.quarantine import QuarantineRepository
from app.domain.quarantine import Waiting

_LOGS = """
    SELECT (SELECT count(*) FROM store) AS stores, coalesce(sum(seq), 0)::bigint AS logged
      FROM stream_head
"""
_BEHIND = """
    SELECT h.store_id, h.seq - coalesce(c.seq, 0) AS lag
      FROM stream_head h
      LEFT JOIN metrics_cursor c ON c.store_id = h.store_id
     WHERE h.seq > coalesce(c.seq, 0)
     ORDER BY lag DESC, h.store_id
"""
_CLOCKS = """
    SELECT count(*) FILTER (WHERE next_at <= $1) AS due,
           min(next_at) FILTER (WHERE next_at <= $1) AS since,
           count(*) FILTER (WHERE failures > 0) AS failing
      FROM clock WHERE state = 'running'
"""
_RUNS = """
    SELECT state, count(*) AS runs FROM quarantine_run
     WHERE state IN ('queued', 'running') GROUP BY state
"""
_DELIVERIES = "SELECT state, count(*) AS deliveries FROM webhook_delivery GROUP BY state"
_NIGHTS = """
    SELECT state, count(*) AS stores
      FROM (SELECT DISTINCT ON (store_id) state FROM job_run
             WHERE job = 'nightly' ORDER BY store_id, run_date DESC) AS last
     GROUP BY state
"""


@dataclass(frozen=True, slots=True)
class OperatingFigures:
    """How much waits, lags and fails.

    Attributes:
        waiting: What waits in quarantine, by store and reason.
        open_runs: Runs over the quarantine that are not at their end, by state.
        logged: Events of all logs.
        behind: Stores whose facts don't cover their log, with how many events, the most first.
        clocks_due: Running clocks whose moment has come.
        clocks_due_since: The first such moment.
        clocks_failing: Running clocks that could not be evaluated.
        deliveries: Of webhooks, by state.
        nights: Stores by what became of their last night.
    """

    waiting: Sequence[Waiting]
    open_runs: Mapping[str, int]
    stores: int
    logged: int
    behind: Sequence[tuple[str, int]]
    clocks_due: int
    clocks_due_since: datetime | None
    clocks_failing: int
    deliveries: Mapping[str, int]
    nights: Mapping[str, int]


class OperatingFiguresRepository:
    """Reads the figures."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self, now: datetime) -> OperatingFigures:
        """Read all figures; `now` tells which clocks are due."""
        waiting = await QuarantineRepository(self._pool).list_waiting()
        async with self._pool.acquire() as connection:
            logs: Any = await connection.fetchrow(_LOGS)
            clocks: Any = await connection.fetchrow(_CLOCKS, now)
            behind = await connection.fetch(_BEHIND)
            runs = await connection.fetch(_RUNS)
            deliveries = await connection.fetch(_DELIVERIES)
            nights = await connection.fetch(_NIGHTS)
        return OperatingFigures(
            waiting=waiting,
            open_runs=_by_state(runs),
            stores=logs["stores"],
            logged=logs["logged"],
            behind=[(store_id, lag) for store_id, lag in behind],
            clocks_due=clocks["due"],
            clocks_due_since=clocks["since"],
            clocks_failing=clocks["failing"],
            deliveries=_by_state(deliveries),
            nights=_by_state(nights),
        )


def _by_state(rows: Iterable[asyncpg.Record]) -> dict[str, int]:
    return {row[0]: row[1] for row in rows}
