"""The clock sweep: finds the stores in which something is due and lets the appender breach it."""

from datetime import datetime

import structlog

from app.db.clocks import ClockRepository, DueClock
from app.db.engine import Pool
from app.services.append_session import PUSH_FAILED_CLOCK_BY
from app.services.appender import Appender
from app.services.database_failures import is_answer_lost
from app.services.time_source import TimeSource
from app.services.units import Sweep

logger = structlog.get_logger(__name__)

PART = 500
"""Clocks that are swept in one transaction."""

SHRINK = 8
"""By how much a part is made smaller that failed."""


class ClockService:
    """Sweeps due clocks, store by store."""

    def __init__(self, pool: Pool, appender: Appender, time_source: TimeSource) -> None:
        self._pool = pool
        self._appender = appender
        self._time_source = time_source

    async def sweep(self) -> int:
        """Breach every running clock that is due; harmless to repeat and to run twice at once.

        A store that can't be swept stands in nobody's way.

        Returns:
            How many alerts were written.

        Raises:
            OSError, asyncpg.PostgresError: The database is away.
        """
        now = await self._time_source.now()
        async with self._pool.acquire() as connection:
            stores = await ClockRepository(connection).list_stores_with_due(now)
        breached = 0
        for store_id in stores:
            try:
                breached += await self._sweep_store(store_id)
            except Exception as error:
                if is_answer_lost(error):
                    raise
                logger.exception("the clocks of a store could not be swept", store_id=store_id)
        return breached

    async def _sweep_store(self, store_id: str) -> int:
        """Breach what is due in one store, a part at a time.

        A part that fails is done again in smaller ones, until the clock that is to blame is found
        and put off.
        """
        breached = 0
        limit = PART
        while True:
            sweep = Sweep(store_id, limit)
            try:
                await self._appender.submit(sweep)
            except Exception as error:
                if is_answer_lost(error) or not sweep.seen:
                    raise
                if limit == 1:
                    await self._put_off(store_id, sweep.seen[0], error)
                limit = max(1, limit // SHRINK)
                continue
            breached += sweep.breached
            if len(sweep.seen) < limit:
                return breached
            limit = PART

    async def _put_off(self, store_id: str, clock: DueClock, error: Exception) -> None:
        logger.error("a clock could not be swept", store_id=store_id, exc_info=error)
        async with self._pool.acquire() as connection:
            await ClockRepository(connection).put_off(
                store_id,
                clock,
                next_at=await self._time_source.now() + PUSH_FAILED_CLOCK_BY,
                error=f"{type(error).__name__}: {error}",
            )

    async def next_due_at(self, _now: datetime) -> datetime | None:
        """Get the moment at which the next running clock falls due, in whatever store."""
        async with self._pool.acquire() as connection:
            return await ClockRepository(connection).next_due_at()

    async def do_due(self) -> None:
        """Sweep; the form in which the sandbox mover asks for it."""
        await self.sweep()
