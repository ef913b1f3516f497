"""The event log and the states written with it: the only module that touches the event table.

One stream per store (design, section 2): `(store_id, seq)` is gapless and rises in commit order,
because every append moves the store's head row from the seq that was read to the new one and is
refused (`StaleHeadError`) when another append got there first.

Reads and writes of a group of appends are a round trip each (`sql/read_group.sql`,
`sql/append_group.sql`). Nothing here decides anything: what is written comes in as rows.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
import orjson

from app.db.array_text import array_text
from app.db.engine import Connection
from app.db.quarantine import present_item
from app.db.state_rows import SubjectKey
from app.domain.events.envelope import Event, Kind
from app.domain.events.item import Item
from app.domain.events.stored import stored_event
from app.domain.fold import STATE_TYPES, State
from app.domain.subject import decode
from app.domain.webhooks import Notice

STALE_HEAD = "SL001"

_READ_GROUP = (
    "SELECT kind, store_id, key, number, hash, body FROM read_group($1::text::text[], "
    "$2::text::text[], $3::text::text[], $4::text::text[], $5::text::text[], $6::text::text[], "
    "$7::text::text[])"
)
# the document as bytes: what goes as text is first made a text, and then bytes again
_APPEND_GROUP = (
    "SELECT quarantine_store, item_hash, item_id"
    " FROM append_group(convert_from($1, 'UTF8')::jsonb)"
)
_LOCK_HEADS = """
    SELECT store_id FROM stream_head WHERE store_id = ANY($1)
     ORDER BY store_id COLLATE "C" FOR UPDATE
"""
_EVENT_COLUMNS = """
    store_id, seq, source, event_id, type, kind, key, subject, occurred_at, recorded_at,
    schema_version, correlation_id, causation_id, data, content_hash
"""
_READ_SUBJECTS = f"""
    SELECT {_EVENT_COLUMNS}
      FROM unnest($2::text[], $3::text[]) AS r (subject_kind, subject_key)
      JOIN event e ON e.store_id = $1 AND e.kind = r.subject_kind AND e.key = r.subject_key
     ORDER BY seq
"""
_READ_AFTER = f"""
    SELECT {_EVENT_COLUMNS} FROM event
     WHERE store_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""
_READ_SEQS = f"""
    SELECT {_EVENT_COLUMNS} FROM event
     WHERE store_id = $1 AND seq = ANY($2::bigint[]) ORDER BY seq
"""
_FEED_PART = """
     WHERE e.store_id = $1 AND e.seq > $2 AND e.seq <= $3
       AND ($4::text[] IS NULL OR e.type = ANY($4))
     ORDER BY e.seq LIMIT $5
"""
_READ_FEED = f"SELECT e.*, NULL AS fields FROM event e {_FEED_PART}"
_READ_FEED_WITH_ASIDES = f"""
    SELECT e.*, p.fields
      FROM event e LEFT JOIN personal p ON p.store_id = e.store_id AND p.seq = e.seq
    {_FEED_PART}
"""
_READ_HEADS = "SELECT store_id, seq FROM stream_head WHERE store_id = ANY($1)"
_READ_TOUCHED = """
    SELECT kind, key FROM event
     WHERE store_id = $1 AND seq > $2 AND seq <= $3 AND kind = ANY($4)
     GROUP BY store_id, kind, key
"""
_READ_ORDERS_NAMED = """
    SELECT data ->> 'ro_number' AS ro_number FROM event
     WHERE store_id = $1 AND kind = 'follow_up' AND key = ANY($2) AND data ? 'ro_number'
     GROUP BY store_id, 1
"""
_READ_STAFF_NAMED = """
    SELECT key, surrogate
      FROM event
     CROSS JOIN unnest($2::text[]) AS s (surrogate)
     WHERE store_id = $1 AND kind = 'staff'
       AND (data ->> 'name_key' = surrogate OR data -> 'alias_keys' ? surrogate)
     GROUP BY store_id, key, surrogate
"""
_LIST_KNOWN_AS = """
    SELECT staff_no FROM staff
     WHERE store_id = $1
       AND (jsonb_path_exists(state, '$.name_keys.* ? (@ == $key)', $2)
            OR jsonb_path_exists(state, '$.alias_keys.*[*] ? (@ == $key)', $2))
"""
_READ_HEADINGS = """
    SELECT seq, type, occurred_at, recorded_at FROM event
     WHERE store_id = $1 AND seq > $2 AND seq <= $3 AND type = ANY($4) ORDER BY seq
"""
_FIND_LATEST = """
    SELECT e.seq AS of_seq, latest.seq, latest.event_id
      FROM unnest($2::bigint[], $3::text[]) AS r (seq, type)
      JOIN event e ON e.store_id = $1 AND e.seq = r.seq
     CROSS JOIN LATERAL (
        SELECT o.seq, o.event_id FROM event o
         WHERE o.store_id = $1 AND o.kind = e.kind AND o.key = e.key AND o.type = r.type
           AND o.seq <= e.seq
         ORDER BY o.seq DESC LIMIT 1
     ) AS latest
"""
_FIND_TARGETS = """
    SELECT e.source, e.event_id, e.kind, e.key, e.subject, e.causation_id, e.correlation_id
      FROM unnest($2::text[], $3::text[]) AS r (source, event_id)
      JOIN event e ON e.store_id = $1 AND e.source = r.source AND e.event_id = r.event_id
"""
_WAITING = "state = 'waiting' AND reason = 'retraction-target-unknown'"
_WAITING_RETRACTIONS = f"""
    SELECT q.quarantine_id, q.body, q.content_type, q.attributes, q.corrections
      FROM unnest($2::text[], $3::text[]) AS r (source, event_id)
      JOIN quarantine q ON q.store_id = $1 AND q.target_source = r.source
                       AND q.target_id = r.event_id AND {_WAITING}
     ORDER BY q.quarantine_id
"""
_COUNT_WAITING_RETRACTIONS = f"""
    SELECT count(*) FROM quarantine
     WHERE store_id = $1 AND {_WAITING} AND quarantine_id <> ALL($2)
"""
_READ_REPEATS = """
    SELECT seq, last_at FROM snapshot_repeat WHERE store_id = $1 AND seq = ANY($2::bigint[])
"""
_FIND_ANSWER = """
    SELECT request_hash, status, body FROM idempotency
     WHERE store_id = $1 AND key = $2 AND principal = $3
"""


