"""Facts: one row per subject and basis, replaced when its judgement changed; and what changed.

A revision is kept of a fact whose day was already closed by a night, so that a restated value can
say which subjects moved it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

import asyncpg
import msgspec

from app.db.engine import Connection
from app.db.snapshots import MEMBER_COLUMNS, STORE_GRAIN
from app.domain.events.envelope import Kind
from app.domain.kpis.facts import Fact, FactEntry

Part = Literal["numerator", "denominator", "not_counted"]

type_fact_key = tuple[Kind, str, str]
"""(kind, key, basis) of a fact, within its store."""

_COLUMNS = """
    kind, key, basis, day, advisor, technician, team, work_type, assignee, nature, codes,
    numerators, denominators, reasons, sorts
"""
_OF_SUBJECTS = f"""
    SELECT {_COLUMNS} FROM fact
     WHERE store_id = $1 AND kind = $2 AND key = ANY($3)
"""
_ALL_OF_KIND = "SELECT key FROM fact WHERE store_id = $1 AND kind = $2 GROUP BY store_id, key"
_DROP = """
    DELETE FROM fact f USING unnest($2::text[], $3::text[], $4::text[]) AS r (kind, key, basis)
     WHERE f.store_id = $1 AND f.kind = r.kind AND f.key = r.key AND f.basis = r.basis
"""
_FACT_COLUMNS = (
    "store_id",
    "kind",
    "key",
    "basis",
    "day",
    "advisor",
    "technician",
    "team",
    "work_type",
    "assignee",
    "nature",
    "codes",
    "numerators",
    "denominators",
    "reasons",
    "sorts",
    "judged_seq",
)
_RECORD_REVISIONS = """
    INSERT INTO fact_revision (store_id, judged_seq, kind, key, basis, before, after, from_seq)
    SELECT $1, $2, r.kind, r.key, r.basis, r.before::jsonb, r.after::jsonb, $3
      FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
           AS r (kind, key, basis, before, after)
    ON CONFLICT (store_id, judged_seq, kind, key, basis) DO UPDATE SET after = excluded.after
"""
_REVISED = """
    SELECT (side.fact ->> 'day')::date AS day, entry ->> 'code' AS code
      FROM fact_revision r
     CROSS JOIN LATERAL (VALUES (r.before, r.after), (r.after, r.before)) AS side (fact, other)
     CROSS JOIN LATERAL jsonb_array_elements(side.fact -> 'entries') AS entry
     WHERE r.store_id = $1 AND r.judged_seq > $2 AND r.judged_seq <= $3
       AND (side.other IS NULL OR side.fact - 'entries' <> side.other - 'entries'
            OR NOT side.other -> 'entries' @> jsonb_build_array(entry))
     GROUP BY r.store_id, 1, 2
"""
_CHANGES = """
    WITH sides AS (
        SELECT r.kind, r.key, r.basis, r.judged_seq,
               (SELECT entry || jsonb_build_object('day', r.before -> 'day',
                                                   'member', r.before -> $5::text)
                  FROM jsonb_array_elements(r.before -> 'entries') AS entry
                 WHERE entry ->> 'code' = $4) AS before,
               (SELECT entry || jsonb_build_object('day', r.after -> 'day',
                                                   'member', r.after -> $5::text)
                  FROM jsonb_array_elements(r.after -> 'entries') AS entry
                 WHERE entry ->> 'code' = $4) AS after
          FROM fact_revision r
         WHERE r.store_id = $1 AND r.judged_seq > $2 AND r.judged_seq <= $3
    ), moved AS (
        SELECT kind, key, basis, max(judged_seq) AS judged_seq,
               (array_agg(before ORDER BY judged_seq))[1] AS before,
               (array_agg(after ORDER BY judged_seq DESC))[1] AS after
          FROM sides
         GROUP BY kind, key, basis
    )
    SELECT kind, key, basis, before::text, after::text
      FROM moved
     WHERE before IS DISTINCT FROM after
       AND ((before ->> 'day' >= $6 AND before ->> 'day' < $7
             AND ($8::text IS NULL OR coalesce(before ->> 'member', '') = $8))
            OR (after ->> 'day' >= $6 AND after ->> 'day' < $7
                AND ($8::text IS NULL OR coalesce(after ->> 'member', '') = $8)))
     ORDER BY judged_seq DESC, kind, key, basis LIMIT $9
"""
_ENTRIES = """
      FROM fact f
     CROSS JOIN LATERAL
           unnest(f.codes, f.numerators, f.denominators, f.reasons, f.sorts)
           AS e (code, numerator, denominator, reason, sort)
     WHERE f.store_id = $1 AND e.code = $2 AND f.day >= $3 AND f.day < $4
