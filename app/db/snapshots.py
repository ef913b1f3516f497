"""Snapshots: sums of facts per KPI, day and member, and the values that were published of them.

The sums are made by one statement that knows no business rule: a fact says what counts for what,
the registry says which members a KPI is told by. Medians can't be summed: they are taken from the
exact samples in the facts.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from app.db.engine import Connection

STORE_GRAIN = "store"

MEMBER_COLUMNS = {
    "advisor": "f.advisor",
    "technician": "f.technician",
    "team": "f.team",
    "work_type": "f.work_type",
    "assignee": "f.assignee",
    "nature": "f.nature",
}
"""Column of the fact that names the member, by grain; '' in it is member null."""

_MEMBER = (
    "CASE listed.grain "
    + " ".join(f"WHEN '{grain}' THEN {column}" for grain, column in MEMBER_COLUMNS.items())
    + " ELSE '' END"
)
_LOCK = """
    SELECT seq, closed_until, closed_seq, time_zone FROM metrics_cursor
     WHERE store_id = $1 FOR UPDATE
"""
_ADD_CURSOR = """
    INSERT INTO metrics_cursor (store_id, seq) VALUES ($1, 0) ON CONFLICT (store_id) DO NOTHING
"""
_ADVANCE = """
    UPDATE metrics_cursor
       SET seq = $3, time_zone = $4,
           closed_seq = CASE WHEN $5 THEN $3::bigint - 1 ELSE closed_seq END
     WHERE store_id = $1 AND seq = $2
"""
_CLOSE = "UPDATE metrics_cursor SET closed_until = $2, closed_seq = seq WHERE store_id = $1"
_STORE_AND_HEAD = """
    SELECT s.time_zone, s.created_at, h.seq
      FROM store s JOIN stream_head h ON h.store_id = s.store_id WHERE s.store_id = $1
"""
_BEHIND = """
    SELECT s.store_id
      FROM store s
      JOIN stream_head h ON h.store_id = s.store_id
      LEFT JOIN metrics_cursor c ON c.store_id = s.store_id
     WHERE h.seq > coalesce(c.seq, 0) OR c.time_zone IS DISTINCT FROM s.time_zone
     ORDER BY s.store_id
"""
_COVERAGE = """
    SELECT coalesce(c.seq, 0) AS seq, s.time_zone
      FROM store s LEFT JOIN metrics_cursor c ON c.store_id = s.store_id
     WHERE s.store_id = $1
"""
_DROP_DAYS = """
    DELETE FROM kpi_day
     WHERE store_id = $1 AND code = ANY($2) AND grain = ANY($3) AND day = ANY($4)
"""
_DROP_ALL_DAYS = "DELETE FROM kpi_day WHERE store_id = $1"
_COUNT_DAYS = f"""
    INSERT INTO kpi_day (store_id, code, grain, day, member, reason, numerator, denominator, count)
    SELECT f.store_id, e.code, listed.grain, f.day, {_MEMBER} AS member,
           CASE WHEN e.numerator IS NULL THEN e.reason ELSE '' END AS reason,
           sum(e.numerator), sum(e.denominator), count(*)
      FROM fact f
     CROSS JOIN LATERAL unnest(f.codes, f.numerators, f.denominators, f.reasons)
           AS e (code, numerator, denominator, reason)
      JOIN unnest($2::text[], $3::text[]) AS listed (code, grain) ON listed.code = e.code
     WHERE f.store_id = $1 AND f.day = ANY($4)
     GROUP BY f.store_id, e.code, listed.grain, f.day, 5, 6
"""
_FACT_DAYS = "SELECT day FROM fact WHERE store_id = $1 GROUP BY store_id, day ORDER BY day"
_PERIODS_WITH_FACTS = """
    SELECT date_trunc($2, day::timestamp)::date AS period_start
      FROM kpi_day WHERE store_id = $1 AND grain = 'store' AND day < $3
     GROUP BY store_id, 1 ORDER BY 1
"""
_SUMS = """
    SELECT code, date_trunc($4, day::timestamp)::date AS period_start, grain, member, reason,
           sum(numerator) AS numerator, sum(denominator) AS denominator,
           sum(count)::bigint AS count
      FROM kpi_day
     WHERE store_id = $1 AND code = ANY($2) AND grain = ANY($3) AND day >= $5 AND day < $6
       AND ($7::text IS NULL OR member = $7)
     GROUP BY store_id, code, 2, grain, member, reason
