"""What waits in quarantine, as rows."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
import orjson
from uuid6 import uuid7

from app.db.engine import Pool
from app.db.feeds import tally_of_refused
from app.domain.errors import Fault
from app.domain.events.envelope import Reason
from app.domain.events.item import Item
from app.domain.quarantine import NO_STORE, QuarantinedItem, QuarantineFilter, QuarantineState

_COLUMNS = """
    store_id, quarantine_id, state, reason, errors, body, content_type, attributes, source,
    event_id, type, subject, received_at, last_seen_at, seen_count, seq, resolved_at,
    discard_reason
"""
_MOVE = """
    INSERT INTO quarantine AS q (store_id, quarantine_id, state, reason, errors, body, body_hash,
        content_type, attributes, source, event_id, type, subject, received_at, last_seen_at,
        seen_count)
    SELECT $3, quarantine_id, state, reason, errors, body, body_hash, content_type, attributes,
           source, event_id, type, subject, received_at, last_seen_at, seen_count
      FROM quarantine WHERE store_id = $1 AND quarantine_id = $2
    ON CONFLICT (store_id, body_hash) WHERE state = 'waiting' DO UPDATE SET
        seen_count = q.seen_count + excluded.seen_count, last_seen_at = excluded.last_seen_at
    RETURNING quarantine_id
"""
_decode_faults = msgspec.json.Decoder(list[Fault]).decode


QuarantineRow = dict[str, Any]
"""A quarantined item as `append_group.sql` reads it; values are JSON."""


def quarantine_row(
    item: Item,
    *,
    store_id: str,
    reason: Reason,
    faults: Iterable[Fault],
    source: str | None,
    event_id: str | None,
    event_type: str | None,
    subject: str | None,
    now: datetime,
) -> QuarantineRow:
    """Write an item as its row."""
    return {
        "store_id": store_id,
        "quarantine_id": str(uuid7()),
        "state": QuarantineState.WAITING,
        "reason": reason,
        "errors": [msgspec.to_builtins(fault) for fault in faults],
        "body": "\\x" + item.body.hex(),
        "body_hash": "\\x" + item.body_hash.hex(),
        "content_type": _storable(item.content_type),
        "attributes": {name: _storable(value) for name, value in item.attributes.items()},
        "source": source,
        "event_id": event_id,
        "type": event_type,
        "subject": subject,
        "target_source": None,
        "target_id": None,
        "received_at": now,
        "last_seen_at": now,
        "seen_count": 1,
    }


def add_row(rows: dict[tuple[str, bytes], QuarantineRow], row: QuarantineRow) -> bool:
    """Add a row to those of one write: the same bytes in the same store again only count.

    Returns:
        Whether it is a row of its own.
    """
    kept = rows.setdefault((row["store_id"], row["body_hash"]), row)
    if kept is not row:
        kept["seen_count"] += 1
    return kept is row


def _storable(text: str | None) -> str | None:
    """Take out of a header what the database can't hold; HTTP lets none of that through."""
    if text is None:
        return None
    return text.replace("\0", "").encode("utf-8", "replace").decode()


