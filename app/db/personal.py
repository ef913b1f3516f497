"""What lies beside the log: personal and unknown fields, each with the event that brought it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.db.engine import Pool
from app.domain.events.envelope import Kind

_FIELDS = """
    WITH again AS (
        SELECT key, data ->> 'source' AS source, data ->> 'id' AS id, max(occurred_at) AS at
          FROM event
         WHERE store_id = $1 AND kind = $2 AND key = ANY($3)
           AND type = 'repair_order.snapshot_repeated'
         GROUP BY store_id, key, data ->> 'source', data ->> 'id'
    )
    SELECT p.key, p.seq, e.type, e.source, e.event_id, p.fields
      FROM personal p
      JOIN event e ON e.store_id = p.store_id AND e.seq = p.seq
      LEFT JOIN again a ON a.key = e.key AND a.source = e.source AND a.id = e.event_id
                       AND e.type = 'repair_order.snapshot'
     WHERE p.store_id = $1 AND p.kind = $2 AND p.key = ANY($3)
     ORDER BY p.key, greatest(e.occurred_at, a.at), e.seq
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
