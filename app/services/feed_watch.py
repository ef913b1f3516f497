"""The watch over feeds: finds where one is due for a look and lets the appender tell.

The backlog in quarantine is watched along with them.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.db.engine import Pool
from app.db.feeds import FeedRepository
from app.domain.backlog import Level, has_settled, old_at, sign_of
from app.domain.quarantine import NO_STORE
from app.services.appender import Appender
from app.services.database_failures import is_answer_lost
from app.services.time_source import TimeSource
from app.services.units import Watch
from app.services.watching import PART

BREAK_AFTER: Final = timedelta(minutes=10)
"""Without a look for longer (by the machine's clock), nobody watched: the service was off."""

logger = structlog.get_logger(__name__)


class FeedWatch:
    """Watches feeds; any number of processes may do so at once."""

    def __init__(
        self,
        pool: Pool,
        appender: Appender,
        time_source: TimeSource,
        *,
        machine_now: Callable[[], datetime],
    ) -> None:
        self._pool = pool
        self._appender = appender
        self._time_source = time_source
        self._machine_now = machine_now
        self._unplaced_grows = False

    async def watch(self) -> int:
        """Look at every feed that is due, and at each backlog; harmless to repeat.

        A store that can't be watched stands in nobody's way.

        Returns:
            How many events were written.

        Raises:
            OSError, asyncpg.PostgresError: The database is away.
        """
        now = await self._time_source.now()
        async with self._pool.acquire() as connection:
            feeds = FeedRepository(connection)
            watched_from = await feeds.beat(
                machine_now=self._machine_now(), now=now, break_after=BREAK_AFTER
            )
            stores = set(await feeds.list_stores_with_due(now))
            for store_id in await feeds.list_stores_with_backlog():
                if store_id not in stores and await _backlog_changes(feeds, store_id, now):
                    stores.add(store_id)
            unplaced = await feeds.get_level(NO_STORE, now)
        self._tell_of_unplaced(unplaced, now)
        said = 0
        for store_id in sorted(stores):
            try:
                said += await self._watch_store(store_id, watched_from)
            except Exception as error:
                if is_answer_lost(error):
                    raise
                logger.exception("the feeds of a store could not be watched", store_id=store_id)
        return said

    async def _watch_store(self, store_id: str, watched_from: datetime) -> int:
        said = 0
        while True:
            unit = Watch(store_id, watched_from, PART)
            await self._appender.submit(unit)
            said += unit.said
            if unit.seen < PART:
                return said

    def _tell_of_unplaced(self, level: Level, now: datetime) -> None:
        """Warn the operator of what waits in no store's quarantine: no log can tell of it."""
        grows = sign_of(level, now) is not None
        if grows and not self._unplaced_grows:
            logger.warning(
                "events of no store wait in quarantine",
                waiting=level.waiting,
                new=level.new,
                oldest_received_at=level.oldest_received_at,
                hint="GET /v1/quarantine",
            )
        self._unplaced_grows = grows

    async def next_due_at(self, _now: datetime) -> datetime | None:
        """Get the moment at which the next feed, or a backlog, is to be looked at."""
        async with self._pool.acquire() as connection:
            feeds = FeedRepository(connection)
            look_at = await feeds.next_look_at()
            oldest = await feeds.find_oldest_unnoticed()
        moments = (look_at, None if oldest is None else old_at(oldest))
        return min((moment for moment in moments if moment is not None), default=None)

    async def do_due(self) -> None:
        """Watch; the form in which the sandbox mover asks for it."""
        await self.watch()


async def _backlog_changes(feeds: FeedRepository, store_id: str, now: datetime) -> bool:
    """Whether there is something to say of a store's backlog, as far as can be told by reading."""
    level = await feeds.get_level(store_id, now)
    kept = await feeds.find_backlog(store_id)
    if kept is None or kept[1].growing_since is None:
        return sign_of(level, now) is not None
    return has_settled(level, kept[1].waiting, now)
