"""What lies beside the log: personal and unknown fields, each with the event that brought it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.db.engine import Pool
from app.domain.events.envelope import Kind

_FIELDS = """
    SELECT p.key, p.seq, e.type, e.source, e.event_id, p.fields
      FROM personal p
      JOIN event e ON e.store_id = p.store_id AND e.seq = p.seq
      LEFT JOIN LATERAL (
        SELECT max(r.occurred_at) AS at FROM event r
         WHERE r.store_id = e.store_id AND r.kind = e.kind AND r.key = e.key
           AND r.type = 'repair_order.snapshot_repeated'
           AND r.data ->> 'source' = e.source AND r.data ->> 'id' = e.event_id
      ) AS again ON e.type = 'repair_order.snapshot'
     WHERE p.store_id = $1 AND p.kind = $2 AND p.key = ANY($3)
     ORDER BY p.key, greatest(e.occurred_at, again.at), e.seq
"""


@dataclass(frozen=True, slots=True)
class Aside:
    """Personal and unknown fields that one event brought, nested like its data."""

    key: str
    seq: int
    type: str
    source: str
    id: str
    fields: dict[str, Any]


class PersonalRepository:
    """Personal fields, by subject."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list_of_subjects(
        self, store_id: str, kind: Kind, keys: Sequence[str]
    ) -> list[Aside]:
        """List what lies beside the events of the subjects, each subject's in order of time.

        A snapshot stands at the last time at which it is known to have been so again.

        What belongs to retracted events is among it: hiding it is the caller's (A22).
        """
        rows = await self._pool.fetch(_FIELDS, store_id, kind, list(keys))
        return [
            Aside(
                key=row["key"],
                seq=row["seq"],
                type=row["type"],
                source=row["source"],
                id=row["event_id"],
                fields=orjson.loads(row["fields"]),
            )
            for row in rows
        ]