"""
_PARTS: Mapping[Part, str] = {
    "numerator": "e.numerator IS NOT NULL AND (e.numerator <> 0 OR e.denominator IS NULL)",
    "denominator": "e.denominator <> 0",
    "not_counted": "e.numerator IS NULL",
}
_TALLY = f"""
    SELECT e.reason,
           count(*) FILTER (WHERE {_PARTS["numerator"]}) AS numerator,
           count(*) FILTER (WHERE {_PARTS["denominator"]}) AS denominator,
           count(*) FILTER (WHERE {_PARTS["not_counted"]}) AS not_counted
"""


@dataclass(frozen=True, slots=True)
class Revision:
    """How a fact of a closed day changed.

    Attributes:
        before: None where there was none.
        after: None where there is none any more.
    """

    kind: Kind
    key: str
    basis: str
    before: Fact | None
    after: Fact | None


class Side(msgspec.Struct, frozen=True):
    """What a fact gave to one KPI, for which day and member of a grain."""

    day: date
    member: str | None
    numerator: Decimal | None
    denominator: Decimal | None
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """How what a fact gives to one KPI changed between two nights.

    Attributes:
        before: None where it gave nothing.
        after: None where it gives nothing any more.
    """

    kind: Kind
    key: str
    basis: str
    before: Side | None
    after: Side | None


@dataclass(frozen=True, slots=True)
class Selection:
    """The facts behind a value: of a KPI, in a range of days, of a member.

    Attributes:
        starts_on: First day.
        ends_on: Day after the last.
        grain: By whom; the store is no restriction.
        member: '' is member null, None is all.
    """

    code: str
    starts_on: date
    ends_on: date
    grain: str
    member: str | None


@dataclass(frozen=True, slots=True)
class ExplainedFact:
    """A fact as far as one KPI is concerned."""

    kind: Kind
    key: str
    basis: str
    day: date
    advisor: str | None
    technician: str | None
    team: str | None
    work_type: str | None
    assignee: str | None
    nature: str | None
    numerator: Decimal | None
    denominator: Decimal | None
    reason: str
    sort: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How many facts of a reason are in each part."""

    reason: str
    numerator: int
    denominator: int
    not_counted: int


