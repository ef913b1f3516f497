"""The ticks of the process: APScheduler says when, the services ask the database what is due.

A tick holds no state: a late or lost one is made good by the next.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from app.services.database_failures import is_database_away

STOP_SECONDS: Final = 5.0
"""How long running ticks may take to end by themselves when the process stops."""

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tick:
    """Something that is asked over and over whether it has work.

    Attributes:
        name: Kebab-case, unique; for the logs.
        interval_seconds: Between two starts. One that takes longer is never overlapped.
        call: A service's method; harmless to repeat, in other processes at the same time too.
    """

    name: str
    interval_seconds: float
    call: Callable[[], Awaitable[Any]]


class Scheduler:
    """Runs ticks until it is stopped, each of them at once and then at its interval.

    An error in a tick is logged; the next one comes all the same.
    """

    def __init__(self, ticks: Iterable[Tick]) -> None:
        # that a tick is still running when the next is due is no news
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._running: set[asyncio.Task[Any]] = set()
        self._without_database: set[str] = set()
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        for tick in ticks:
            self._scheduler.add_job(
                self._run,
                IntervalTrigger(seconds=tick.interval_seconds, timezone=UTC),
                args=(tick,),
                id=tick.name,
                next_run_time=datetime.now(UTC),
            )

    def start(self) -> None:
        """Begin to tick, in the running event loop."""
        self._scheduler.start()

    async def stop(self) -> None:
        """Start no more ticks, let those that run end, cancel what takes too long."""
        self._scheduler.remove_all_jobs()
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_SECONDS)
        late = list(self._running)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        self._scheduler.shutdown(wait=False)

    async def _run(self, tick: Tick) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs has a task
        self._running.add(task)
        try:
            await tick.call()
            self._note_database(tick)
        except asyncio.CancelledError:
            # by `stop`; the scheduler would log it as an error
            log.info("tick cancelled", tick=tick.name)
        except Exception as error:
            if is_database_away(error):
                self._note_no_database(tick, error)
            else:
                log.exception("tick failed", tick=tick.name)
        finally:
            self._running.discard(task)

    def _note_no_database(self, tick: Tick, error: Exception) -> None:
        """Say it once, not every second for as long as it lasts."""
        if tick.name not in self._without_database:
            self._without_database.add(tick.name)
            log.warning("tick without database", tick=tick.name, error=str(error))

    def _note_database(self, tick: Tick) -> None:
        if tick.name in self._without_database:
            self._without_database.discard(tick.name)
            log.info("tick has its database again", tick=tick.name)