class QuarantineRepository:
    """Items in quarantine. Entering and leaving it for the log is the appender's."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, quarantine_id: str) -> QuarantinedItem | None:
        """Find an item by its id."""
        row = await self._pool.fetchrow(
            f"SELECT {_COLUMNS} FROM quarantine WHERE quarantine_id = $1", quarantine_id
        )
        return None if row is None else _item(row)

    async def list_page(
        self, wanted: QuarantineFilter, *, after: str | None, limit: int
    ) -> list[QuarantinedItem]:
        """List items, the oldest first (ids rise with time), after an id."""
        rows = await self._pool.fetch(
            f"""SELECT {_COLUMNS} FROM quarantine
                 WHERE ($1::text[] IS NULL OR store_id = ANY($1))
                   AND ($2::text IS NULL OR state = $2)
                   AND ($3::text IS NULL OR reason = $3)
                   AND ($4::text IS NULL OR source = $4)
                   AND ($5::text IS NULL OR type = $5)
                   AND ($6::text IS NULL OR quarantine_id > $6)
                 ORDER BY quarantine_id LIMIT $7""",
            None if wanted.stores is None else list(wanted.stores),
            wanted.state,
            wanted.reason,
            wanted.source,
            wanted.type,
            after,
            limit,
        )
        return [_item(row) for row in rows]

    async def put(self, rows: Iterable[QuarantineRow]) -> dict[tuple[str, bytes], str]:
        """Keep items; what waits already is counted as seen again (A12).

        Returns:
            The quarantine id of each, by (store, hash of its bytes).
        """
        document: dict[str, list[QuarantineRow]] = {"heads": [], "quarantine": list(rows)}
        tally_of_refused(document["quarantine"], no_store=NO_STORE).add_to(document)
        placed = await self._pool.fetch(
            "SELECT quarantine_store, item_hash, item_id FROM append_group($1)",
            orjson.dumps(document).decode(),
        )
        return {(store_id, item_hash): item_id for store_id, item_hash, item_id in placed}

    async def save_faults(
        self,
        store_id: str,
        quarantine_id: str,
        reason: Reason,
        faults: Iterable[Fault],
        *,
        now: datetime,
    ) -> None:
        """Note what is wrong with a waiting item now."""
        await self._pool.execute(
            """UPDATE quarantine SET reason = $3, errors = $4, last_seen_at = $5
                WHERE store_id = $1 AND quarantine_id = $2 AND state = 'waiting'""",
            store_id,
            quarantine_id,
            reason,
            msgspec.json.encode(list(faults)).decode(),
            now,
        )

    async def move(self, quarantine_id: str, *, to_store: str) -> str:
        """Let a waiting item of no store lie with a store; harmless if it waits no more.

        Returns:
            Its id there: an older one if the same bytes wait there already.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(
                """SELECT true FROM quarantine
                    WHERE store_id = $1 AND quarantine_id = $2 AND state = 'waiting' FOR UPDATE""",
                NO_STORE,
                quarantine_id,
            ):
                return quarantine_id
            moved: str = await connection.fetchval(_MOVE, NO_STORE, quarantine_id, to_store)
            await connection.execute(
                "DELETE FROM quarantine WHERE store_id = $1 AND quarantine_id = $2",
                NO_STORE,
                quarantine_id,
            )
        return moved

    async def discard(
        self, store_id: str, quarantine_id: str, *, reason: str, now: datetime
    ) -> bool:
        """Throw a waiting item away, with the reason; its bytes stay. False if none waits."""
        done = await self._pool.fetchval(
            """UPDATE quarantine SET state = 'discarded', discard_reason = $3, resolved_at = $4
                WHERE store_id = $1 AND quarantine_id = $2 AND state = 'waiting'
               RETURNING true""",
            store_id,
            quarantine_id,
            reason,
            now,
        )
        return done is True


def _item(row: asyncpg.Record) -> QuarantinedItem:
    return QuarantinedItem(
        store_id=row["store_id"] or None,
        quarantine_id=row["quarantine_id"],
        state=QuarantineState(row["state"]),
        reason=Reason(row["reason"]),
        faults=_decode_faults(row["errors"]),
        item=stored_item(row),
        source=row["source"],
        event_id=row["event_id"],
        type=row["type"],
        subject=row["subject"],
        received_at=row["received_at"],
        last_seen_at=row["last_seen_at"],
        seen_count=row["seen_count"],
        seq=row["seq"],
        resolved_at=row["resolved_at"],
        discard_reason=row["discard_reason"],
    )


def stored_item(row: asyncpg.Record) -> Item:
    """Read the item's own bytes, and how they were sent, from a row."""
    return Item(
        body=row["body"],
        content_type=row["content_type"],
        attributes=orjson.loads(row["attributes"] or "{}"),
    )
