"""The sandbox clock: integrators rehearse a month in a minute.

The service's time is moved forward and stops at each moment at which something falls due, in
order, so that what is recorded there (breaches, nightly runs) is what it would have been.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog
from uuid6 import uuid7

from app.db.sandbox import SandboxRepository
from app.domain.errors import ConflictError, InvalidInputError
from app.services.time_source import TimeSource

logger = structlog.get_logger(__name__)


class DueWork(Protocol):
    """Something of the service that falls due at moments of its own."""

    async def next_due_at(self, now: datetime) -> datetime | None:
        """Get the next moment after which `do_due` has something to do; None if there is none."""
        ...

    async def do_due(self) -> None:
        """Do what is due at the service's time."""
        ...


@dataclass(frozen=True, slots=True)
class SandboxMove:
    """What a move of the time did.

    Attributes:
        now: The service's time after it.
        stops: The moments at which something fell due on the way, in order.
    """

    now: datetime
    stops: Sequence[datetime]


class SandboxService:
    """Moves the service's time; only where the sandbox is switched on."""

    def __init__(
        self,
        repository: SandboxRepository,
        *,
        enabled: bool,
        time_source: TimeSource,
        due_work: Sequence[DueWork],
        machine_now: Callable[[], datetime] = lambda: datetime.now(UTC),
        after_move: Callable[[], Awaitable[None]],
    ) -> None:
        self._repository = repository
        self._enabled = enabled
        self._time_source = time_source
        self._due_work = due_work
        self._machine_now = machine_now
        self._after_move = after_move

    async def get(self) -> datetime:
        """Get the service's time.

        Raises:
            ConflictError: This service is no sandbox.
        """
        self._check_enabled()
        return await self._time_source.now()

    async def move(self, to: datetime) -> SandboxMove:
        """Move the service's time forward to `to`.

        Raises:
            ConflictError: This service is no sandbox, or somebody else moves its time just now.
            InvalidInputError: `to` is in the service's past.
        """
        self._check_enabled()
        mover = str(uuid7())
        if not await self._repository.take(mover, machine_now=self._machine_now()):
            message = "The sandbox clock is being moved by somebody else; try again afterwards."
            raise ConflictError(message)
        try:
            return await self._move(to, mover)
        finally:
            await self._repository.release(mover)

    async def _move(self, to: datetime, mover: str) -> SandboxMove:
        now = await self._time_source.now()
        if to < now:
            raise InvalidInputError.at(
                "/now",
                "in-the-past",
                f"The sandbox clock stands at {now.isoformat()} and only moves forward.",
            )
        stops: list[datetime] = []
        while True:
            due = [await work.next_due_at(now) for work in self._due_work]
            # what was put off or failed at a stop must not hold the clock there
            ahead = [at for at in due if at is not None and (not stops or at > stops[-1])]
            moment = min(ahead, default=None)
            if moment is None or moment > to:
                break
            await self._set(max(moment, now), mover)
            stops.append(moment)
            for work in self._due_work:
                await work.do_due()
            now = await self._time_source.now()
        await self._set(max(to, now), mover)
        for work in self._due_work:
            await work.do_due()
        await self._after_move()
        logger.info("the sandbox clock was moved", to=to.isoformat(), stops=len(stops))
        return SandboxMove(await self._time_source.now(), stops)

    async def _set(self, moment: datetime, mover: str) -> None:
        machine_now = self._machine_now()
        if not await self._repository.set_offset(
            moment - machine_now, mover, machine_now=machine_now
        ):
            message = "Another mover took over the sandbox clock."
            raise ConflictError(message)

    def _check_enabled(self) -> None:
        if not self._enabled:
            message = (
                "This service runs on the machine's time. Start it with SERVICELANE_SANDBOX=1, "
                "never in production, to move its clock."
            )
            raise ConflictError(message)
