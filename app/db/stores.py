"""The stores: one row each, and the head of each one's stream."""

from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

import asyncpg

from app.db.engine import Pool
from app.domain.stores import Store

_COLUMNS = "store_id, name, time_zone, currency, locale, created_at, updated_at"
_SAVE = f"""
    INSERT INTO store ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (store_id) DO UPDATE SET
        name = excluded.name, time_zone = excluded.time_zone, currency = excluded.currency,
        locale = excluded.locale, updated_at = excluded.updated_at
    RETURNING {_COLUMNS}, xmax = 0 AS is_new
"""
_ADD_HEAD = """
    INSERT INTO stream_head (store_id, seq, recorded_at, waiting_retractions)
    VALUES ($1, 0, $2, 0) ON CONFLICT (store_id) DO NOTHING
"""


class StoreRepository:
    """Stores, by code."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def save(self, store: Store) -> tuple[Store, bool]:
        """Make the store, or change what it says; harmless to repeat.

        Returns:
            The store as it is now, and whether it is new.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                _SAVE,
                store.store_id,
                store.name,
                store.zone.key,
                store.currency,
                store.locale,
                store.created_at,
                store.updated_at,
            )
            await connection.execute(_ADD_HEAD, store.store_id, store.created_at)
        if row is None:
            message = "an upsert returns its row"
            raise RuntimeError(message)
        return _store(row), row["is_new"]

    async def find_many(self, store_ids: Iterable[str]) -> list[Store]:
        """Find the stores that exist among `store_ids`, in no order."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM store WHERE store_id = ANY($1)", list(store_ids)
        )
        return [_store(row) for row in rows]

    async def list_codes(self) -> list[str]:
        """List the codes of all stores."""
        return [row["store_id"] for row in await self._pool.fetch("SELECT store_id FROM store")]

    async def list_page(
        self, *, after: str | None, limit: int, among: Sequence[str] | None
    ) -> list[Store]:
        """List stores by code, after a code, `among` those a caller may know of (None: all)."""
        rows = await self._pool.fetch(
            f"""SELECT {_COLUMNS} FROM store
                 WHERE ($1::text IS NULL OR store_id > $1)
                   AND ($2::text[] IS NULL OR store_id = ANY($2))
                 ORDER BY store_id LIMIT $3""",
            after,
            None if among is None else list(among),
            limit,
        )
        return [_store(row) for row in rows]


def _store(row: asyncpg.Record) -> Store:
    return Store(
        store_id=row["store_id"],
        name=row["name"],
        zone=ZoneInfo(row["time_zone"]),
        currency=row["currency"],
        locale=row["locale"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
