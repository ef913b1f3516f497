"""The sandbox's offset: one row that every process reads."""

from datetime import datetime, timedelta
from decimal import Decimal

from app.db.engine import Pool

_READ = "SELECT offset_seconds FROM sandbox_clock WHERE id = 1"
_TAKE = """
    INSERT INTO sandbox_clock AS c (id, offset_seconds, moving_since, mover)
    VALUES (1, 0, $1, $2)
    ON CONFLICT (id) DO UPDATE SET moving_since = excluded.moving_since, mover = excluded.mover
     WHERE c.mover IS NULL OR c.moving_since < excluded.moving_since - interval '15 minutes'
    RETURNING true
"""
_SET = """
    UPDATE sandbox_clock SET offset_seconds = $1, moving_since = $3 WHERE id = 1 AND mover = $2
    RETURNING true
"""
_RELEASE = """
    UPDATE sandbox_clock SET moving_since = NULL, mover = NULL WHERE id = 1 AND mover = $1
"""


class SandboxRepository:
    """The offset between the service's time and the machine's, and who moves it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read_offset(self) -> timedelta:
        """Read the offset; zero before anybody moved the time."""
        seconds: Decimal | None = await self._pool.fetchval(_READ)
        return timedelta(microseconds=int((seconds or Decimal(0)) * 1_000_000))

    async def take(self, mover: str, *, machine_now: datetime) -> bool:
        """Become the one that moves the time; False while another does.

        A mover that has not moved for 15 minutes is taken for dead.
        """
        return bool(await self._pool.fetchval(_TAKE, machine_now, mover))

    async def set_offset(self, offset: timedelta, mover: str, *, machine_now: datetime) -> bool:
        """Move the time; False if `mover` is no longer the one that may."""
        seconds = Decimal(offset // timedelta(microseconds=1)) / 1_000_000
        return bool(await self._pool.fetchval(_SET, seconds, mover, machine_now))

    async def release(self, mover: str) -> None:
        """Let others move the time."""
        await self._pool.execute(_RELEASE, mover)
