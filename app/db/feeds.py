"""Feeds as rows: what was received of each source by the hour, its rule, when to look at it.

What is received is written by `append_group.sql` together with what became of it; `FeedTally`
makes its rows. Everything else here reads, but for rules and the watch's own beat.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

import asyncpg

from app.db.engine import Connection
from app.db.state_rows import Row
from app.domain.backlog import WINDOW, Backlog, Level
from app.domain.feed import Feed, Silence
from app.domain.feed_watch import LAG_CLASSES, LATE_AFTER, FeedRule, is_feed, lag_class
from app.domain.rhythm import HORIZON, LEAST_HISTORY, hour_of
from app.domain.subject import decode

Fate = Literal["events", "duplicates", "quarantined"]
"""What became of something that was received, as the columns are called."""

_MOST_BROKEN_DOWN: Final = 50
"""Reasons and sources that a backlog is broken down by, the largest first."""

_LATE_SECONDS: Final = LATE_AFTER.total_seconds()

_FEEDS = """
    SELECT s.source, s.first_seen_at, s.last_seen_at, s.resumed_at, s.silent_after_minutes,
           s.muted, f.version, f.state::text AS state
      FROM feed_source s LEFT JOIN feed f ON f.store_id = s.store_id AND f.source = s.source
     WHERE s.store_id = $1
"""
_DUE = f"{_FEEDS} AND s.look_at <= $2 ORDER BY s.source LIMIT $3"
_PAGE = f"{_FEEDS} AND ($2::text IS NULL OR s.source > $2) ORDER BY s.source LIMIT $3"
_ONE = f"{_FEEDS} AND s.source = $2"
_STORES_WITH_DUE = """
    SELECT store_id FROM feed_source WHERE look_at <= $1 GROUP BY store_id ORDER BY store_id
"""
_NEXT_LOOK = "SELECT min(look_at) FROM feed_source WHERE look_at IS NOT NULL"
_ACTIVE_HOURS = """
    SELECT hour FROM feed_hour
     WHERE store_id = $1 AND source = $2 AND hour >= $3 AND last_seen_at IS NOT NULL
"""
_SET_RULE = """
    UPDATE feed_source SET silent_after_minutes = $3, muted = $4, look_at = $5
     WHERE store_id = $1 AND source = $2
    RETURNING true
"""
_FATES: Final = ("events", "duplicates", "quarantined")
_SUMS = f"""
    SELECT source, max(last_occurred_at) AS last_occurred_at,
           {
    ", ".join(
        f"coalesce(sum({fate}) FILTER (WHERE hour >= ${since}), 0)::bigint AS {fate}_{span}"
        for fate in _FATES
        for span, since in (("today", 2), ("week", 3))
    )
},
           {", ".join(f"sum({fate})::bigint AS {fate}_total" for fate in _FATES)},
           coalesce(sum(late) FILTER (WHERE hour >= $4), 0)::bigint AS late,
           coalesce(max(lag_max_seconds) FILTER (WHERE hour >= $4), 0) AS lag_max_seconds,
           ARRAY[{
    ", ".join(
        f"coalesce(sum(lag_counts[{position + 1}]) FILTER (WHERE hour >= $4), 0)::bigint"
        for position in range(LAG_CLASSES)
    )
}] AS lag_counts
      FROM feed_hour WHERE store_id = $1 AND source = ANY($5) GROUP BY store_id, source
"""
_SILENCES = "SELECT source, state::text AS state FROM feed WHERE store_id = $1 ORDER BY source"
_BEAT = """
    INSERT INTO feed_beat AS b (id, beat_at, watched_from) VALUES (1, $1, $2)
    ON CONFLICT (id) DO UPDATE SET
        beat_at = greatest(b.beat_at, excluded.beat_at),
        watched_from = CASE WHEN excluded.beat_at - b.beat_at > $3::interval
            THEN excluded.watched_from ELSE b.watched_from END
    RETURNING watched_from
