"""Cursors of consumers of the feed out, as rows."""

from datetime import datetime

import asyncpg

from app.db.engine import Pool
from app.domain.event_feed import Cursor

_CURSOR = "store_id, name, seq, created_at, updated_at, updated_by"
_PUT = f"""
    INSERT INTO feed_cursor AS c ({_CURSOR}) VALUES ($1, $2, $3, $4, $4, $5)
    ON CONFLICT (store_id, name) DO UPDATE SET
        seq = excluded.seq, updated_at = excluded.updated_at, updated_by = excluded.updated_by
     WHERE c.seq <= excluded.seq OR $6
    RETURNING {_CURSOR}
"""
_MOVE = f"""
    UPDATE feed_cursor c SET seq = $3, updated_at = $4, updated_by = $5
     WHERE store_id = $1 AND name = $2 AND seq = $7 AND (seq <= $3 OR $6)
    RETURNING {_CURSOR}
"""
_FIND = f"SELECT {_CURSOR} FROM feed_cursor WHERE store_id = $1 AND name = $2"
_LIST = f"""
    SELECT {_CURSOR} FROM feed_cursor
     WHERE store_id = $1 AND ($2::text IS NULL OR name > $2) ORDER BY name LIMIT $3
"""
_DELETE = "DELETE FROM feed_cursor WHERE store_id = $1 AND name = $2 RETURNING true"


class FeedCursorRepository:
    """Cursors, by store and name."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def save(
        self,
        store_id: str,
        name: str,
        seq: int,
        *,
        now: datetime,
        by: str,
        expected: int | None,
        force: bool,
    ) -> Cursor | None:
        """Make a cursor or move it, forward only unless forced.

        Args:
            store_id: The store.
            name: Of the cursor.
            seq: Where to put it.
            now: The service's time.
            by: Who does.
            expected: Where it must stand; None: wherever it does, or nowhere yet.
            force: Also backward.

        Returns:
            The cursor; None where it stands where it may not be moved from.
        """
        arguments = [store_id, name, seq, now, by, force]
        row = await (
            self._pool.fetchrow(_PUT, *arguments)
            if expected is None
            else self._pool.fetchrow(_MOVE, *arguments, expected)
        )
        return None if row is None else _cursor(row)

    async def find(self, store_id: str, name: str) -> Cursor | None:
        """Find a cursor."""
        row = await self._pool.fetchrow(_FIND, store_id, name)
        return None if row is None else _cursor(row)

    async def list_page(self, store_id: str, *, after: str | None, limit: int) -> list[Cursor]:
        """List the cursors of a store by name, after a name."""
        return [_cursor(row) for row in await self._pool.fetch(_LIST, store_id, after, limit)]

    async def delete(self, store_id: str, name: str) -> bool:
        """Delete a cursor; False if there is none."""
        return bool(await self._pool.fetchval(_DELETE, store_id, name))


def _cursor(row: asyncpg.Record) -> Cursor:
    return Cursor(**dict(row))
