"""The night: every store's day is closed once, at its own hour, by whichever process claims it.

What is due is asked of the database, so a night that was missed is caught up with the next tick;
one run covers all that were missed, as it publishes whatever has ended and isn't published.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import uuid4
from zoneinfo import ZoneInfo

import structlog

from app.db.engine import Pool
from app.db.jobs import JobRepository
from app.domain.errors import NotFoundError
from app.domain.jobs import JobRun, Night, RunState
from app.domain.pages import Page, PageRequest, page_of
from app.domain.periods import local_day
from app.services.metrics import MetricsService
from app.services.time_source import TimeSource

JOB: Final = "nightly"

LEASE: Final = timedelta(minutes=5)
"""How long a run is left to a process that gives no sign of life."""

RETRY_AFTER: Final = timedelta(minutes=10)
"""How long after its start a run that failed is tried again."""

_RENEW_SECONDS: Final = LEASE.total_seconds() / 4
_POLL_SECONDS: Final = 0.2
_DAY: Final = timedelta(days=1)
_MOMENT: Final = timedelta(microseconds=1)

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Due:
    """A run to claim.

    Attributes:
        not_before: A run that is done counts as this night's only if it was started by then; None:
            it is run in any case.
    """

    store_id: str
    run_date: date
    not_before: datetime | None


class NightlyService:
    """Runs the night of each store, and shows what came of it."""

    def __init__(
        self,
        pool: Pool,
        *,
        metrics: MetricsService,
        time_source: TimeSource,
        hour: int = 2,
    ) -> None:
        self._pool = pool
        self._metrics = metrics
        self._time_source = time_source
        self._hour = hour
        self._broken_off: list[JobRun] = []

    async def tick(self) -> list[JobRun]:
        """Run every night that is due and that nobody has claimed; harmless to repeat.

        Returns:
            What came of the runs of this process, the failed ones included.
        """
        await self._give_back()
        runs = []
        for due in await self._list_due(await self._time_source.now()):
            run = await self._run(due)
            if run is not None:
                runs.append(run)
        return runs

    async def do_due(self) -> None:
        """Tick; the form in which the sandbox mover asks for it."""
        await self.tick()

    async def next_due_at(self, now: datetime) -> datetime | None:
        """Get the next moment at which the night of a store is due; None without stores."""
        async with self._pool.acquire() as connection:
            zones = await JobRepository(connection).list_time_zones()
        return min((self._next_night(now, ZoneInfo(zone)) for zone in zones), default=None)

    async def run_now(
        self, store_id: str | None = None, *, among: Collection[str] | None = None
    ) -> list[JobRun]:
        """Run the night of a store, or of all, now; one that is running is waited for first (J18).

        Args:
            store_id: Only this store.
            among: Those that the caller may know of; None is all.

        Returns:
            What came of the runs, by store, the failed ones included.

        Raises:
            NotFoundError: There is no such store.
        """
        await self._give_back()
        async with self._pool.acquire() as connection:
            stores = await JobRepository(connection).list_stores(
                among if store_id is None else {store_id}
            )
        if store_id is not None and not stores:
            raise NotFoundError(
                f"There is no store {store_id}. PUT /v1/stores/{store_id} makes one."
            )
        runs = []
        for found, zone in stores:
            run_date = local_day(await self._time_source.now(), ZoneInfo(zone))
            run = await self._run(_Due(found, run_date, not_before=None))
            while run is None:
                await asyncio.sleep(_POLL_SECONDS)
                run = await self._run(_Due(found, run_date, not_before=None))
            runs.append(run)
        return runs

    async def list_runs(
        self, page: PageRequest, *, store_id: str | None, among: Collection[str] | None
    ) -> Page[JobRun]:
        """List runs, the latest date first.

        Args:
            page: Which part.
            store_id: Only of this store.
            among: Only of stores that the caller may know of; None is all.
        """
        after: tuple[date, str] | None = None
        match page.key(date, str):
            case (date() as run_date, str() as last_store):
                after = run_date, last_store
            case _:
                pass
        async with self._pool.acquire() as connection:
            found = await JobRepository(connection).list_runs(
                job=JOB,
                stores=among if store_id is None else {store_id},
                after=after,
                limit=page.limit + 1,
            )
        return page_of(found, page.limit, lambda run: (run.run_date, run.store_id))

    async def _list_due(self, now: datetime) -> list[_Due]:
        async with self._pool.acquire() as connection:
            jobs = JobRepository(connection)
            nights = {zone: self._last_night(now, zone) for zone in await jobs.list_time_zones()}
            due = await jobs.list_due(
                job=JOB, nights=nights.values(), now=now, failed_before=now - RETRY_AFTER
            )
        return [_Due(found, nights[zone].run_date, nights[zone].due_at) for found, zone in due]

    async def _run(self, due: _Due) -> JobRun | None:
        """Claim a run and see it through; None if another has it."""
        now = await self._time_source.now()
        async with self._pool.acquire() as connection:
            run = await JobRepository(connection).claim(
                store_id=due.store_id,
                job=JOB,
                run_date=due.run_date,
                claimed_by=str(uuid4()),
                now=now,
                lease_until=now + LEASE,
                unless_failed_since=None if due.not_before is None else now - RETRY_AFTER,
                unless_done_since=due.not_before,
            )
        if run is None:
            return None
        try:
            return await self._see_through(run)
        except Exception:
            # not even that can be noted: the database is away
            self._broken_off.append(run)
            raise

    async def _give_back(self) -> None:
        """Let go of the runs that broke off, as the database is back; nobody waits for a lease."""
        while self._broken_off:
            run = self._broken_off.pop()
            try:
                now = await self._time_source.now()
                async with self._pool.acquire() as connection:
                    await JobRepository(connection).renew(run, now - _MOMENT)
            except Exception:
                self._broken_off.append(run)
                raise

    async def _see_through(self, run: JobRun) -> JobRun:
        """Do a claimed run, and note what came of it."""
        try:
            async with self._kept(run):
                refreshed = await self._metrics.refresh(run.store_id)
                published = await self._metrics.publish(
                    run.store_id, night=run.run_date, now=await self._time_source.now()
                )
        except Exception as error:
            logger.exception("nightly run failed", store_id=run.store_id)
            return await self._finish(
                run, RunState.FAILED, error=f"{type(error).__name__}: {error}"
            )
        logger.info(
            "nightly run done",
            store_id=run.store_id,
            run_date=run.run_date.isoformat(),
            as_of_seq=published.as_of_seq,
            published=published.published,
            restated=published.restated,
        )
        return await self._finish(
            run,
            RunState.DONE,
            as_of_seq=published.as_of_seq,
            detail={
                "subjects": refreshed.subjects,
                "facts": refreshed.facts,
                "days": len(refreshed.days),
                "published": published.published,
                "restated": published.restated,
            },
        )

    async def _finish(
        self,
        run: JobRun,
        state: RunState,
        *,
        as_of_seq: int | None = None,
        error: str | None = None,
        detail: dict[str, int] | None = None,
    ) -> JobRun:
        async with self._pool.acquire() as connection:
            finished = await JobRepository(connection).finish(
                run,
                state=state,
                now=await self._time_source.now(),
                as_of_seq=as_of_seq,
                error=error,
                detail=detail,
            )
        # another took the run over when its lease was up: what this one did stands all the same
        return finished or run

    @asynccontextmanager
    async def _kept(self, run: JobRun) -> AsyncIterator[None]:
        """Keep the lease of a run from ending while it is under way."""
        keeper = asyncio.create_task(self._keep(run))
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _keep(self, run: JobRun) -> None:
        kept = True
        while kept:
            await asyncio.sleep(_RENEW_SECONDS)
            now = await self._time_source.now()
            async with self._pool.acquire() as connection:
                kept = await JobRepository(connection).renew(run, now + LEASE)

    def _last_night(self, now: datetime, zone: str) -> Night:
        """The last night of a zone that is due at `now`."""
        found = ZoneInfo(zone)
        today = local_day(now, found)
        due_at = self._night_of(today, found)
        run_date = today if due_at <= now else today - _DAY
        return Night(zone, self._night_of(run_date, found), run_date)

    def _next_night(self, now: datetime, zone: ZoneInfo) -> datetime:
        """The first night of a zone after `now`."""
        today = local_day(now, zone)
        due_at = self._night_of(today, zone)
        return due_at if due_at > now else self._night_of(today + _DAY, zone)

    def _night_of(self, day: date, zone: ZoneInfo) -> datetime:
        """When the night is due on a local day; an hour that is skipped lies after the gap."""
        return datetime.combine(day, time(self._hour), tzinfo=zone).astimezone(UTC)
