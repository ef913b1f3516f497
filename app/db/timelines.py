"""Timelines: the events of several subjects that belong together, the latest first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from app.db.customer_numbers import list_numbers
from app.db.engine import Pool
from app.domain.events.envelope import INFERRED_SOURCE, OWN_SOURCE, Event, Kind
from app.domain.events.stored import stored_event

_OF_ORDER = """
    SELECT 'repair_order' AS kind, $2::text AS key
    UNION ALL
    SELECT 'follow_up', follow_up_id FROM follow_up WHERE store_id = $1 AND ro_number = $2
    UNION ALL
    SELECT 'complaint', complaint_id FROM complaint WHERE store_id = $1 AND ro_number = $2
"""
_OF_CUSTOMER = """
    SELECT 'customer' AS kind, key FROM unnest($2::text[]) AS numbers (key)
    UNION ALL
    SELECT 'vehicle', vin FROM vehicle WHERE store_id = $1 AND customer_no = ANY($2)
    UNION ALL
    SELECT 'repair_order', ro_number FROM repair_order
     WHERE store_id = $1 AND customer_no = ANY($2)
    UNION
    SELECT 'follow_up', f.follow_up_id
      FROM follow_up f
      JOIN repair_order o ON o.store_id = f.store_id AND o.ro_number = f.ro_number
     WHERE o.store_id = $1 AND o.customer_no = ANY($2)
    UNION
    SELECT 'follow_up', follow_up_id FROM follow_up WHERE store_id = $1 AND customer_no = ANY($2)
    UNION
    SELECT 'complaint', c.complaint_id
      FROM complaint c
      JOIN repair_order o ON o.store_id = c.store_id AND o.ro_number = c.ro_number
     WHERE o.store_id = $1 AND o.customer_no = ANY($2) AND c.customer_no IS NULL
    UNION
    SELECT 'complaint', complaint_id FROM complaint WHERE store_id = $1 AND customer_no = ANY($2)
"""
_PAGE = """
    SELECT e.seq, e.type, e.source, e.event_id, e.kind, e.key, e.subject, e.occurred_at,
           e.recorded_at, e.causation_id, e.correlation_id, e.data, p.fields
      FROM ({subjects}) AS s
      JOIN event e ON e.store_id = $1 AND e.kind = s.kind AND e.key = s.key
      LEFT JOIN personal p ON p.store_id = e.store_id AND p.seq = e.seq
     WHERE $3::timestamptz IS NULL OR (e.occurred_at, e.seq) < ($3, $4::bigint)
     ORDER BY e.occurred_at DESC, e.seq DESC LIMIT $5
"""
_BY_IDENTITY = """
    SELECT e.seq, e.type, e.source, e.event_id, e.kind, e.key, e.subject, e.occurred_at,
           e.recorded_at, e.causation_id, e.correlation_id, e.data, p.fields
      FROM event e
      LEFT JOIN personal p ON p.store_id = e.store_id AND p.seq = e.seq
     WHERE e.store_id = $1 AND e.source = $2 AND e.event_id = $3
"""
_RETRACTIONS = """
    SELECT store_id, seq, source, event_id, type, kind, key, subject, occurred_at, recorded_at,
           schema_version, correlation_id, causation_id, data, content_hash
      FROM unnest($2::text[], $3::text[]) AS r (subject_kind, subject_key)
      JOIN event e ON e.store_id = $1 AND e.kind = r.subject_kind AND e.key = r.subject_key
     WHERE e.type = 'event.retracted'
"""


_SNAPSHOTS = """
    SELECT e.key, e.seq, e.event_id AS id, e.source, e.occurred_at AS at,
           coalesce(e.data ->> 'source', e.source) AS of_source,
           coalesce(e.data ->> 'id', e.event_id) AS of_id
      FROM unnest($2::text[]) AS r (ro_number)
      JOIN event e ON e.store_id = $1 AND e.kind = 'repair_order' AND e.key = r.ro_number
     WHERE e.type IN ('repair_order.snapshot', 'repair_order.snapshot_repeated')
     ORDER BY e.key, e.occurred_at, e.seq
"""
_INFERRED = """
    SELECT e.key, e.seq, e.source, e.event_id AS id, e.type, e.occurred_at AS at, e.causation_id,
           e.correlation_id
      FROM unnest($2::text[]) AS r (ro_number)
      JOIN event e ON e.store_id = $1 AND e.kind = 'repair_order' AND e.key = r.ro_number
     WHERE e.source = $3 AND e.type <> 'event.retracted'
     ORDER BY e.key, e.occurred_at, e.seq
