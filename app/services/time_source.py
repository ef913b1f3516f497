"""Where the time comes from: passed in, so that a month can be rehearsed in a minute.

Every use case asks once and hands the answer down; nothing below looks at a clock of its own.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from typing_extensions import override


class TimeSource(Protocol):
    """Tells the service's time."""

    async def now(self) -> datetime:
        """The service's time: aware, UTC, to the microsecond."""
        ...


class SystemTimeSource(TimeSource):
    """The machine's time."""

    @override
    async def now(self) -> datetime:
        return datetime.now(UTC)


class SandboxTimeSource(TimeSource):
    """The machine's time plus an offset that all processes share.

    The offset is asked for on every call: after another process has moved the time, no answer
    of this one may be behind.
    """

    def __init__(self, read_offset: Callable[[], Awaitable[timedelta]]) -> None:
        self._read_offset = read_offset

    @override
    async def now(self) -> datetime:
        return datetime.now(UTC) + await self._read_offset()


class MovableTimeSource(TimeSource):
    """A time that stands still until it is moved; for tests and rehearsals."""

    def __init__(self, now: datetime) -> None:
        self._now = _utc(now)

    @override
    async def now(self) -> datetime:
        return self._now

    def set(self, now: datetime) -> None:
        """Put the time at an aware instant, earlier ones included."""
        self._now = _utc(now)

    def advance(self, span: timedelta) -> None:
        """Move the time by a span."""
        self._now += span


def _utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("the time of a time source is aware")
    return instant.astimezone(UTC)