"""
_MEDIANS = f"""
    SELECT listed.code, date_trunc($4, f.day::timestamp)::date AS period_start, listed.grain,
           {_MEMBER} AS member,
           percentile_disc(0.5) WITHIN GROUP (ORDER BY e.sample) AS low,
           percentile_disc(0.5) WITHIN GROUP (ORDER BY e.sample DESC) AS high
      FROM fact f
     CROSS JOIN unnest($2::text[], $3::text[]) AS listed (code, grain)
     CROSS JOIN LATERAL (
           SELECT f.numerators[array_position(f.codes, listed.code)] AS sample OFFSET 0
           ) AS e
     WHERE f.store_id = $1 AND f.day >= $5 AND f.day < $6 AND f.basis = ANY($8)
       AND e.sample IS NOT NULL AND ($7::text IS NULL OR {_MEMBER} = $7)
     GROUP BY f.store_id, listed.code, 2, listed.grain, 4
"""
_PUBLISHED = """
    code, period, period_start, grain, member, version, period_end, numerator, denominator, value,
    as_of_seq, published_at
"""
_LATEST = f"""
    SELECT DISTINCT ON (code, period_start, grain, member) {_PUBLISHED}
      FROM kpi_published
     WHERE store_id = $1 AND period = $2 AND code = ANY($3) AND period_start >= $4
       AND period_start < $5
     ORDER BY code, period_start, grain, member, version DESC
"""
_VERSIONS = f"""
    SELECT {_PUBLISHED} FROM kpi_published
     WHERE store_id = $1 AND code = $2 AND period = $3 AND period_start >= $4
       AND period_start < $5 AND grain = $6 AND ($7::text IS NULL OR member = $7)
     ORDER BY period_start, member, version
"""
_PUBLISHED_COLUMNS = (
    "store_id",
    "code",
    "period",
    "period_start",
    "grain",
    "member",
    "version",
    "period_end",
    "numerator",
    "denominator",
    "value",
    "as_of_seq",
    "published_at",
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the metrics of a store are.

    Attributes:
        seq: The facts tell what the log says up to here.
        closed_until: Local date of the last night: every period that ended by then is published.
        closed_seq: The seq that this night covered.
        time_zone: The zone that the facts were judged in.
    """

    seq: int
    closed_until: date | None
    closed_seq: int | None
    time_zone: str | None


