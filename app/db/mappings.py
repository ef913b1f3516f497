"""Mappings of sources, each version as it was written."""

from collections.abc import Collection, Sequence

import asyncpg

from app.db.engine import Pool
from app.domain.mapping.stored import StoredMapping

_COLUMNS = "source, version, store, title, body, created_at"
_NEWEST = f"SELECT DISTINCT ON (source) {_COLUMNS} FROM mapping ORDER BY source, version DESC"


class MappingRepository:
    """Mappings, by source and version."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, mapping: StoredMapping) -> bool:
        """Store a version, unless there is one; tell whether it is new."""
        row = await self._pool.fetchrow(
            f"""INSERT INTO mapping ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)
                ON CONFLICT (source, version) DO NOTHING RETURNING version""",
            mapping.source,
            mapping.version,
            mapping.store,
            mapping.title,
            mapping.body,
            mapping.created_at,
        )
        return row is not None

    async def list_versions(self, source: str) -> list[StoredMapping]:
        """List every version of a source's mapping, the newest first."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM mapping WHERE source = $1 ORDER BY version DESC", source
        )
        return [_mapping(row) for row in rows]

    async def list_newest(self, *, held: Collection[tuple[str, int]] = ()) -> list[StoredMapping]:
        """List the newest version of each source, without those that the caller holds already."""
        sources = [source for source, _ in held]
        versions = [version for _, version in held]
        rows = await self._pool.fetch(
            f"""SELECT * FROM ({_NEWEST}) AS newest
                 WHERE NOT EXISTS (
                    SELECT FROM unnest($1::text[], $2::int[]) AS held (source, version)
                     WHERE held.source = newest.source AND held.version = newest.version)""",
            sources,
            versions,
        )
        return [_mapping(row) for row in rows]

    async def list_page(
        self, *, after: str | None, limit: int, among: Sequence[str] | None
    ) -> list[StoredMapping]:
        """List the newest versions in order of source, after a source.

        Args:
            after: The source before the page; None: the first page.
            limit: Most of them.
            among: Stores whose own mappings may be seen, besides those of all stores; None: all.
        """
        rows = await self._pool.fetch(
            f"""SELECT * FROM ({_NEWEST}) AS newest
                 WHERE ($1::text IS NULL OR source > $1)
                   AND ($2::text[] IS NULL OR store IS NULL OR store = ANY($2))
                 ORDER BY source LIMIT $3""",
            after,
            None if among is None else list(among),
            limit,
        )
        return [_mapping(row) for row in rows]


def _mapping(row: asyncpg.Record) -> StoredMapping:
    return StoredMapping(
        row["source"],
        row["version"],
        row["store"],
        row["title"],
        row["body"],
        row["created_at"],
    )