"""


@dataclass(frozen=True, slots=True)
class ShownSnapshot:
    """A snapshot of an order, or the word that it was so again.

    Attributes:
        of_source: Source of the snapshot itself.
        of_id: Likewise.
    """

    key: str
    seq: int
    id: str
    source: str
    at: datetime
    of_source: str
    of_id: str


@dataclass(frozen=True, slots=True)
class InferredEvent:
    """The heading of an event that was read out of a snapshot.

    Attributes:
        causation_id: Id of that snapshot.
        correlation_id: Its source; None where an older version did not keep it.
    """

    key: str
    seq: int
    source: str
    id: str
    type: str
    at: datetime
    causation_id: str
    correlation_id: str | None


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event as people read it: its data, and what lies beside the log.

    Attributes:
        data: Of the log: nothing personal.
        aside: Personal and unknown fields, nested like the data; empty if there are none.
        causation_id: Of what was read out of a snapshot: the id of that snapshot.
        correlation_id: Likewise its source; None where an older version did not keep it.
    """

    seq: int
    type: str
    source: str
    id: str
    kind: Kind
    key: str
    subject: str
    occurred_at: datetime
    recorded_at: datetime
    data: dict[str, Any]
    aside: dict[str, Any]
    causation_id: str | None = None
    correlation_id: str | None = None

    @property
    def own(self) -> bool:
        """Whether the service wrote it by itself."""
        return self.source == OWN_SOURCE

    @property
    def inferred(self) -> bool:
        """Whether the service read it out of a snapshot."""
        return self.source == INFERRED_SOURCE and self.type != "event.retracted"


class TimelineRepository:
    """Reads timelines from the log."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list_of_repair_order(
        self, store_id: str, ro_number: str, *, after: tuple[datetime, int] | None, limit: int
    ) -> list[LoggedEvent]:
        """List the events of an order, its follow-ups and its complaints, the latest first."""
        return await self._list(_OF_ORDER, store_id, ro_number, after=after, limit=limit)

    async def list_of_customer(
        self, store_id: str, customer_no: str, *, after: tuple[datetime, int] | None, limit: int
    ) -> list[LoggedEvent]:
        """List the events of all that belongs to a customer, the latest first.

        Mergers count: any of the customer's numbers finds all.
        """
        numbers = await list_numbers(self._pool, store_id, customer_no)
        return await self._list(_OF_CUSTOMER, store_id, numbers, after=after, limit=limit)

    async def find(self, store_id: str, source: str, event_id: str) -> LoggedEvent | None:
        """Find an event by its identity."""
        row = await self._pool.fetchrow(_BY_IDENTITY, store_id, source, event_id)
        return None if row is None else _logged(row)

    async def list_retractions(
        self, store_id: str, subjects: Iterable[tuple[Kind, str]]
    ) -> list[Event]:
        """List the retractions that aim at events of the subjects."""
        wanted = list(subjects)
        rows = await self._pool.fetch(
            _RETRACTIONS, store_id, [kind for kind, _ in wanted], [key for _, key in wanted]
        )
        return [stored_event(row) for row in rows]

    async def list_snapshots(
        self, store_id: str, ro_numbers: Iterable[str]
    ) -> list[ShownSnapshot]:
        """List the snapshots of orders, each order's in order of time, retracted ones too."""
        rows = await self._pool.fetch(_SNAPSHOTS, store_id, sorted(ro_numbers))
        return [ShownSnapshot(**row) for row in rows]

    async def list_inferred(self, store_id: str, ro_numbers: Iterable[str]) -> list[InferredEvent]:
        """List what was read out of snapshots of orders, in order of time, retracted ones too."""
        rows = await self._pool.fetch(_INFERRED, store_id, sorted(ro_numbers), INFERRED_SOURCE)
        return [InferredEvent(**row) for row in rows]

    async def _list(
        self,
        subjects: str,
        store_id: str,
        key: str | list[str],
        *,
        after: tuple[datetime, int] | None,
        limit: int,
    ) -> list[LoggedEvent]:
        rows: Sequence[Any] = await self._pool.fetch(
            _PAGE.format(subjects=subjects), store_id, key, *(after or (None, None)), limit
        )
        return [_logged(row) for row in rows]


def _logged(row: asyncpg.Record) -> LoggedEvent:
    return LoggedEvent(
        seq=row["seq"],
        type=row["type"],
        source=row["source"],
        id=row["event_id"],
        kind=Kind(row["kind"]),
        key=row["key"],
        subject=row["subject"],
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        data=orjson.loads(row["data"]),
        aside=orjson.loads(row["fields"] or "{}"),
        causation_id=row["causation_id"],
        correlation_id=row["correlation_id"],
    )
