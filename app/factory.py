"""The one place where services are wired: for routers, scheduler, cli and tests alike."""

import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from functools import cached_property

from app.db.access import AccessKeyRepository
from app.db.engine import Database, open_database
from app.db.event_log import EventLog
from app.db.feed_cursors import FeedCursorRepository
from app.db.imports import ImportRepository
from app.db.installation import InstallationRepository
from app.db.known_items import KnownItems
from app.db.links import LinkRepository
from app.db.mappings import MappingRepository
from app.db.migrations import expected_revision
from app.db.names import NameRepository
from app.db.personal import PersonalRepository
from app.db.quarantine import QuarantineRepository
from app.db.quarantine_runs import QuarantineRunRepository
from app.db.sandbox import SandboxRepository
from app.db.stores import StoreRepository
from app.db.subjects import SubjectRepository
from app.db.timelines import TimelineRepository
from app.db.webhooks import WebhookRepository
from app.domain.events.form import Limits
from app.domain.policies import DEFAULT_POLICIES, Policies
from app.services.access import AccessService
from app.services.appender import Appender
from app.services.arrivals import Arrivals
from app.services.bulk import BulkService
from app.services.clocks import ClockService
from app.services.complaints import ComplaintService
from app.services.customers import FileService
from app.services.desk import PersonalFields
from app.services.door import Door
from app.services.event_feed import EventFeedService
from app.services.evidence import EvidenceFinder
from app.services.feed_watch import FeedWatch
from app.services.feeds import FeedService
from app.services.follow_ups import FollowUpService
from app.services.health import HealthService
from app.services.http_out import HttpOut
from app.services.import_chunks import CHUNK_EVENTS
from app.services.import_opening import FileOpener
from app.services.imports import ImportService
from app.services.inbox import InboxService
from app.services.ingest import IngestService
from app.services.instruments import Instruments
from app.services.kpis import KpiService
from app.services.link_suggestions import LinkSuggestions
from app.services.links import LinkService
from app.services.mappings import MappingDirectory, MappingService
from app.services.metrics import MetricsService
from app.services.names import NameService
from app.services.nightly import NightlyService
from app.services.operations import OperationsService
from app.services.quarantine import QuarantineService
from app.services.quarantine_runs import QuarantineRunService
from app.services.repair_orders import RepairOrderService, TimelineService
from app.services.replays import ReplayService
from app.services.returned_rows import ReturnedRows
from app.services.row_reading import RowReader
from app.services.sandbox import SandboxService
from app.services.split_customers import SplitCustomerService
from app.services.stores import StoreDirectory, StoreService
from app.services.suggestions import SuggestionService
from app.services.time_source import SandboxTimeSource, SystemTimeSource, TimeSource
from app.services.webhook_delivery import WebhookDispatcher
from app.services.webhooks import WebhookService, machine_now
from app.settings import Settings