class FactRepository:
    """Facts and their revisions, over one connection. Transactions belong to the caller."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find_of(
        self, store_id: str, subjects: Mapping[Kind, Collection[str]]
    ) -> dict[type_fact_key, Fact]:
        """Find the facts of subjects, given by kind and key."""
        facts: dict[type_fact_key, Fact] = {}
        for kind, keys in subjects.items():
            rows = await self._connection.fetch(_OF_SUBJECTS, store_id, kind, list(keys))
            for row in rows:
                fact = _fact(row)
                facts[fact.kind, fact.key, fact.basis] = fact
        return facts

    async def list_keys(self, store_id: str, kind: Kind) -> list[str]:
        """List the keys of the subjects of a kind that have a fact, in no order."""
        return [row["key"] for row in await self._connection.fetch(_ALL_OF_KIND, store_id, kind)]

    async def replace(
        self,
        store_id: str,
        *,
        gone: Collection[type_fact_key],
        facts: Sequence[Fact],
        judged_seq: int,
    ) -> None:
        """Take facts away and put others in; what is in the place of a new one is in `gone`."""
        if gone:
            await self._connection.execute(
                _DROP,
                store_id,
                [kind for kind, _, _ in gone],
                [key for _, key, _ in gone],
                [basis for _, _, basis in gone],
            )
        if facts:
            await self._connection.copy_records_to_table(
                "fact",
                columns=_FACT_COLUMNS,
                records=[_row(store_id, fact, judged_seq) for fact in facts],
            )

    async def record_revisions(
        self, store_id: str, revisions: Sequence[Revision], *, from_seq: int, judged_seq: int
    ) -> None:
        """Keep how facts of closed days changed by the log in (from_seq, judged_seq].

        A fact that changes again without news (its store's zone was corrected) keeps what it was
        before the first change.
        """
        if revisions:
            await self._connection.execute(
                _RECORD_REVISIONS,
                store_id,
                judged_seq,
                from_seq,
                [revision.kind for revision in revisions],
                [revision.key for revision in revisions],
                [revision.basis for revision in revisions],
                [_json(revision.before) for revision in revisions],
                [_json(revision.after) for revision in revisions],
            )

    async def list_revised(
        self, store_id: str, *, after: int, until: int
    ) -> list[tuple[date, str]]:
        """List (day, code) of what revisions changed, in the log's range (after, until]."""
        rows = await self._connection.fetch(_REVISED, store_id, after, until)
        return [(row["day"], row["code"]) for row in rows]

    async def list_changes(
        self,
        store_id: str,
        selection: Selection,
        *,
        after: int,
        until: int,
        limit: int,
    ) -> list[Change]:
        """List what moved published values, in the log's range (after, until], the last first.

        Args:
            store_id: Whose.
            selection: Which values: changes that have a side in it.
            after: The log up to here is in the version before.
            until: The log up to here is in the new one.
            limit: Most changes.
        """
        rows = await self._connection.fetch(
            _CHANGES,
            store_id,
            after,
            until,
            selection.code,
            selection.grain,
            selection.starts_on.isoformat(),
            selection.ends_on.isoformat(),
            None if selection.grain == STORE_GRAIN else selection.member,
            limit,
        )
        return [
            Change(
                kind=Kind(row["kind"]),
                key=row["key"],
                basis=row["basis"],
                before=None if row["before"] is None else _decode_side(row["before"]),
                after=None if row["after"] is None else _decode_side(row["after"]),
            )
            for row in rows
        ]

    async def list_explained(
        self,
        store_id: str,
        selection: Selection,
        *,
        part: Part,
        after: tuple[int, str, str, str] | None,
        limit: int,
    ) -> list[ExplainedFact]:
        """List the facts in a part of a value, the latest (by `sort`) first.

        Args:
            store_id: Whose.
            selection: Which value.
            part: Which part of it.
            after: (sort, kind, key, basis) of the last fact already seen.
            limit: Most facts.
        """
        where, arguments = _selected(selection)
        sort, kind, key, basis = after or (None, None, None, None)
        position = len(arguments) + 2
        rows = await self._connection.fetch(
            f"""
            SELECT f.kind, f.key, f.basis, f.day, f.advisor, f.technician, f.team, f.work_type,
                   f.assignee, f.nature, e.numerator, e.denominator, e.reason, e.sort
              {where} AND {_PARTS[part]}
               AND (${position}::bigint IS NULL OR e.sort < ${position}
                    OR e.sort = ${position} AND (f.kind, f.key, f.basis)
                       > (${position + 1}, ${position + 2}, ${position + 3}))
             ORDER BY e.sort DESC, f.kind, f.key, f.basis LIMIT ${position + 4}
            """,
            store_id,
            *arguments,
            sort,
            kind,
            key,
            basis,
            limit,
        )
        return [
            ExplainedFact(
                kind=Kind(row["kind"]),
                key=row["key"],
                basis=row["basis"],
                day=row["day"],
                advisor=row["advisor"] or None,
                technician=row["technician"] or None,
                team=row["team"] or None,
                work_type=row["work_type"] or None,
                assignee=row["assignee"] or None,
                nature=row["nature"] or None,
                numerator=row["numerator"],
                denominator=row["denominator"],
                reason=row["reason"],
                sort=row["sort"],
            )
            for row in rows
        ]

    async def tally(self, store_id: str, selection: Selection) -> list[Tally]:
        """Count the facts behind a value by reason and part, in order of reason."""
        where, arguments = _selected(selection)
        rows = await self._connection.fetch(
            f"{_TALLY} {where} GROUP BY f.store_id, e.reason ORDER BY e.reason",
            store_id,
            *arguments,
        )
        return [Tally(**row) for row in rows]


def _selected(selection: Selection) -> tuple[str, list[object]]:
    """The FROM and WHERE of a selection, with its arguments after the store."""
    arguments: list[object] = [selection.code, selection.starts_on, selection.ends_on]
    column = MEMBER_COLUMNS.get(selection.grain)
    if column is None or selection.member is None:
        return _ENTRIES, arguments
    return f"{_ENTRIES} AND {column} = $5", [*arguments, selection.member]


def _fact(row: asyncpg.Record) -> Fact:
    return Fact(
        kind=Kind(row["kind"]),
        key=row["key"],
        basis=row["basis"],
        day=row["day"],
        advisor=row["advisor"] or None,
        technician=row["technician"] or None,
        team=row["team"] or None,
        work_type=row["work_type"] or None,
        assignee=row["assignee"] or None,
        nature=row["nature"] or None,
        entries=tuple(
            FactEntry(code, numerator, denominator, reason, sort)
            for code, numerator, denominator, reason, sort in zip(
                row["codes"],
                row["numerators"],
                row["denominators"],
                row["reasons"],
                row["sorts"],
                strict=True,
            )
        ),
    )


def _row(store_id: str, fact: Fact, judged_seq: int) -> tuple[object, ...]:
    return (
        store_id,
        fact.kind,
        fact.key,
        fact.basis,
        fact.day,
        fact.advisor or "",
        fact.technician or "",
        fact.team or "",
        fact.work_type or "",
        fact.assignee or "",
        fact.nature or "",
        [entry.code for entry in fact.entries],
        [entry.numerator for entry in fact.entries],
        [entry.denominator for entry in fact.entries],
        [entry.reason for entry in fact.entries],
        [entry.sort for entry in fact.entries],
        judged_seq,
    )


_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode_side = msgspec.json.Decoder(Side).decode


def _json(fact: Fact | None) -> str | None:
    return None if fact is None else _encode(fact).decode()


def keys_of(facts: Iterable[Fact]) -> dict[type_fact_key, Fact]:
    """The facts by their key."""
    return {(fact.kind, fact.key, fact.basis): fact for fact in facts}
