"""The clock sweep: finds the stores in which something is due and lets the appender breach it."""

from datetime import datetime

import structlog

from app.db.engine import Pool
from app.db.event_log import EventLog
from app.services.append_session import Sweep
from app.services.appender import Appender
from app.services.time_source import TimeSource

logger = structlog.get_logger(__name__)


class ClockService:
    """Sweeps due clocks, store by store."""

    def __init__(self, pool: Pool, appender: Appender, time_source: TimeSource) -> None:
        self._pool = pool
        self._appender = appender
        self._time_source = time_source

    async def sweep(self) -> int:
        """Breach every running clock that is due; harmless to repeat and to run twice at once.

        Returns:
            How many alerts were written.
        """
        now = await self._time_source.now()
        async with self._pool.acquire() as connection:
            stores = await EventLog(connection).list_stores_with_due_clocks(now)
        return sum([await self._sweep_store(store_id) for store_id in stores])

    async def _sweep_store(self, store_id: str) -> int:
        """Breach what is due in one store, a part at a time; a store that fails waits alone."""
        breached = 0
        while True:
            sweep = Sweep(store_id)
            try:
                await self._appender.submit(sweep)
            except Exception:
                logger.exception("the clocks of a store could not be swept", store_id=store_id)
                return breached
            breached += sweep.breached
            if sweep.seen < sweep.limit:
                return breached

    async def next_due_at(self, _now: datetime) -> datetime | None:
        """Get the moment at which the next running clock falls due, in whatever store."""
        async with self._pool.acquire() as connection:
            return await EventLog(connection).next_due_at()

    async def do_due(self) -> None:
        """Sweep; the form in which the sandbox mover asks for it."""
        await self.sweep()
