"""Feeds for their readers: what comes from whom, in which rhythm, how late; and who is silent."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from app.db.engine import Pool
from app.db.feeds import FeedRepository, FeedSums, KnownFeed
from app.domain.errors import NotFoundError
from app.domain.feed import Silence
from app.domain.feed_watch import FeedRule, lag_quantile, silent_at
from app.domain.pages import Page, PageRequest, page_of
from app.domain.periods import local_day, start_of_day
from app.domain.rhythm import Rhythm, expected_by
from app.domain.stores import Store
from app.services.appender import Appender
from app.services.stores import StoreDirectory
from app.services.time_source import TimeSource
from app.services.units import Watch
from app.services.watching import PART, view_of

WEEK: Final = timedelta(days=7)
SHOWN_SILENCES: Final = 10
"""The last past silences that are shown."""

_SHARE: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Lag:
    """How long events took from happening to being recorded; whole seconds.

    Attributes:
        median, p95: Estimates, within the class in which they lie; None without events.
        late_share: Of the events, those recorded more than a day late; None without events.
    """

    events: int
    median: int | None
    p95: int | None
    most: int | None
    late: int
    late_share: Decimal | None


@dataclass(frozen=True, slots=True)
class FeedReport:
    """What is known of a feed.

    Attributes:
        silent_at: When it will be taken for silent if nothing comes; None: it is, or never will.
        expected_by: By when something is to come in its usual rhythm; None without one.
        silences: The last ones that are over, the latest first.
    """

    feed: KnownFeed
    sums: FeedSums
    lag: Lag
    rhythm: Rhythm | None
    silent_at: datetime | None
    expected_by: datetime | None
    silences: Sequence[Silence]


class FeedService:
    """What callers see and set of feeds."""

    def __init__(
        self, pool: Pool, *, appender: Appender, stores: StoreDirectory, time_source: TimeSource
    ) -> None:
        self._pool = pool
        self._appender = appender
        self._stores = stores
        self._time_source = time_source

    async def list_page(
        self, store_id: str, page: PageRequest, *, lag_days: int
    ) -> Page[FeedReport]:
        """List the feeds of a store, by source.

        Args:
            store_id: The store.
            page: The part that is wanted.
            lag_days: Over how many days lags are told.

        Raises:
            NotFoundError: There is no such store.
        """
        store = await self._stores.get(store_id)
        key = page.key(str)
        async with self._snapshot() as feeds:
            found = await feeds.list_page(
                store_id, after=None if key is None else str(key[0]), limit=page.limit + 1
            )
            reports = await self._reports(feeds, store, found, lag_days=lag_days)
        return page_of(reports, page.limit, lambda report: (report.feed.source,))

    async def set_rule(
        self, store_id: str, source: str, rule: FeedRule, *, lag_days: int
    ) -> FeedReport:
        """Set the rule of a feed; it counts at once.

        Raises:
            NotFoundError: There is no such store, or nothing ever came from the source.
        """
        store = await self._stores.get(store_id)
        now = await self._time_source.now()
        async with self._pool.acquire() as connection:
            feeds = FeedRepository(connection)
            known = await feeds.set_rule(store_id, source, rule, look_at=now)
            watched_from = await feeds.find_watched_from()
        if not known:
            message = (
                f"Nothing ever came from {source} in store {store_id}. A rule can be set when its "
                "first event was received."
            )
            raise NotFoundError(message)
        await self._appender.submit(Watch(store_id, watched_from or now, PART))
        async with self._snapshot() as feeds:
            found = await feeds.find(store_id, source)
            (report,) = await self._reports(
                feeds, store, [] if found is None else [found], lag_days=lag_days
            )
        return report

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[FeedRepository]:
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield FeedRepository(connection)

    async def _reports(
        self, feeds: FeedRepository, store: Store, found: Sequence[KnownFeed], *, lag_days: int
    ) -> list[FeedReport]:
        now = await self._time_source.now()
        sums = await feeds.sum_up(
            store.store_id,
            [feed.source for feed in found],
            today=start_of_day(local_day(now, store.zone), store.zone),
            week=now - WEEK,
            window=now - timedelta(lag_days),
        )
        watched_from = await feeds.find_watched_from() or now
        return [
            await self._report(feeds, store, feed, sums[feed.source], watched_from)
            for feed in found
        ]

    async def _report(
        self,
        feeds: FeedRepository,
        store: Store,
        feed: KnownFeed,
        sums: FeedSums,
        watched_from: datetime,
    ) -> FeedReport:
        view = await view_of(feeds, store.store_id, feed, store.zone)
        state = feed.state
        return FeedReport(
            feed=feed,
            sums=sums,
            lag=_lag(sums),
            rhythm=view.rhythm,
            silent_at=silent_at(view, watched_from=watched_from, zone=store.zone),
            expected_by=None
            if view.rhythm is None
            else expected_by(view.rhythm, feed.last_seen_at, store.zone),
            silences=[] if state is None else state.silences[: -SHOWN_SILENCES - 1 : -1],
        )


def _lag(sums: FeedSums) -> Lag:
    events = sum(sums.lag_counts)
    most = sums.lag_max_seconds
    return Lag(
        events=events,
        median=lag_quantile(sums.lag_counts, 0.5, most),
        p95=lag_quantile(sums.lag_counts, 0.95, most),
        most=most if events else None,
        late=sums.late,
        late_share=(Decimal(sums.late) / events).quantize(_SHARE) if events else None,
    )
