"""What waits in quarantine, as rows."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
import orjson
from uuid6 import uuid7

from app.db.engine import Pool
from app.db.feeds import FeedTally
from app.db.known_items import again_rows
from app.domain.errors import Fault
from app.domain.events.envelope import Reason
from app.domain.events.item import Item
from app.domain.quarantine import (
    Actor,
    Correction,
    CountBy,
    Place,
    QuarantineCount,
    QuarantinedItem,
    QuarantineFilter,
    QuarantineState,
    Waiting,
    corrected,
)

_COLUMNS = """
    store_id, quarantine_id, state, reason, errors, body, content_type, attributes, source,
    event_id, type, subject, received_at, last_seen_at, seen_count, seq, resolved_at,
    discard_reason, resolved_by, corrections, again_count, again_at
"""
MATCHES = """
        ($1::text[] IS NULL OR store_id = ANY($1))
    AND ($2::text IS NULL OR state = $2)
    AND ($3::text IS NULL OR reason = $3)
    AND ($4::text IS NULL OR source = $4)
    AND ($5::text IS NULL OR type = $5)
    AND ($6::text IS NULL OR subject = $6)
    AND ($7::timestamptz IS NULL OR received_at >= $7)
    AND ($8::timestamptz IS NULL OR received_at < $8)
    AND ($9::text IS NULL OR EXISTS (
        SELECT FROM jsonb_array_elements(errors) AS e
         WHERE strpos(lower(e ->> 'code'), lower($9)) > 0
            OR strpos(lower(e ->> 'pointer'), lower($9)) > 0))
    AND ($10::text IS NULL OR awaits_store = $10)
"""
"""What a filter asks for; its parameters are those of `matching`."""

_LOCK_MOVING = """
    SELECT quarantine_id, body_hash FROM quarantine
     WHERE store_id = $1 AND quarantine_id = ANY($2) AND state = 'waiting'
     ORDER BY body_hash FOR UPDATE
"""
_MOVE = """
    INSERT INTO quarantine AS q (store_id, quarantine_id, state, reason, errors, body, body_hash,
        content_type, attributes, source, event_id, type, subject, target_source, target_id,
        received_at, last_seen_at, seen_count, corrections, awaits_store, run_id, alike_hash,
        came_to)
    SELECT $3, quarantine_id, state, reason, errors, body, body_hash, content_type, attributes,
           source, event_id, type, subject, target_source, target_id, received_at, last_seen_at,
           seen_count, corrections, awaits_store, run_id, alike_hash, coalesce(came_to, $1)
      FROM quarantine WHERE store_id = $1 AND quarantine_id = ANY($2) ORDER BY body_hash
    ON CONFLICT (store_id, body_hash) WHERE state = 'waiting' DO UPDATE SET
        seen_count = q.seen_count + excluded.seen_count, last_seen_at = excluded.last_seen_at,
        corrections = coalesce(q.corrections || excluded.corrections, q.corrections,
                               excluded.corrections),
        came_to = coalesce(q.came_to, excluded.came_to)
    RETURNING body_hash, quarantine_id
"""
_COUNTS = """
    SELECT {columns}, count(*)::bigint AS items, sum(seen_count - 1)::bigint AS repeats,
           min(received_at) AS oldest, max(received_at) AS newest
      FROM quarantine WHERE {matches}
     GROUP BY {columns} ORDER BY items DESC, {columns} LIMIT $11
"""
_WAITING = """
    SELECT store_id, reason, count(*)::bigint AS waiting, min(received_at) AS oldest
      FROM quarantine
     WHERE state = 'waiting' GROUP BY store_id, reason ORDER BY store_id, reason