class Factory:
    """Builds each service once, when it is first asked for.

    Attributes:
        settings: Of this process.
        database: Its connections.
        time_source: The machine's time, the sandbox's, or what a test passes in.
        policies: The rules that facts are judged and windows are set by.
        instruments: What operators watch.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        database: Database,
        content_secret: bytes,
        time_source: TimeSource | None = None,
        policies: Policies = DEFAULT_POLICIES,
        instruments: Instruments | None = None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.policies = policies
        self.instruments = instruments or Instruments()
        self._content_secret = content_secret
        self.time_source = time_source or self._default_time_source()

    async def close(self) -> None:
        """Finish what was begun and let go of what was opened, except for the database."""
        if "arrivals" in self.__dict__:
            await self.arrivals.aclose()
        if "appender" in self.__dict__:
            await self.appender.close()
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

    # Figures

    @cached_property
    def kpis(self) -> KpiService:
        """Values of KPIs, and what they consist of."""
        return KpiService(self.database.read, policies=self.policies, names=self.names)

    @cached_property
    def metrics(self) -> MetricsService:
        """Facts and sums, kept up with the log."""
        return MetricsService(self.database.read, policies=self.policies)

    @cached_property
    def nightly(self) -> NightlyService:
        """The night of each store."""
        return NightlyService(
            self.database.read,
            metrics=self.metrics,
            time_source=self.time_source,
            hour=self.settings.nightly_hour,
        )

    # The log

    @cached_property
    def appender(self) -> Appender:
        """The only way to change what belongs to a store."""
        return Appender(
            self.database.log,
            stores=self.store_directory,
            policies=self.policies,
            time_source=self.time_source,
            reparse=self._door.reread,
            instruments=self.instruments,
            announce=self.arrivals.announce,
        )

    @cached_property
    def ingest(self) -> IngestService:
        """The way in for facts."""
        return IngestService(
            appender=self.appender,
            quarantine=self._quarantine_repository,
            known_items=KnownItems(self.database.read),
            stores=self.store_directory,
            mappings=self.mapping_directory,
            time_source=self.time_source,
            door=self._door,
            max_batch=self.settings.max_batch,
            instruments=self.instruments,
        )

    @cached_property
    def bulk(self) -> BulkService:
        """The way in for streams of any length."""
        return BulkService(self.ingest, max_line_bytes=self.settings.max_line_bytes)

    @cached_property
    def quarantine(self) -> QuarantineService:
        """What could not be taken."""
        return QuarantineService(
            self._quarantine_repository,
            replays=self._replays,
            suggestions=self._suggestions,
            time_source=self.time_source,
        )

    @cached_property
    def quarantine_runs(self) -> QuarantineRunService:
        """Replays and discardings of many items."""
        return QuarantineRunService(
            QuarantineRunRepository(self.database.read),
            repository=self._quarantine_repository,
            replays=self._replays,
            suggestions=self._suggestions,
            time_source=self.time_source,
        )

    @cached_property
    def _replays(self) -> ReplayService:
        return ReplayService(
            repository=self._quarantine_repository,
            appender=self.appender,
            door=self._door,
            rows=RowReader(
                self.mapping_directory, self.store_directory, secret=self._content_secret
            ),
            mappings=self.mapping_directory,
            stores=self.store_directory,
            time_source=self.time_source,
        )

    @cached_property
    def _suggestions(self) -> SuggestionService:
        return SuggestionService(
            door=self._door,
            stores=self.store_directory,
            store_repository=self._store_repository,
            timelines=self._timeline_repository,
            time_source=self.time_source,
        )

    @cached_property
    def imports(self) -> ImportService:
        """The way in for files."""
        opener = FileOpener(
            mappings=self.mapping_directory,
            stores=self.store_directory,
            secret=self._content_secret,
            max_line=self.settings.max_line_bytes,
            chunk_events=min(CHUNK_EVENTS, self.settings.max_batch),
        )
        return ImportService(
            self._import_repository,
            ingest=self.ingest,
            opener=opener,
            returned=ReturnedRows(self._quarantine_repository, self.time_source),
        )

    @cached_property
    def inbox(self) -> InboxService:
        """Files that shops put into their folders."""
        return InboxService(
            self._import_repository,
            inbox=self.settings.inbox_dir,
            settle_seconds=self.settings.inbox_settle_seconds,
            imports=self.imports,
            stores=self.store_directory,
            machine_time=SystemTimeSource(),
        )

    @cached_property
    def _import_repository(self) -> ImportRepository:
        return ImportRepository(self.database.read)

    @cached_property
    def _door(self) -> Door:
        return Door(
            Limits(
                max_clock_skew=self.settings.max_clock_skew,
                max_depth=self.settings.max_nesting,
                max_text=self.settings.max_text_length,
            ),
            secret=self._content_secret,
            knows_store=self.store_directory.knows,
            value_maps=self.mapping_directory.value_maps,
        )

    # What files and coded values mean

    @cached_property
    def mapping_directory(self) -> MappingDirectory:
        """The mappings as this process knows them."""
        return MappingDirectory(self._mapping_repository)

    @cached_property
    def mappings(self) -> MappingService:
        """Stored mappings, for their callers."""
        return MappingService(self._mapping_repository, self.mapping_directory, self.time_source)

    @cached_property
    def _mapping_repository(self) -> MappingRepository:
        return MappingRepository(self.database.read)

    @cached_property
    def _quarantine_repository(self) -> QuarantineRepository:
        return QuarantineRepository(self.database.read)

    # Clocks

    @cached_property
    def clocks(self) -> ClockService:
        """The sweep of what is due."""
        return ClockService(self.database.read, self.appender, self.time_source)

    # Feeds

    @cached_property
    def arrivals(self) -> Arrivals:
        """Who waits for the logs to grow."""
        return Arrivals(self._read_heads, most=self.settings.max_held_requests)

    @cached_property
    def event_feed(self) -> EventFeedService:
        """The way out for events: pages of the log."""
        return EventFeedService(
            self.database.read,
            FeedCursorRepository(self.database.read),
            self._timeline_repository,
            arrivals=self.arrivals,
            stores=self.store_directory,
            time_source=self.time_source,
        )

    @cached_property
    def feeds(self) -> FeedService:
        """What comes from whom."""
        return FeedService(
            self.database.read,
            appender=self.appender,
            stores=self.store_directory,
            time_source=self.time_source,
        )

    @cached_property
    def feed_watch(self) -> FeedWatch:
        """The watch over feeds, and over what waits in quarantine."""
        return FeedWatch(
            self.database.read, self.appender, self.time_source, machine_now=machine_now
        )

    # The desk

    @cached_property
    def repair_orders(self) -> RepairOrderService:
        """Repair orders."""
        return RepairOrderService(
            self._subject_repository,
            self._personal_fields,
            self._evidence,
            names=self.names,
            stores=self.store_directory,
            policies=self.policies,
            time_source=self.time_source,
        )

    @cached_property
    def timelines(self) -> TimelineService:
        """What happened."""
        return TimelineService(
            self._timeline_repository, self._evidence, stores=self.store_directory
        )

    @cached_property
    def follow_ups(self) -> FollowUpService:
        """Follow-ups, and what staff do with them."""
        return FollowUpService(
            self._subject_repository,
            names=self.names,
            appender=self.appender,
            door=self._door,
            stores=self.store_directory,
            time_source=self.time_source,
        )

    @cached_property
    def complaints(self) -> ComplaintService:
        """Complaints, and what staff do with them."""
        return ComplaintService(
            self._subject_repository,
            self._personal_fields,
            names=self.names,
            appender=self.appender,
            door=self._door,
            stores=self.store_directory,
            policies=self.policies,
            time_source=self.time_source,
        )

    @cached_property
    def names(self) -> NameService:
        """Whom the names in the place of staff numbers stand for."""
        return NameService(
            NameRepository(self.database.read),
            self._personal_fields,
            self._timeline_repository,
            appender=self.appender,
            door=self._door,
            stores=self.store_directory,
        )

    @cached_property
    def files(self) -> FileService:
        """Files of customers, vehicles and staff."""
        return FileService(
            self._subject_repository,
            self._personal_fields,
            self.store_directory,
            links=self._link_repository,
        )

    @cached_property
    def links(self) -> LinkService:
        """Orders that lack a link, and the command that links one."""
        suggestions = LinkSuggestions(
            self._link_repository, self._subject_repository, self._personal_fields
        )
        return LinkService(
            self._link_repository,
            suggestions,
            names=self.names,
            appender=self.appender,
            door=self._door,
            stores=self.store_directory,
        )

    @cached_property
    def split_customers(self) -> SplitCustomerService:
        """Cars with several customers, and the commands that say what they are."""
        return SplitCustomerService(
            self._link_repository,
            self._subject_repository,
            names=self.names,
            appender=self.appender,
            door=self._door,
            stores=self.store_directory,
        )

    @cached_property
    def _link_repository(self) -> LinkRepository:
        return LinkRepository(self.database.read)

    @cached_property
    def _subject_repository(self) -> SubjectRepository:
        return SubjectRepository(self.database.read)

    @cached_property
    def _timeline_repository(self) -> TimelineRepository:
        return TimelineRepository(self.database.read)

    @cached_property
    def _evidence(self) -> EvidenceFinder:
        return EvidenceFinder(self._timeline_repository)

    @cached_property
    def _personal_fields(self) -> PersonalFields:
        return PersonalFields(PersonalRepository(self.database.read), self._timeline_repository)

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
    def operations(self) -> OperationsService:
        """How the service is doing, for those who operate it."""
        return OperationsService(
            self.database,
            self.instruments,
            time_source=self.time_source,
            cache_seconds=self.settings.metrics_cache_seconds,
        )

    @cached_property
    def sandbox(self) -> SandboxService:
        """The time that can be moved, where the settings allow it."""
        return SandboxService(
            self._sandbox_repository,
            enabled=self.settings.sandbox,
            time_source=self.time_source,
            due_work=(self.clocks, self.feed_watch, self.nightly),
            after_move=self._refresh_metrics,
        )

    async def _read_heads(self, stores: Collection[str]) -> dict[str, int]:
        async with self.database.read.acquire() as connection:
            return await EventLog(connection).read_heads(stores)

    async def _refresh_metrics(self) -> None:
        await self.metrics.refresh_behind()

    @cached_property
    def _sandbox_repository(self) -> SandboxRepository:
        return SandboxRepository(self.database.read)

    def _default_time_source(self) -> TimeSource:
        if self.settings.sandbox:
            return SandboxTimeSource(self._sandbox_repository.read_offset)
        return SystemTimeSource()


@asynccontextmanager
async def open_factory(
    settings: Settings,
    *,
    time_source: TimeSource | None = None,
    instruments: Instruments | None = None,
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
            instruments=instruments,
        )
        try:
            yield factory
        finally:
            await factory.close()
