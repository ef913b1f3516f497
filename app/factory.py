"""The one place where services are wired: for routers, scheduler, cli and tests alike."""

from functools import cached_property

import asyncpg

from app.db.access import AccessKeyRepository
from app.db.sandbox import SandboxRepository
from app.db.stores import StoreRepository
from app.services.access import AccessService
from app.services.stores import StoreDirectory, StoreService
from app.services.time_source import SandboxTimeSource, SystemTimeSource, TimeSource
from app.settings import Settings


class Factory:
    """Builds each service once, when it is first asked for.

    Attributes:
        settings: Of this process.
        pool: Connections for reads and small writes.
        log_pool: Connections of the appender alone, so that no read keeps an append waiting.
        time_source: The machine's time, the sandbox's, or what a test passes in.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pool: "asyncpg.Pool[asyncpg.Record]",
        log_pool: "asyncpg.Pool[asyncpg.Record]",
        time_source: TimeSource | None = None,
    ) -> None:
        self.settings = settings
        self.pool = pool
        self.log_pool = log_pool
        self.time_source = time_source or self._default_time_source()

    def _default_time_source(self) -> TimeSource:
        if self.settings.sandbox:
            return SandboxTimeSource(self.sandbox_repository.read_offset)
        return SystemTimeSource()

    @cached_property
    def access(self) -> AccessService:
        """Keys and who comes with them."""
        token = self.settings.setup_token
        return AccessService(
            AccessKeyRepository(self.pool),
            self.time_source,
            setup_token=None if token is None else token.get_secret_value(),
            cache_seconds=self.settings.key_cache_seconds,
        )

    @cached_property
    def store_directory(self) -> StoreDirectory:
        """The stores as this process knows them."""
        return StoreDirectory(self._store_repository)

    @cached_property
    def stores(self) -> StoreService:
        """Stores, for their callers."""
        return StoreService(self._store_repository, self.store_directory, self.time_source)

    @cached_property
    def sandbox_repository(self) -> SandboxRepository:
        """The sandbox's offset."""
        return SandboxRepository(self.pool)

    @cached_property
    def _store_repository(self) -> StoreRepository:
        return StoreRepository(self.pool)
