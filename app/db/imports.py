"""Imported files as rows, and the claim of those that are being imported.

A file of an inbox is claimed by writing its row: of n processes one gets it. The claim is a lease,
so that the file of a process that died is taken up again. A store has one claim per name.
"""

from collections.abc import Collection
from datetime import datetime

import asyncpg
import msgspec

from app.db.engine import Pool
from app.domain.imports import FileImport, ImportState, ImportSummary, ImportWay, summary_from

_COLUMNS = """
    store_id, import_id, way, name, size, state, started_at, finished_at, sha256, same_as,
    claimed_by, lease_until, attempts, moved_to, summary::text AS summary
"""
_ADD = """
    INSERT INTO file_import (store_id, import_id, way, name, size, state, started_at, finished_at,
        sha256, same_as, claimed_by, lease_until, attempts, moved_to, summary)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
    ON CONFLICT (store_id, import_id) DO NOTHING
"""
_CLAIM = f"""
    INSERT INTO file_import AS f
        (store_id, import_id, way, name, size, state, started_at, claimed_by, lease_until)
    VALUES ($1, $2, 'inbox', $3, $4, 'working', $5, $6, $7)
    ON CONFLICT (store_id, name) WHERE state = 'working' DO UPDATE SET
        claimed_by = excluded.claimed_by, lease_until = excluded.lease_until,
        size = excluded.size, attempts = f.attempts + excluded.attempts
     WHERE f.lease_until < excluded.started_at AND f.summary IS NULL
    RETURNING {_COLUMNS}
"""
_TAKE_OVER = f"""
    UPDATE file_import SET claimed_by = $3, lease_until = $4, attempts = attempts + 1
     WHERE store_id = $1 AND import_id = $2 AND state = 'working' AND lease_until < $5
    RETURNING {_COLUMNS}
"""
_MINE = "store_id = $1 AND import_id = $2 AND claimed_by = $3 AND state = 'working'"
_RENEW = f"UPDATE file_import SET lease_until = $4 WHERE {_MINE}"
_NOTE_CONTENT = f"UPDATE file_import SET sha256 = $4, same_as = $5 WHERE {_MINE}"
_NOTE_SUMMARY = f"UPDATE file_import SET summary = $4 WHERE {_MINE}"
_FINISH = f"UPDATE file_import SET state = $4, finished_at = $5, moved_to = $6 WHERE {_MINE}"
_FORGET = f"DELETE FROM file_import WHERE {_MINE}"
_ABANDONED = """
    SELECT store_id, import_id FROM file_import
     WHERE state = 'working' AND way = 'inbox' AND lease_until < $1
     ORDER BY store_id, import_id
"""
_FIND = f"SELECT {_COLUMNS} FROM file_import WHERE store_id = $1 AND import_id = $2"
_FIND_SAME = """
    SELECT import_id FROM file_import
     WHERE store_id = $1 AND sha256 = $2 AND import_id < $3 AND state IN ('done', 'faults')
     ORDER BY import_id DESC LIMIT 1
"""
_LIST = f"""
    SELECT {_COLUMNS} FROM file_import
     WHERE store_id = $1 AND ($2::text IS NULL OR state = $2)
       AND ($3::text IS NULL OR import_id < $3)
     ORDER BY import_id DESC LIMIT $4
"""