class StaleHeadError(Exception):
    """Another append moved the head of a store between the read and the write of this one."""


@dataclass(slots=True)
class Head:
    """The end of a store's stream: the last seq given out and when it was recorded."""

    seq: int
    recorded_at: datetime
    waiting_retractions: int


class _HeadBody(msgspec.Struct):
    recorded_at: datetime
    waiting_retractions: int


_decode_head = msgspec.json.Decoder(_HeadBody).decode


@dataclass(slots=True)
class GroupRead:
    """What `EventLog.read_group` found.

    Attributes:
        heads: By store; a store that is not there does not exist.
        identities: (seq, content hash) by position in the list of identities asked for.
        states: (version, state) by subject, those that came along included.
    """

    heads: dict[str, Head] = field(default_factory=dict)
    identities: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    states: dict[SubjectKey, tuple[int, State]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """The event that a retraction names, as far as the retraction must know it.

    Attributes:
        evidence: Id of the snapshot that it was read out of, if it was.
        evidence_source: Source of that snapshot, where it was kept.
    """

    source: str
    id: str
    kind: Kind
    key: str
    subject: str
    evidence: str | None = None
    evidence_source: str | None = None


@dataclass(frozen=True, slots=True)
class Heading:
    """What kind of event it is and when, without what it says."""

    seq: int
    type: str
    occurred_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class FeedPart:
    """An event as consumers of the log get it.

    Attributes:
        aside: JSON of what lies beside the log, where it was asked for and there is something.
    """

    seq: int
    kind: Kind
    key: str
    notice: Notice
    aside: str | None


class EventLog:
    """The log over one connection. Transactions belong to the caller."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def connection(self) -> Connection:
        """What it reads by, for what must be seen together with the log."""
        return self._connection

    async def forget_plans(self) -> None:
        """Let the server plan the statements of this connection anew."""
        await self._connection.execute("DISCARD PLANS")

    async def lock_heads(self, stores: Iterable[str]) -> None:
        """Take the head rows of `stores` until the transaction ends, in order of code."""
        await self._connection.fetch(_LOCK_HEADS, sorted(stores))

    async def read_group(
        self,
        stores: Iterable[str],
        identities: Sequence[tuple[str, str, str]],
        subjects: Iterable[SubjectKey],
    ) -> GroupRead:
        """Read heads, known identities (store, source, id) and states in one snapshot."""
        wanted = list(subjects)
        rows = await self._connection.fetch(
            _READ_GROUP,
            array_text(list(stores)),
            array_text([identity[0] for identity in identities]),
            array_text([identity[1] for identity in identities]),
            array_text([identity[2] for identity in identities]),
            array_text([kind for _, kind, _ in wanted]),
            array_text([store for store, _, _ in wanted]),
            array_text([key for _, _, key in wanted]),
        )
        read = GroupRead()
        for kind, store_id, key, number, content_hash, body in rows:
            if kind == "identity":
                read.identities[int(key) - 1] = (number, content_hash)
            elif kind == "head":
                head = _decode_head(body)
                read.heads[store_id] = Head(number, head.recorded_at, head.waiting_retractions)
            else:
                subject_kind = Kind(kind)
                subject = (store_id, subject_kind, key)
                if subject not in read.states:
                    read.states[subject] = (number, decode(STATE_TYPES[subject_kind], body))
        return read

    async def append_group(self, document: dict[str, Any]) -> dict[tuple[str, bytes], str]:
        """Write a group: heads by compare-and-set, and everything that goes with them.

        Args:
            document: Table name -> rows, each a mapping of column to JSON value (`orjson.Fragment`
                for ready JSON); `heads` has {store_id, expected, seq, recorded_at,
                waiting_retractions}; `resolved` has quarantined items that are done.

        Returns:
            The quarantine id of each quarantined item, by (store, hash of its bytes).

        Raises:
            StaleHeadError: A head moved; nothing was written.
        """
        try:
            rows = await self._connection.fetch(_APPEND_GROUP, orjson.dumps(document))
        except asyncpg.PostgresError as error:
            if error.sqlstate == STALE_HEAD:
                raise StaleHeadError(str(error)) from error
            raise
        return {(store_id, item_hash): item_id for store_id, item_hash, item_id in rows}

    async def read_subjects(
        self, store_id: str, subjects: Sequence[tuple[Kind, str]]
    ) -> dict[tuple[Kind, str], list[Event]]:
        """Read all events of the subjects, each list in seq order, retractions included."""
        rows = await self._connection.fetch(
            _READ_SUBJECTS,
            store_id,
            [kind for kind, _ in subjects],
            [key for _, key in subjects],
        )
        events: dict[tuple[Kind, str], list[Event]] = {subject: [] for subject in subjects}
        for row in rows:
            event = stored_event(row)
            events[event.kind, event.key].append(event)
        return events

    async def find_targets(
        self, store_id: str, identities: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], Target]:
        """Find the events that retractions name, by (source, id); the unknown ones are absent."""
        rows = await self._connection.fetch(
            _FIND_TARGETS,
            store_id,
            [source for source, _ in identities],
            [event_id for _, event_id in identities],
        )
        return {
            (row["source"], row["event_id"]): Target(
                source=row["source"],
                id=row["event_id"],
                kind=Kind(row["kind"]),
                key=row["key"],
                subject=row["subject"],
                evidence=row["causation_id"],
                evidence_source=row["correlation_id"],
            )
            for row in rows
        }

    async def read_repeats(self, store_id: str, seqs: Sequence[int]) -> dict[int, datetime]:
        """Read until when snapshots were sent again with nothing new, by seq of the snapshot."""
        rows = await self._connection.fetch(_READ_REPEATS, store_id, list(seqs))
        return {row["seq"]: row["last_at"] for row in rows}

    async def list_waiting_retractions(
        self, store_id: str, targets: Sequence[tuple[str, str]]
    ) -> list[tuple[str, Item]]:
        """List the retractions in quarantine that wait for these events: (quarantine id, item)."""
        rows = await self._connection.fetch(
            _WAITING_RETRACTIONS,
            store_id,
            [source for source, _ in targets],
            [event_id for _, event_id in targets],
        )
        return [(row["quarantine_id"], present_item(row)) for row in rows]

    async def count_waiting_retractions(self, store_id: str, without: Sequence[str]) -> int:
        """Count the retractions of the store that wait, but for those `without`."""
        count: int = await self._connection.fetchval(
            _COUNT_WAITING_RETRACTIONS, store_id, list(without)
        )
        return count

    async def find_answer(
        self, store_id: str, key: str, principal: str
    ) -> tuple[bytes, int, bytes] | None:
        """Find the answer kept under an Idempotency-Key: (request hash, status, body)."""
        row = await self._connection.fetchrow(_FIND_ANSWER, store_id, key, principal)
        return None if row is None else (row["request_hash"], row["status"], row["body"])

    async def read_after(self, store_id: str, seq: int, limit: int) -> list[Event]:
        """Read up to `limit` events after `seq`, in seq order. None are missing in between."""
        rows = await self._connection.fetch(_READ_AFTER, store_id, seq, limit)
        return [stored_event(row) for row in rows]

    async def read_seqs(self, store_id: str, seqs: Sequence[int]) -> list[Event]:
        """Read the events with these seqs, in seq order."""
        return [
            stored_event(row)
            for row in await self._connection.fetch(_READ_SEQS, store_id, list(seqs))
        ]

    async def read_touched(
        self, store_id: str, *, after: int, until: int, kinds: Collection[Kind]
    ) -> list[tuple[Kind, str]]:
        """Read the subjects (kind, key) of these kinds that have events in (after, until]."""
        rows = await self._connection.fetch(_READ_TOUCHED, store_id, after, until, list(kinds))
        return [(Kind(row["kind"]), row["key"]) for row in rows]

    async def read_orders_named(self, store_id: str, follow_ups: Collection[str]) -> list[str]:
        """Read every repair order that an event of one of these follow-ups ever named."""
        rows = await self._connection.fetch(_READ_ORDERS_NAMED, store_id, list(follow_ups))
        return [row["ro_number"] for row in rows]

    async def read_staff_named(
        self, store_id: str, surrogates: Collection[str]
    ) -> list[tuple[str, str]]:
        """Read (staff number, surrogate) of all whom a registration ever gave these."""
        rows = await self._connection.fetch(_READ_STAFF_NAMED, store_id, list(surrogates))
        return [(row["key"], row["surrogate"]) for row in rows]

    async def list_known_as(self, store_id: str, surrogate: str) -> list[str]:
        """List the staff numbers of all whose name or alias it is."""
        names = orjson.dumps({"key": surrogate}).decode()
        rows = await self._connection.fetch(_LIST_KNOWN_AS, store_id, names)
        return [row["staff_no"] for row in rows]

    async def read_headings(
        self, store_id: str, *, after: int, upto: int, types: Collection[str]
    ) -> list[Heading]:
        """Read the headings of the events of some types in (after, upto], in seq order."""
        rows = await self._connection.fetch(_READ_HEADINGS, store_id, after, upto, list(types))
        return [Heading(**row) for row in rows]

    async def read_notices(self, store_id: str, seqs: Collection[int]) -> dict[int, Notice]:
        """Read the events with these seqs as webhooks send them, by seq."""
        rows = await self._connection.fetch(_READ_SEQS, store_id, list(seqs))
        return {row["seq"]: _notice(row) for row in rows}

    async def read_heads(self, stores: Collection[str]) -> dict[str, int]:
        """Read the last seq of each of the stores that exist."""
        rows = await self._connection.fetch(_READ_HEADS, list(stores))
        return {row["store_id"]: row["seq"] for row in rows}

    async def read_feed(
        self,
        store_id: str,
        *,
        after: int,
        upto: int,
        types: Collection[str] | None,
        limit: int,
        personal: bool,
    ) -> list[FeedPart]:
        """Read events with a seq in (after, upto] as consumers get them, in seq order.

        Args:
            store_id: The store.
            after: Where to begin.
            upto: Where to end; not beyond the head, as it was read before.
            types: Only these; None is all.
            limit: How many.
            personal: With what lies beside the log.
        """
        rows = await self._connection.fetch(
            _READ_FEED_WITH_ASIDES if personal else _READ_FEED,
            store_id,
            after,
            upto,
            None if types is None else list(types),
            limit,
        )
        return [
            FeedPart(row["seq"], Kind(row["kind"]), row["key"], _notice(row), row["fields"])
            for row in rows
        ]

    async def find_latest(
        self, store_id: str, wanted: Mapping[int, str]
    ) -> dict[int, tuple[int, str]]:
        """Find, for each event, the latest event of a type about the same subject.

        Args:
            store_id: Of all of them.
            wanted: seq of an event -> the type looked for, up to that event and with it.

        Returns:
            (seq, id) of what was found, by the seq asked for.
        """
        rows = await self._connection.fetch(
            _FIND_LATEST, store_id, list(wanted), list(wanted.values())
        )
        return {of_seq: (seq, event_id) for of_seq, seq, event_id in rows}


def _notice(row: asyncpg.Record) -> Notice:
    return Notice(
        store_id=row["store_id"],
        seq=row["seq"],
        source=row["source"],
        id=row["event_id"],
        type=row["type"],
        subject=row["subject"],
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        schema_version=row["schema_version"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        data=row["data"].encode(),
    )
