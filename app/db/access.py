"""Keys at rest: hashes, rights, and when each was last used."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from app.domain.access import AccessKey, Scope

_COLUMNS: Final = "key_id, name, scopes, stores, created_at, last_used_at, revoked_at"

_USE_NOTED_EVERY: Final = timedelta(minutes=1)
"""A key in constant use is written once a minute, not once a request."""

_KNOWN_SCOPES: Final = frozenset(Scope)


class AccessKeyRepository:
    """Keys, by id or by hash."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def add(self, key: AccessKey, token_hash: bytes) -> None:
        """Store a new key."""
        await self._pool.execute(
            """INSERT INTO access_key (key_id, name, token_hash, scopes, stores, created_at)
               VALUES ($1, $2, $3, $4, $5, $6)""",
            key.key_id,
            key.name,
            token_hash,
            sorted(key.scopes),
            None if key.stores is None else sorted(key.stores),
            key.created_at,
        )

    async def any_exists(self) -> bool:
        """Tell whether a key was ever issued; revoked ones count."""
        return bool(await self._pool.fetchval("SELECT EXISTS (SELECT FROM access_key)"))

    async def find_by_hash(self, token_hash: bytes) -> AccessKey | None:
        """Find a key, revoked ones included."""
        row = await self._pool.fetchrow(
            f"SELECT {_COLUMNS} FROM access_key WHERE token_hash = $1", token_hash
        )
        return None if row is None else _key(row)

    async def note_use(self, key_id: str, now: datetime) -> None:
        """Keep that a key was used, unless that was kept less than a minute ago."""
        await self._pool.execute(
            """UPDATE access_key SET last_used_at = $2
                WHERE key_id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)""",
            key_id,
            now,
            now - _USE_NOTED_EVERY,
        )

    async def find(self, key_id: str) -> AccessKey | None:
        """Find a key by its id, revoked ones included."""
        row = await self._pool.fetchrow(
            f"SELECT {_COLUMNS} FROM access_key WHERE key_id = $1", key_id
        )
        return None if row is None else _key(row)

    async def widen(self, key_id: str, scopes: Collection[Scope]) -> AccessKey | None:
        """Add scopes to a key and return it; None if there is none that counts.

        Scopes that only another version knows stay.
        """
        row = await self._pool.fetchrow(
            f"""UPDATE access_key
                   SET scopes = ARRAY(SELECT unnest(scopes) UNION SELECT unnest($2::text[])
                                       ORDER BY 1)
                 WHERE key_id = $1 AND revoked_at IS NULL RETURNING {_COLUMNS}""",
            key_id,
            list(scopes),
        )
        return None if row is None else _key(row)

    async def revoke(self, key_id: str, now: datetime) -> AccessKey | None:
        """Revoke a key and return it, None if there is none; a repeat keeps the first time."""
        row = await self._pool.fetchrow(
            f"""UPDATE access_key SET revoked_at = coalesce(revoked_at, $2)
                 WHERE key_id = $1 RETURNING {_COLUMNS}""",
            key_id,
            now,
        )
        return None if row is None else _key(row)

    async def list_all(self) -> list[AccessKey]:
        """List every key, oldest first."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM access_key ORDER BY created_at, key_id"
        )
        return [_key(row) for row in rows]


def _key(row: asyncpg.Record) -> AccessKey:
    return AccessKey(
        key_id=row["key_id"],
        name=row["name"],
        # a scope that a newer or older version knows gives no right here
        scopes=frozenset(Scope(scope) for scope in row["scopes"] if scope in _KNOWN_SCOPES),
        stores=None if row["stores"] is None else frozenset(row["stores"]),
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
    )