"""
_COUNT_COLUMNS = {
    CountBy.STORE: "store_id",
    CountBy.REASON: "reason",
    CountBy.SOURCE: "source",
    CountBy.TYPE: "type",
}
_HELD = """
    WITH named AS ({named}), held AS (
        -- everybody takes items in this order, as the inserts of append_group.sql do
        SELECT q.store_id, q.quarantine_id FROM named r
          JOIN quarantine q ON q.store_id = r.store_id AND q.quarantine_id = r.quarantine_id
         WHERE q.state = 'waiting' ORDER BY q.store_id, q.body_hash FOR UPDATE OF q
    )
"""
_REFUSED = """
    SELECT * FROM jsonb_to_recordset($1::jsonb)
        AS r (store_id text, quarantine_id text, reason text, errors jsonb, awaits_store text)
"""
_SAVE_FAULTS = f"""
    {_HELD.format(named=_REFUSED)}
    UPDATE quarantine q
       SET reason = r.reason, errors = r.errors, awaits_store = r.awaits_store,
           last_seen_at = $2, run_id = coalesce($3, q.run_id)
      FROM held JOIN named r USING (store_id, quarantine_id)
     WHERE q.store_id = held.store_id AND q.quarantine_id = held.quarantine_id
"""
_PLACES = "SELECT * FROM unnest($1::text[], $2::text[]) AS r (store_id, quarantine_id)"
_LEAVE = f"""
    {_HELD.format(named=_PLACES)}
    UPDATE quarantine q SET last_seen_at = $3, run_id = $4 FROM held
     WHERE q.store_id = held.store_id AND q.quarantine_id = held.quarantine_id
"""
_MADE = """
    SELECT * FROM jsonb_to_recordset($1::jsonb)
        AS r (store_id text, quarantine_id text, correction jsonb)
"""
_ADD_CORRECTIONS = f"""
    {_HELD.format(named=_MADE)}
    UPDATE quarantine q
       SET corrections = coalesce(q.corrections, '[]'::jsonb) || jsonb_build_array(r.correction)
      FROM held JOIN named r USING (store_id, quarantine_id)
     WHERE q.store_id = held.store_id AND q.quarantine_id = held.quarantine_id
"""
_OF_STORE = "SELECT $1::text AS store_id, unnest($2::text[]) AS quarantine_id"
_DISCARD = f"""
    {_HELD.format(named=_OF_STORE)}
    UPDATE quarantine q
       SET state = 'discarded', discard_reason = $3, resolved_at = $4, resolved_by = $5,
           run_id = coalesce($6, q.run_id)
      FROM held
     WHERE q.store_id = held.store_id AND q.quarantine_id = held.quarantine_id
"""
_COUNT_RETRACTION = """
    UPDATE stream_head h SET waiting_retractions = h.waiting_retractions + 1
      FROM quarantine q
     WHERE h.store_id = $1 AND q.store_id = $1 AND q.quarantine_id = $2
       AND q.reason = 'retraction-target-unknown'
"""
_REOPEN = """
    UPDATE quarantine
       SET state = 'waiting', discard_reason = NULL, resolved_at = NULL, resolved_by = NULL
     WHERE store_id = $1 AND quarantine_id = $2 AND state = 'discarded'
    RETURNING true
