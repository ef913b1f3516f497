"""What operators scrape: the counters of this process, and figures of the database.

The figures are read at most once in some seconds, however often somebody asks, and by one request
at a time. Without the database the counters are told all the same.
"""

import asyncio
import time

import asyncpg
from prometheus_client.exposition import choose_encoder

from app.db.engine import Database
from app.db.operating_figures import OperatingFiguresRepository
from app.domain.access import Principal
from app.domain.errors import ForbiddenError
from app.services.instruments import Instruments
from app.services.time_source import TimeSource


class OperationsService:
    """Tells how the service is doing."""

    def __init__(
        self,
        database: Database,
        instruments: Instruments,
        *,
        time_source: TimeSource,
        cache_seconds: float,
    ) -> None:
        self._repository = OperatingFiguresRepository(database.read)
        self._instruments = instruments
        self._instruments.latest.pools = database
        self._time_source = time_source
        self._cache_seconds = cache_seconds
        self._reading = asyncio.Lock()

    async def metrics(self, accept: str, *, principal: Principal) -> tuple[bytes, str]:
        """Write all metrics in the form that the caller asks for.

        Returns:
            The text, and its content type.

        Raises:
            ForbiddenError: The key is bound to stores: metrics tell of all of them.
        """
        if principal.stores is not None:
            raise ForbiddenError("Metrics tell of all stores; a key for them is bound to none.")
        async with self._reading:
            await self._refresh()
        encode, content_type = choose_encoder(accept)
        return encode(self._instruments.registry), content_type

    async def _refresh(self) -> None:
        latest = self._instruments.latest
        started = time.monotonic()
        if latest.figures is not None and started - latest.read_at < self._cache_seconds:
            return
        try:
            now = await self._time_source.now()
            latest.figures = await self._repository.read(now)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            latest.figures = None
            return
        latest.now = now
        latest.read_at = time.monotonic()
        latest.seconds = latest.read_at - started