class ImportRepository:
    """Imports, by store and id."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, done: FileImport) -> None:
        """Keep an import that was made by the command; a repeat is harmless."""
        await self._pool.execute(
            _ADD,
            done.store_id,
            done.import_id,
            done.way,
            done.name,
            done.size,
            done.state,
            done.started_at,
            done.finished_at,
            done.sha256,
            done.same_as,
            done.claimed_by,
            done.lease_until,
            done.attempts,
            done.moved_to,
            None if done.summary is None else _written(done.summary),
        )

    async def claim(
        self,
        *,
        store_id: str,
        import_id: str,
        name: str,
        size: int,
        claimed_by: str,
        now: datetime,
        lease_until: datetime,
    ) -> FileImport | None:
        """Claim a file of a store's folder by its name; None if another has it.

        A claim whose lease is over goes on as the same import.
        """
        row = await self._pool.fetchrow(
            _CLAIM, store_id, import_id, name, size, now, claimed_by, lease_until
        )
        return None if row is None else _import(row)

    async def take_over(
        self,
        *,
        store_id: str,
        import_id: str,
        claimed_by: str,
        now: datetime,
        lease_until: datetime,
    ) -> FileImport | None:
        """Claim an import whose lease is over; None if it is not, or another was quicker."""
        row = await self._pool.fetchrow(
            _TAKE_OVER, store_id, import_id, claimed_by, lease_until, now
        )
        return None if row is None else _import(row)

    async def renew(self, claim: FileImport, lease_until: datetime) -> bool:
        """Lengthen the lease; False if the import is no longer this claim's."""
        return await self._change(_RENEW, claim, lease_until)

    async def note_content(self, claim: FileImport, *, sha256: str, same_as: str | None) -> bool:
        """Note what the file holds, and which import took the same in before."""
        return await self._change(_NOTE_CONTENT, claim, sha256, same_as)

    async def note_summary(self, claim: FileImport, summary: ImportSummary) -> bool:
        """Note that all was taken in: from here on only the file is left to be moved."""
        return await self._change(_NOTE_SUMMARY, claim, _written(summary))

    async def finish(
        self, claim: FileImport, *, state: ImportState, now: datetime, moved_to: str | None
    ) -> bool:
        """Note what became of it; False if the import is no longer this claim's."""
        return await self._change(_FINISH, claim, state, now, moved_to)

    async def forget(self, claim: FileImport) -> bool:
        """Give up a claim whose file was not there, as if it had never been made."""
        return await self._change(_FORGET, claim)

    async def list_abandoned(self, now: datetime) -> list[tuple[str, str]]:
        """List store and id of the imports whose process gives no sign of life."""
        return [(row[0], row[1]) for row in await self._pool.fetch(_ABANDONED, now)]

    async def find(self, store_id: str, import_id: str) -> FileImport | None:
        """Find an import of a store."""
        row = await self._pool.fetchrow(_FIND, store_id, import_id)
        return None if row is None else _import(row)

    async def find_same(self, store_id: str, sha256: str, *, before: str) -> str | None:
        """Find the id of the last import of the same bytes before this one."""
        found: str | None = await self._pool.fetchval(_FIND_SAME, store_id, sha256, before)
        return found

    async def list_page(
        self, store_id: str, *, state: ImportState | None, after: str | None, limit: int
    ) -> list[FileImport]:
        """List imports, the latest first, after an id."""
        rows = await self._pool.fetch(_LIST, store_id, state, after, limit)
        return [_import(row) for row in rows]

    async def known_among(self, store_id: str, import_ids: Collection[str]) -> set[str]:
        """Say which of these imports are on record."""
        rows = await self._pool.fetch(
            "SELECT import_id FROM file_import WHERE store_id = $1 AND import_id = ANY($2)",
            store_id,
            list(import_ids),
        )
        return {row[0] for row in rows}

    async def _change(self, statement: str, claim: FileImport, *values: object) -> bool:
        status = await self._pool.execute(
            statement, claim.store_id, claim.import_id, claim.claimed_by, *values
        )
        return not status.endswith(" 0")


def _written(summary: ImportSummary) -> str:
    return msgspec.json.encode(summary).decode()


def _import(row: asyncpg.Record) -> FileImport:
    return FileImport(
        store_id=row["store_id"],
        import_id=row["import_id"],
        way=ImportWay(row["way"]),
        name=row["name"],
        size=row["size"],
        state=ImportState(row["state"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        sha256=row["sha256"],
        same_as=row["same_as"],
        claimed_by=row["claimed_by"],
        lease_until=row["lease_until"],
        attempts=row["attempts"],
        moved_to=row["moved_to"],
        summary=None if row["summary"] is None else summary_from(row["summary"]),
    )