"""
_decode_faults = msgspec.json.Decoder(list[Fault]).decode
_decode_corrections = msgspec.json.Decoder(list[Correction]).decode
_decode_actor = msgspec.json.Decoder(Actor).decode


@dataclass(frozen=True, slots=True)
class FoundAgain:
    """What is wrong with an item that was read again.

    Attributes:
        awaits_store: The store that is to be made first.
    """

    place: Place
    reason: Reason
    faults: Sequence[Fault]
    awaits_store: str | None


def matching(wanted: QuarantineFilter) -> list[Any]:
    """The parameters $1 to $10 of what a filter asks for."""
    return [
        None if wanted.stores is None else list(wanted.stores),
        wanted.state,
        wanted.reason,
        wanted.source,
        wanted.type,
        wanted.subject,
        wanted.received_from,
        wanted.received_until,
        wanted.fault,
        wanted.awaits_store,
    ]


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
    awaits_store: str | None = None,
) -> QuarantineRow:
    """Write an item as its row; `awaits_store` is the store that is to be made first."""
    return {
        "store_id": store_id,
        "quarantine_id": str(uuid7()),
        "state": QuarantineState.WAITING,
        "reason": reason,
        "errors": [msgspec.to_builtins(fault) for fault in faults],
        "body": "\\x" + item.body.hex(),
        "body_hash": "\\x" + item.body_hash.hex(),
        "alike_hash": None if item.alike_hash is None else "\\x" + item.alike_hash.hex(),
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
        "awaits_store": awaits_store,
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
        self,
        wanted: QuarantineFilter,
        *,
        after: str | None,
        limit: int,
        until: str | None = None,
        not_of_run: str | None = None,
    ) -> list[QuarantinedItem]:
        """List items, the oldest first (ids rise with time), after an id.

        Args:
            wanted: Which.
            after: Exclusive; None begins anew.
            limit: Most items.
            until: The last id that is looked at, None: all.
            not_of_run: Leave out what this run has handled already.
        """
        rows = await self._pool.fetch(
            f"""SELECT {_COLUMNS} FROM quarantine
                 WHERE {MATCHES}
                   AND ($11::text IS NULL OR quarantine_id > $11)
                   AND ($12::text IS NULL OR quarantine_id <= $12)
                   AND ($13::text IS NULL OR run_id IS DISTINCT FROM $13)
                 ORDER BY quarantine_id LIMIT $14""",
            *matching(wanted),
            after,
            until,
            not_of_run,
            limit,
        )
        return [_item(row) for row in rows]

    async def count(
        self, wanted: QuarantineFilter, *, by: Collection[CountBy], limit: int
    ) -> list[QuarantineCount]:
        """Count items by what they have in common, the most first.

        Args:
            wanted: Which.
            by: What they are told apart by; at least one.
            limit: Most counts.
        """
        columns = ", ".join(_COUNT_COLUMNS[each] for each in CountBy if each in by)
        rows = await self._pool.fetch(
            _COUNTS.format(columns=columns, matches=MATCHES), *matching(wanted), limit
        )
        return [
            QuarantineCount(
                store_id=row.get("store_id"),
                reason=None if row.get("reason") is None else Reason(row["reason"]),
                source=row.get("source"),
                type=row.get("type"),
                items=row["items"],
                repeats=row["repeats"],
                oldest_received_at=row["oldest"],
                newest_received_at=row["newest"],
            )
            for row in rows
        ]

    async def list_waiting(self) -> list[Waiting]:
        """List what waits, by store and reason: how much, and since when."""
        rows = await self._pool.fetch(_WAITING)
        return [
            Waiting(row["store_id"], Reason(row["reason"]), row["waiting"], row["oldest"])
            for row in rows
        ]

    async def put(
        self,
        rows: Iterable[QuarantineRow],
        again: Mapping[Place, int],
        tally: FeedTally,
        *,
        now: datetime,
    ) -> dict[tuple[str, bytes], str]:
        """Keep items; what waits already is counted as seen again (A12).

        Args:
            rows: What is new, or waits with these very bytes.
            again: Known items -> how often they came again.
            tally: What was received of whom.
            now: When it came.

        Returns:
            The quarantine id of each of the rows, by (store, hash of its bytes).
        """
        document: dict[str, list[QuarantineRow]] = {"heads": [], "quarantine": list(rows)}
        if again:
            document["seen_again"] = again_rows(again, now)
        tally.add_to(document)
        placed = await self._pool.fetch(
            "SELECT quarantine_store, item_hash, item_id FROM append_group($1)",
            orjson.dumps(document).decode(),
        )
        return {(store_id, item_hash): item_id for store_id, item_hash, item_id in placed}

    async def save_faults(
        self,
        found: Iterable[FoundAgain],
        *,
        now: datetime,
        run_id: str | None = None,
    ) -> None:
        """Note what is wrong with waiting items now."""
        rows = [
            {
                "store_id": each.place[0],
                "quarantine_id": each.place[1],
                "reason": each.reason,
                "errors": [msgspec.to_builtins(fault) for fault in each.faults],
                "awaits_store": each.awaits_store,
            }
            for each in found
        ]
        await self._pool.execute(_SAVE_FAULTS, orjson.dumps(rows).decode(), now, run_id)

    async def leave(self, places: Collection[Place], *, now: datetime, run_id: str) -> None:
        """Note that a run has looked at waiting items, which stay as they are."""
        await self._pool.execute(
            _LEAVE,
            [store_id for store_id, _ in places],
            [quarantine_id for _, quarantine_id in places],
            now,
            run_id,
        )

    async def add_corrections(self, made: Iterable[tuple[Place, Correction]]) -> None:
        """Keep what somebody made of waiting items, behind what was made of them before."""
        rows = [
            {
                "store_id": store_id,
                "quarantine_id": quarantine_id,
                "correction": msgspec.to_builtins(correction),
            }
            for (store_id, quarantine_id), correction in made
        ]
        await self._pool.execute(_ADD_CORRECTIONS, orjson.dumps(rows).decode())

    async def move(
        self, quarantine_ids: Collection[str], *, from_store: str, to_store: str
    ) -> dict[str, str]:
        """Let waiting items lie with another store; harmless to those that wait no more.

        Returns:
            Their ids there by the old ones: that of an older item if the same bytes wait there
            already. What waits no more is missing.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            held = await connection.fetch(_LOCK_MOVING, from_store, list(quarantine_ids))
            ids = [row["quarantine_id"] for row in held]
            placed = {
                row["body_hash"]: row["quarantine_id"]
                for row in await connection.fetch(_MOVE, from_store, ids, to_store)
            }
            await connection.execute(
                "DELETE FROM quarantine WHERE store_id = $1 AND quarantine_id = ANY($2)",
                from_store,
                ids,
            )
        return {row["quarantine_id"]: placed[row["body_hash"]] for row in held}

    async def discard(
        self,
        store_id: str,
        quarantine_ids: Collection[str],
        *,
        reason: str,
        by: Actor,
        now: datetime,
        run_id: str | None = None,
    ) -> int:
        """Throw waiting items away, with the reason; their bytes stay. Returns how many waited."""
        status = await self._pool.execute(
            _DISCARD,
            store_id,
            list(quarantine_ids),
            reason,
            now,
            msgspec.json.encode(by).decode(),
            run_id,
        )
        return int(status.rpartition(" ")[2])

    async def reopen(self, store_id: str, quarantine_id: str) -> bool:
        """Let a discarded item wait again; not if it is none, or if the same bytes wait anew."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                # the head goes first, and counts rather too many than too few
                await connection.execute(_COUNT_RETRACTION, store_id, quarantine_id)
                done = await connection.fetchval(_REOPEN, store_id, quarantine_id)
        except asyncpg.UniqueViolationError:
            return False
        return bool(done)


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
        resolved_by=None if row["resolved_by"] is None else _decode_actor(row["resolved_by"]),
        corrections=_corrections(row),
        again_count=row["again_count"],
        again_at=row["again_at"],
    )


def _corrections(row: asyncpg.Record) -> list[Correction]:
    return [] if row["corrections"] is None else _decode_corrections(row["corrections"])


def present_item(row: asyncpg.Record) -> Item:
    """Read an item as a replay sends it in: as it was corrected last, else as it was sent."""
    corrections = _corrections(row)
    return corrected(corrections[-1].event) if corrections else stored_item(row)


def stored_item(row: asyncpg.Record) -> Item:
    """Read the item's own bytes, and how they were sent, from a row."""
    return Item(
        body=row["body"],
        content_type=row["content_type"],
        attributes=orjson.loads(row["attributes"] or "{}"),
    )