"""
_WATCHED_FROM = "SELECT watched_from FROM feed_beat WHERE id = 1"

# the backlog in quarantine
_BACKLOG = "SELECT version, state::text AS state FROM backlog WHERE store_id = $1"
_WAITING = "q.store_id = $1 AND q.state = 'waiting'"
_LEVEL = f"""
    SELECT (SELECT count(*) FROM quarantine q WHERE {_WAITING}) AS waiting,
           (SELECT count(*) FROM quarantine q WHERE {_WAITING} AND q.received_at >= $2) AS new,
           (SELECT min(q.received_at) FROM quarantine q WHERE {_WAITING}) AS oldest_received_at,
           (SELECT coalesce(sum(events + duplicates + quarantined), 0)::bigint FROM feed_hour
             WHERE store_id = $1 AND hour >= $2) AS received
"""
_STORES_WITH_BACKLOG = """
    SELECT h.store_id FROM stream_head h
     WHERE EXISTS (SELECT FROM quarantine q
                    WHERE q.store_id = h.store_id AND q.state = 'waiting')
        OR EXISTS (SELECT FROM backlog b WHERE b.store_id = h.store_id AND b.growing)
     ORDER BY h.store_id
"""
_OLDEST_UNNOTICED = """
    SELECT min(oldest.received_at)
      FROM stream_head h
     CROSS JOIN LATERAL (SELECT min(q.received_at) AS received_at FROM quarantine q
                          WHERE q.store_id = h.store_id AND q.state = 'waiting') AS oldest
     WHERE NOT EXISTS (SELECT FROM backlog b WHERE b.store_id = h.store_id AND b.growing)
"""


@dataclass(frozen=True, slots=True)
class KnownFeed:
    """A feed as it is kept; all times UTC.

    Attributes:
        resumed_at: When it was heard of first after its silence was noticed, if it was.
        state: None while the log says nothing of it.
        version: Of the state.
    """

    source: str
    first_seen_at: datetime
    last_seen_at: datetime
    resumed_at: datetime | None
    rule: FeedRule
    state: Feed | None
    version: int

    @property
    def silences(self) -> Sequence[Silence]:
        """The known ones in order, one that is not over included."""
        return [] if self.state is None else self.state.all_silences


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of what was received."""

    events: int
    duplicates: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class FeedSums:
    """What was received of a feed.

    Attributes:
        late: Events of the window that were recorded more than a day after they happened.
        lag_counts: Events of the window by class of lag.
        lag_max_seconds: The longest lag in the window.
    """

    last_occurred_at: datetime | None
    today: Counts
    week: Counts
    total: Counts
    late: int
    lag_counts: Sequence[int]
    lag_max_seconds: int


class FeedTally:
    """What one group of appends, or one refusal at the door, received from whom."""

    def __init__(self) -> None:
        self._hours: dict[tuple[str, str, datetime], _Hour] = {}

    def count(
        self, store_id: str, source: str, fate: Fate, *, at: datetime, times: int = 1
    ) -> None:
        """Count what a feed sent and did not enter the log.

        Args:
            store_id: The store.
            source: Of the event; one that is no feed is not counted.
            fate: What became of it.
            at: When it was received.
            times: How often it came.
        """
        hour = self._hour(store_id, source, at)
        if hour is not None:
            hour.counts[fate] += times
            hour.see(at)

    def count_entered(
        self,
        store_id: str,
        source: str,
        occurred: Sequence[datetime],
        *,
        at: datetime,
        seen: bool = True,
    ) -> None:
        """Count events that entered the log.

        Args:
            store_id: The store.
            source: Of all of them; one that is no feed is not counted.
            occurred: When each of them happened; at least one.
            at: When they were recorded.
            seen: Whether the feed itself sent them just now.
        """
        hour = self._hour(store_id, source, at)
        if hour is None:
            return
        hour.counts["events"] += len(occurred)
        if seen:
            hour.see(at)
        for instant in occurred:
            lag = (at - instant).total_seconds()
            hour.lag_counts[lag_class(lag)] += 1
            if lag > _LATE_SECONDS:
                hour.late += 1
            if lag >= hour.lag_max_seconds + 1:
                hour.lag_max_seconds = int(lag)
        latest = max(occurred)
        if hour.last_occurred_at is None or latest > hour.last_occurred_at:
            hour.last_occurred_at = latest

    def _hour(self, store_id: str, source: str, at: datetime) -> "_Hour | None":
        key = (store_id, source, hour_of(at))
        hour = self._hours.get(key)
        if hour is None and is_feed(source):
            hour = self._hours[key] = _Hour()
        return hour

    def add_to(self, document: dict[str, list[Row]]) -> None:
        """Add the rows for `append_group.sql`; they need no head to be held."""
        if not self._hours:
            return
        sources: dict[tuple[str, str], tuple[datetime, datetime]] = {}
        for (store_id, source, _), hour in self._hours.items():
            if hour.first_seen_at is not None and hour.last_seen_at is not None:
                first, last = sources.get(
                    (store_id, source), (hour.first_seen_at, hour.last_seen_at)
                )
                sources[store_id, source] = (
                    min(first, hour.first_seen_at),
                    max(last, hour.last_seen_at),
                )
        if sources:
            document["feed_source"] = [
                {
                    "store_id": store_id,
                    "source": source,
                    "first_seen_at": first,
                    "last_seen_at": last,
                    "look_at": first + LEAST_HISTORY,
                }
                for (store_id, source), (first, last) in sources.items()
            ]
        document["feed_hour"] = [
            {"store_id": store_id, "source": source, "hour": start, **hour.row()}
            for (store_id, source, start), hour in self._hours.items()
        ]


