"""Items of the quarantine that come again, though they wait no more, or lie elsewhere by now.

Looked up for what was refused and for nothing else: what enters the log asks for none of it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from app.db.engine import Connection, Pool
from app.domain.quarantine import KnownItem, Place, QuarantineState, Sought

_FIND = """
    SELECT DISTINCT ON (r.position) r.position, k.way, k.store_id, k.quarantine_id, k.state, k.seq
      FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::boolean[]) WITH ORDINALITY
           AS r (store_id, body_hash, alike_hash, passes, position)
     CROSS JOIN LATERAL (
        SELECT 0 AS way, q.store_id, q.quarantine_id, q.state, q.seq FROM quarantine q
         WHERE q.store_id = r.store_id AND q.body_hash = r.body_hash AND q.state = 'waiting'
        UNION ALL
        SELECT 1, q.store_id, q.quarantine_id, q.state, q.seq FROM quarantine q
         WHERE q.store_id = r.store_id AND q.body_hash = r.body_hash AND q.state <> 'waiting'
        UNION ALL
        -- what was moved to the store that it was found to be of
        SELECT 2, q.store_id, q.quarantine_id, q.state, q.seq FROM quarantine q
         WHERE q.came_to = r.store_id AND q.body_hash = r.body_hash
        UNION ALL
        SELECT CASE q.state WHEN 'waiting' THEN 3 ELSE 4 END, q.store_id, q.quarantine_id,
               q.state, q.seq
          FROM quarantine q
         WHERE q.store_id = r.store_id AND q.alike_hash = r.alike_hash
     ) k
     WHERE NOT (r.passes AND k.state = 'discarded')
     ORDER BY r.position, k.way, k.quarantine_id DESC
"""
_WAITS_THERE = 0
"""The very bytes wait where they would lie again: keeping them counts them."""


class KnownItems:
    """Finds what is known of what was refused just now."""

    def __init__(self, connection: "Connection | Pool") -> None:
        self._connection = connection

    async def find(self, sought: Sequence[Sought]) -> list[KnownItem | None]:
        """Find the item that says the same as each of them, the latest if there are several.

        Returns:
            In their order; None for what is new, and for what waits with these very bytes where it
            would lie: that is found when it is kept.
        """
        rows = await self._connection.fetch(
            _FIND,
            [each.store_id for each in sought],
            [each.body_hash for each in sought],
            [each.alike_hash for each in sought],
            [each.passes for each in sought],
        )
        found: list[KnownItem | None] = [None] * len(sought)
        for position, way, store_id, quarantine_id, state, seq in rows:
            if way != _WAITS_THERE:
                found[position - 1] = KnownItem(
                    store_id, quarantine_id, QuarantineState(state), seq
                )
        return found


def again_rows(again: Mapping[Place, int], at: datetime) -> list[dict[str, Any]]:
    """Write how often known items came again, for `append_group.sql`."""
    return [
        {"store_id": store_id, "quarantine_id": quarantine_id, "times": times, "at": at}
        for (store_id, quarantine_id), times in again.items()
    ]
