"""Clocks that fall due. They are written with the states, in a group of appends."""

from dataclasses import dataclass
from datetime import datetime

from app.db.engine import Connection
from app.domain.events.envelope import Kind

_DUE = """
    SELECT kind, key, name, due_at FROM clock
     WHERE store_id = $1 AND state = 'running' AND next_at <= $2
     ORDER BY next_at, kind, key, name LIMIT $3
"""
_STORES_WITH_DUE = """
    SELECT store_id FROM clock WHERE state = 'running' AND next_at <= $1
     GROUP BY store_id ORDER BY store_id
"""
_NEXT_DUE = "SELECT min(next_at) FROM clock WHERE state = 'running'"
_PUT_OFF = """
    UPDATE clock SET next_at = $5, failures = failures + 1, error = $6
     WHERE store_id = $1 AND kind = $2 AND key = $3 AND name = $4 AND state = 'running'
"""


@dataclass(frozen=True, slots=True)
class DueClock:
    """A running clock whose moment has come."""

    kind: Kind
    key: str
    name: str
    due_at: datetime


class ClockRepository:
    """The clocks over one connection. Transactions belong to the caller."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list_due(self, store_id: str, now: datetime, limit: int) -> list[DueClock]:
        """List running clocks of the store that are due at `now`, the longest due first."""
        rows = await self._connection.fetch(_DUE, store_id, now, limit)
        return [DueClock(Kind(kind), key, name, due_at) for kind, key, name, due_at in rows]

    async def list_stores_with_due(self, now: datetime) -> list[str]:
        """List the stores in which a running clock is due at `now`."""
        rows = await self._connection.fetch(_STORES_WITH_DUE, now)
        return [row["store_id"] for row in rows]

    async def next_due_at(self) -> datetime | None:
        """Get the moment at which the next running clock of any store falls due."""
        moment: datetime | None = await self._connection.fetchval(_NEXT_DUE)
        return moment

    async def put_off(
        self, store_id: str, clock: DueClock, *, next_at: datetime, error: str
    ) -> None:
        """Put off a clock that failed to evaluate, so that it cannot stall the others."""
        await self._connection.execute(
            _PUT_OFF, store_id, clock.kind, clock.key, clock.name, next_at, error
        )