@dataclass(frozen=True, slots=True)
class StoreHead:
    """A store and the end of its log, read in one snapshot."""

    time_zone: str
    created_at: datetime
    seq: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the current values of a store cover."""

    seq: int
    time_zone: str


@dataclass(frozen=True, slots=True)
class Sum:
    """What counted in a period for a member, or what was left out for a reason.

    Attributes:
        member: '' at store grain and for member null.
        reason: '' for what counted.
        denominator: None for counts and sums.
        count: How many facts.
    """

    code: str
    period_start: date
    grain: str
    member: str
    reason: str
    numerator: Decimal | None
    denominator: Decimal | None
    count: int


@dataclass(frozen=True, slots=True)
class Median:
    """The two middle samples of a period and member (the same one where their number is odd)."""

    code: str
    period_start: date
    grain: str
    member: str
    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class Publication:
    """A value as it was published in one night; version 1 is the period's first night.

    Attributes:
        member: '' at store grain and for member null.
        as_of_seq: The log up to here is what it tells.
    """

    code: str
    period: str
    period_start: date
    grain: str
    member: str
    version: int
    period_end: date
    numerator: Decimal | None
    denominator: Decimal | None
    value: Decimal | None
    as_of_seq: int
    published_at: datetime


class SnapshotRepository:
    """Day sums, published values and the cursor, over one connection.

    Transactions belong to the caller: whoever writes holds the store's cursor row.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # The cursor: one refresher per store at a time

    async def add_cursor(self, store_id: str) -> None:
        """Make the cursor row of a store; harmless to repeat."""
        await self._connection.execute(_ADD_CURSOR, store_id)

    async def lock_cursor(self, store_id: str, *, wait: bool) -> Progress | None:
        """Take the cursor row until the transaction ends; None where there is none yet.

        Raises:
            asyncpg.LockNotAvailableError: another has it and `wait` is false.
            asyncpg.SerializationError: another moved it meanwhile; begin again.
        """
        row = await self._connection.fetchrow(_LOCK if wait else f"{_LOCK} NOWAIT", store_id)
        return None if row is None else Progress(**row)

    async def advance_cursor(
        self, store_id: str, *, expected_seq: int, seq: int, time_zone: str, reopen: bool
    ) -> None:
        """Say that the facts now follow the log up to `seq`.

        With `reopen` the next night looks at the revisions of `seq` itself again, which the last
        night may have covered.
        """
        status = await self._connection.execute(
            _ADVANCE, store_id, expected_seq, seq, time_zone, reopen
        )
        if status == "UPDATE 0":
            raise RuntimeError(f"the metrics cursor of store {store_id} moved under its lock")

    async def close(self, store_id: str, night: date) -> None:
        """Say that every period that ended by the local date `night` is published."""
        await self._connection.execute(_CLOSE, store_id, night)

    async def find_head(self, store_id: str) -> StoreHead | None:
        """Find the store and the end of its log, as of the transaction's snapshot."""
        row = await self._connection.fetchrow(_STORE_AND_HEAD, store_id)
        return None if row is None else StoreHead(**row)

    async def find_coverage(self, store_id: str) -> Coverage | None:
        """Find what the current values cover; None if there is no such store."""
        row = await self._connection.fetchrow(_COVERAGE, store_id)
        return None if row is None else Coverage(**row)

    async def list_behind(self) -> list[str]:
        """List the stores whose facts don't follow the log to its end, or another zone's days."""
        return [row["store_id"] for row in await self._connection.fetch(_BEHIND)]

    # Day sums

    async def recount(
        self, store_id: str, days: Collection[date], listed: Iterable[tuple[str, str]]
    ) -> None:
        """Sum the facts of these days anew; `listed` are all (code, grain) that there are."""
        codes, grains = _columns(listed)
        await self._connection.execute(
            _DROP_DAYS, store_id, sorted(set(codes)), sorted(set(grains)), list(days)
        )
        await self._connection.execute(_COUNT_DAYS, store_id, codes, grains, list(days))

    async def drop_sums(self, store_id: str) -> None:
        """Forget every sum of a store."""
        await self._connection.execute(_DROP_ALL_DAYS, store_id)

    async def list_fact_days(self, store_id: str) -> list[date]:
        """List the days that have a fact, in order."""
        return [row["day"] for row in await self._connection.fetch(_FACT_DAYS, store_id)]

    async def list_periods_with_facts(
        self, store_id: str, period: str, before: date
    ) -> list[date]:
        """List the starts of the periods that have a sum of a day before `before`, in order."""
        rows = await self._connection.fetch(_PERIODS_WITH_FACTS, store_id, period, before)
        return [row["period_start"] for row in rows]

    async def list_sums(
        self,
        store_id: str,
        *,
        codes: Collection[str],
        grains: Collection[str],
        period: str,
        starts_on: date,
        ends_on: date,
        member: str | None = None,
    ) -> list[Sum]:
        """Sum days into periods (`day`, `month`, `quarter` or `year`), in no order.

        Args:
            store_id: Whose.
            codes: Which KPIs.
            grains: By whom.
            period: Of which length.
            starts_on: First day of the first period.
            ends_on: Day after the last.
            member: Only this one; '' is member null; None is all.
        """
        rows = await self._connection.fetch(
            _SUMS, store_id, list(codes), list(grains), period, starts_on, ends_on, member
        )
        return [Sum(**row) for row in rows]

    async def list_medians(
        self,
        store_id: str,
        *,
        listed: Iterable[tuple[str, str]],
        bases: Collection[str],
        period: str,
        starts_on: date,
        ends_on: date,
        member: str | None = None,
    ) -> list[Median]:
        """Find the middle samples of each period and member of the (code, grain) `listed`.

        `bases` are those of the facts that carry them.
        """
        codes, grains = _columns(listed)
        rows = await self._connection.fetch(
            _MEDIANS, store_id, codes, grains, period, starts_on, ends_on, member, list(bases)
        )
        return [Median(**row) for row in rows]

    # What was published

    async def publish(self, store_id: str, publications: Sequence[Publication]) -> None:
        """Add published values; what was published before stays."""
        await self._connection.copy_records_to_table(
            "kpi_published",
            columns=_PUBLISHED_COLUMNS,
            records=[
                (
                    store_id,
                    p.code,
                    p.period,
                    p.period_start,
                    p.grain,
                    p.member,
                    p.version,
                    p.period_end,
                    p.numerator,
                    p.denominator,
                    p.value,
                    p.as_of_seq,
                    p.published_at,
                )
                for p in publications
            ],
        )

    async def list_latest(
        self,
        store_id: str,
        *,
        codes: Collection[str],
        period: str,
        starts_on: date,
        ends_on: date,
    ) -> list[Publication]:
        """List the last version of each value of the periods that begin in the range."""
        rows = await self._connection.fetch(
            _LATEST, store_id, period, list(codes), starts_on, ends_on
        )
        return [Publication(**row) for row in rows]

    async def list_versions(
        self,
        store_id: str,
        *,
        code: str,
        grain: str,
        period: str,
        starts_on: date,
        ends_on: date,
        member: str | None,
    ) -> list[Publication]:
        """List every version of the values of a KPI by period, member and version."""
        rows = await self._connection.fetch(
            _VERSIONS, store_id, code, period, starts_on, ends_on, grain, member
        )
        return [Publication(**row) for row in rows]


def _columns(listed: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    pairs = sorted(listed)
    return [code for code, _ in pairs], [grain for _, grain in pairs]
