"""The one place where services are wired: for routers, scheduler, cli and tests alike."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property

from app.db.access import AccessKeyRepository
from app.db.engine import Database, open_database
from app.db.installation import InstallationRepository
from app.db.migrations import expected_revision
from app.db.sandbox import SandboxRepository
from app.db.stores import StoreRepository
from app.db.webhooks import WebhookRepository
from app.services.access import AccessService
from app.services.health import HealthService
from app.services.http_out import HttpOut
from app.services.stores import StoreDirectory, StoreService
from app.services.time_source import SandboxTimeSource, SystemTimeSource, TimeSource
from app.services.webhook_delivery import WebhookDispatcher
from app.services.webhooks import WebhookService
from app.settings import Settings


class Factory:
    """Builds each service once, when it is first asked for.

    Attributes:
        settings: Of this process.
        database: Its connections.
        time_source: The machine's time, the sandbox's, or what a test passes in.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        database: Database,
        content_secret: bytes,
        time_source: TimeSource | None = None,
    ) -> None:
        self.settings = settings
        self.database = database
        self._content_secret = content_secret
        self.time_source = time_source or self._default_time_source()

    async def close(self) -> None:
        """Finish what was begun and let go of what was opened, except for the database."""
        if "webhook_dispatcher" in self.__dict__:
            await self.webhook_dispatcher.stop()
        if "http_out" in self.__dict__:
            await self.http_out.aclose()

    # Who may use it

    @cached_property
    def access(self) -> AccessService:
        """Keys, and who comes with them."""
        token = self.settings.setup_token
        return AccessService(
            AccessKeyRepository(self.database.read),
            self.time_source,
            setup_token=None if token is None else token.get_secret_value(),
            cache_seconds=self.settings.key_cache_seconds,
        )

    # Stores

    @cached_property
    def store_directory(self) -> StoreDirectory:
        """The stores as this process knows them."""
        return StoreDirectory(self._store_repository)

    @cached_property
    def stores(self) -> StoreService:
        """Stores, for their callers."""
        return StoreService(self._store_repository, self.store_directory, self.time_source)

    @cached_property
    def _store_repository(self) -> StoreRepository:
        return StoreRepository(self.database.read)

    # Webhooks

    @cached_property
    def webhooks(self) -> WebhookService:
        """Endpoints of webhooks, and what was sent to them."""
        return WebhookService(
            self._webhook_repository, stores=self.store_directory, out=self.http_out
        )

    @cached_property
    def webhook_dispatcher(self) -> WebhookDispatcher:
        """The sending side of webhooks."""
        return WebhookDispatcher(self._webhook_repository, self.database.read, self.http_out)

    @cached_property
    def http_out(self) -> HttpOut:
        """Requests to the outside."""
        return HttpOut(
            timeout_seconds=self.settings.webhook_timeout_seconds,
            allowed_networks=self.settings.webhook_allowed_networks,
        )

    @cached_property
    def _webhook_repository(self) -> WebhookRepository:
        return WebhookRepository(self.database.read)

    # The process itself

    @cached_property
    def health(self) -> HealthService:
        """Whether the service can work."""
        return HealthService(self.database.read, expected_revision=expected_revision())

    @cached_property
    def _sandbox_repository(self) -> SandboxRepository:
        return SandboxRepository(self.database.read)

    def _default_time_source(self) -> TimeSource:
        if self.settings.sandbox:
            return SandboxTimeSource(self._sandbox_repository.read_offset)
        return SystemTimeSource()


@asynccontextmanager
async def open_factory(
    settings: Settings, *, time_source: TimeSource | None = None
) -> AsyncIterator[Factory]:
    """Open the database of the settings, which is migrated, and build on it; close all in the end.

    Raises:
        ValueError: The settings name no database; who starts the process starts the embedded one.
        OSError, asyncpg.PostgresError: The database can't be used.
    """
    if settings.database_url is None:
        raise ValueError("the settings name no database")
    async with open_database(
        settings.database_url.get_secret_value(),
        log_pool_size=settings.log_pool_size,
        sql_pool_size=settings.sql_pool_size,
    ) as database:
        secret = await InstallationRepository(database.read).get_or_add(
            "content-secret", secrets.token_hex(32)
        )
        factory = Factory(
            settings,
            database=database,
            content_secret=bytes.fromhex(secret),
            time_source=time_source,
        )
        try:
            yield factory
        finally:
            await factory.close()
