"""Whom the states of a store name by surrogate, and the names as somebody sent them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from app.db.engine import Pool
from app.db.judged_states import JudgedStates
from app.domain.events.envelope import Kind
from app.domain.mentions import KnownNames

_UNRESOLVED = """
    WITH named AS (
        SELECT surrogate, kind, key, min(first_seen_at) AS first_seen_at,
               max(last_seen_at) AS last_seen_at
          FROM staff_mention
         WHERE store_id = $1 AND surrogate <> ALL($2)
         GROUP BY store_id, surrogate, kind, key
    ), shown AS (
        SELECT surrogate, count(*) AS subjects, min(first_seen_at) AS first_seen_at,
               max(last_seen_at) AS last_seen_at
          FROM named
         GROUP BY surrogate
        HAVING $3::bigint IS NULL OR (-count(*), surrogate) > (-$3, $4::text)
         ORDER BY subjects DESC, surrogate LIMIT $5
    )
    SELECT s.surrogate, s.subjects, s.first_seen_at, s.last_seen_at,
           ARRAY(SELECT role FROM staff_mention m
                  WHERE m.store_id = $1 AND m.surrogate = s.surrogate
                  GROUP BY m.store_id, role ORDER BY role) AS roles
      FROM shown s
     ORDER BY s.subjects DESC, s.surrogate
"""
_WHERE_NAMED = """
    SELECT s.surrogate, m.kind, m.key
      FROM unnest($2::text[]) AS s (surrogate)
     CROSS JOIN LATERAL (
        SELECT kind, key FROM staff_mention
         WHERE store_id = $1 AND surrogate = s.surrogate
         ORDER BY last_seen_at DESC LIMIT $3
     ) AS m
"""
_AS_SENT = """
    SELECT e.kind, e.key, e.source, e.event_id, e.data, p.fields
      FROM unnest($2::text[], $3::text[]) AS r (subject_kind, subject_key)
      JOIN event e ON e.store_id = $1 AND e.kind = r.subject_kind AND e.key = r.subject_key
      JOIN personal p ON p.store_id = e.store_id AND p.seq = e.seq
     ORDER BY e.seq
"""


@dataclass(frozen=True, slots=True)
class NamedOften:
    """A surrogate, and where it is.

    Attributes:
        roles: As what it is named, in order of the alphabet.
        subjects: How many orders, follow-ups and complaints name it.
    """

    surrogate: str
    roles: list[str]
    subjects: int
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class SentEvent:
    """An event with what lies beside it."""

    kind: Kind
    key: str
    source: str
    id: str
    data: dict[str, Any]
    aside: dict[str, Any]


class NameRepository:
    """Reads whom the states name. Writing that is the appender's."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get_known(self, store_id: str) -> KnownNames:
        """Get whom the store's surrogates stand for."""
        async with self._pool.acquire() as connection:
            return await JudgedStates(connection).get_names(store_id)

    async def list_named(
        self,
        store_id: str,
        *,
        without: Collection[str],
        after: tuple[int, str] | None,
        limit: int,
    ) -> list[NamedOften]:
        """List surrogates that states name, the most frequent first.

        Args:
            store_id: The store.
            without: Surrogates that are left out.
            after: (subjects, surrogate) of the last one already seen.
            limit: Most of them.
        """
        subjects, surrogate = after or (None, None)
        rows = await self._pool.fetch(
            _UNRESOLVED, store_id, list(without), subjects, surrogate, limit
        )
        return [NamedOften(**row) for row in rows]

    async def list_subjects_naming(
        self, store_id: str, surrogates: Collection[str], *, limit: int
    ) -> list[tuple[Kind, str]]:
        """List the last few subjects that name each of the surrogates, each once."""
        rows = await self._pool.fetch(_WHERE_NAMED, store_id, list(surrogates), limit)
        return sorted({(Kind(row["kind"]), row["key"]) for row in rows})

    async def list_sent(
        self, store_id: str, subjects: Sequence[tuple[Kind, str]]
    ) -> list[SentEvent]:
        """List the events of subjects that have something beside the log, by seq."""
        rows = await self._pool.fetch(
            _AS_SENT, store_id, [kind for kind, _ in subjects], [key for _, key in subjects]
        )
        return [
            SentEvent(
                kind=Kind(row["kind"]),
                key=row["key"],
                source=row["source"],
                id=row["event_id"],
                data=orjson.loads(row["data"]),
                aside=orjson.loads(row["fields"]),
            )
            for row in rows
        ]