@dataclass(slots=True)
class _Hour:
    counts: dict[Fate, int] = field(
        default_factory=lambda: {"events": 0, "duplicates": 0, "quarantined": 0}
    )
    late: int = 0
    lag_counts: list[int] = field(default_factory=lambda: [0] * LAG_CLASSES)
    lag_max_seconds: int = 0
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None
    last_occurred_at: datetime | None = None

    def see(self, at: datetime) -> None:
        """Note that the feed was heard of."""
        self.first_seen_at = min(self.first_seen_at or at, at)
        self.last_seen_at = max(self.last_seen_at or at, at)

    def row(self) -> Row:
        return {
            "events": self.counts["events"],
            "duplicates": self.counts["duplicates"],
            "quarantined": self.counts["quarantined"],
            "late": self.late,
            "lag_counts": self.lag_counts,
            "lag_max_seconds": self.lag_max_seconds,
            "last_seen_at": self.last_seen_at,
            "last_occurred_at": self.last_occurred_at,
        }


class FeedRepository:
    """Feeds over one connection, be it a pool's or that of a group of appends."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list_stores_with_due(self, now: datetime) -> list[str]:
        """List the stores of which a feed is to be looked at."""
        return [row["store_id"] for row in await self._connection.fetch(_STORES_WITH_DUE, now)]

    async def next_look_at(self) -> datetime | None:
        """Get the moment at which the next feed, of whatever store, is to be looked at."""
        moment: datetime | None = await self._connection.fetchval(_NEXT_LOOK)
        return moment

    async def list_due(self, store_id: str, now: datetime, limit: int) -> list[KnownFeed]:
        """List the feeds of a store that are to be looked at."""
        return [_feed(row) for row in await self._connection.fetch(_DUE, store_id, now, limit)]

    async def list_page(self, store_id: str, *, after: str | None, limit: int) -> list[KnownFeed]:
        """List the feeds of a store by source, after a source."""
        return [_feed(row) for row in await self._connection.fetch(_PAGE, store_id, after, limit)]

    async def find(self, store_id: str, source: str) -> KnownFeed | None:
        """Find a feed."""
        row = await self._connection.fetchrow(_ONE, store_id, source)
        return None if row is None else _feed(row)

    async def list_active_hours(self, store_id: str, feed: KnownFeed) -> set[datetime]:
        """List the hours in which a feed was active, in the weeks that its rhythm is of."""
        since = hour_of(feed.last_seen_at) - HORIZON
        rows = await self._connection.fetch(_ACTIVE_HOURS, store_id, feed.source, since)
        return {row["hour"] for row in rows}

    async def sum_up(
        self,
        store_id: str,
        sources: Collection[str],
        *,
        today: datetime,
        week: datetime,
        window: datetime,
    ) -> dict[str, FeedSums]:
        """Sum up what was received of sources since each of three moments, and ever."""
        rows = await self._connection.fetch(
            _SUMS, store_id, hour_of(today), hour_of(week), hour_of(window), list(sources)
        )
        return {row["source"]: _sums(row) for row in rows}

    async def list_silences(self, store_id: str) -> dict[str, Sequence[Silence]]:
        """List the silences of the feeds of a store, by source, each in order."""
        return {
            row["source"]: decode(Feed, row["state"]).all_silences
            for row in await self._connection.fetch(_SILENCES, store_id)
        }

    async def set_rule(
        self, store_id: str, source: str, rule: FeedRule, *, look_at: datetime
    ) -> bool:
        """Set the rule of a feed, to be looked at by it; False if there is no such feed."""
        after = rule.silent_after
        return bool(
            await self._connection.fetchval(
                _SET_RULE,
                store_id,
                source,
                None if after is None else int(after.total_seconds() // 60),
                rule.muted,
                look_at,
            )
        )

    async def beat(
        self, *, machine_now: datetime, now: datetime, break_after: timedelta
    ) -> datetime:
        """Note that somebody watches.

        Args:
            machine_now: By the machine's clock, which no sandbox moves.
            now: The service's time.
            break_after: Without a beat for longer, nobody watched.

        Returns:
            Since when somebody has watched without a break, by the service's time.
        """
        since: datetime = await self._connection.fetchval(_BEAT, machine_now, now, break_after)
        return since

    async def find_watched_from(self) -> datetime | None:
        """Find since when somebody has watched without a break; None: nobody ever did."""
        since: datetime | None = await self._connection.fetchval(_WATCHED_FROM)
        return since

    # The backlog in quarantine

    async def list_stores_with_backlog(self) -> list[str]:
        """List the stores in which something waits, or an alarm of it is raised."""
        return [row["store_id"] for row in await self._connection.fetch(_STORES_WITH_BACKLOG)]

    async def find_oldest_unnoticed(self) -> datetime | None:
        """Find when the oldest waiting item was received among stores without an alarm."""
        moment: datetime | None = await self._connection.fetchval(_OLDEST_UNNOTICED)
        return moment

    async def find_backlog(self, store_id: str) -> tuple[int, Backlog] | None:
        """Find the version and state of a store's backlog."""
        row = await self._connection.fetchrow(_BACKLOG, store_id)
        return None if row is None else (row["version"], decode(Backlog, row["state"]))

    async def get_level(self, store_id: str, now: datetime) -> Level:
        """Measure how full the quarantine of a store is."""
        row = await self._connection.fetchrow(_LEVEL, store_id, hour_of(now - WINDOW))
        if row is None:
            message = "a query without a table answers one row"
            raise RuntimeError(message)
        return Level(
            waiting=row["waiting"],
            new=row["new"],
            received=row["received"],
            oldest_received_at=row["oldest_received_at"],
        )

    async def break_down(
        self, store_id: str
    ) -> tuple[list[tuple[str, int]], list[tuple[str | None, int]]]:
        """Count what waits in a store's quarantine by reason and by source, most first."""
        reasons = await self._count_by("reason", store_id)
        return [(str(reason), count) for reason, count in reasons], await self._count_by(
            "source", store_id
        )

    async def _count_by(self, column: str, store_id: str) -> list[tuple[str | None, int]]:
        rows = await self._connection.fetch(
            f"""SELECT {column} AS part, count(*) AS count FROM quarantine q WHERE {_WAITING}
                 GROUP BY q.store_id, 1 ORDER BY 2 DESC, 1 LIMIT {_MOST_BROKEN_DOWN}""",
            store_id,
        )
        return [(row["part"], row["count"]) for row in rows]


def _feed(row: asyncpg.Record) -> KnownFeed:
    minutes = row["silent_after_minutes"]
    return KnownFeed(
        source=row["source"],
        first_seen_at=row["first_seen_at"],
        last_seen_at=row["last_seen_at"],
        resumed_at=row["resumed_at"],
        rule=FeedRule(None if minutes is None else timedelta(minutes=minutes), row["muted"]),
        state=None if row["state"] is None else decode(Feed, row["state"]),
        version=row["version"] or 0,
    )


def _sums(row: asyncpg.Record) -> FeedSums:
    return FeedSums(
        last_occurred_at=row["last_occurred_at"],
        today=_counts(row, "today"),
        week=_counts(row, "week"),
        total=_counts(row, "total"),
        late=row["late"],
        lag_counts=row["lag_counts"],
        lag_max_seconds=row["lag_max_seconds"],
    )


def _counts(row: asyncpg.Record, span: str) -> Counts:
    return Counts(*(row[f"{fate}_{span}"] for fate in _FATES))
