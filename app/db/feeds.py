"""Feeds as rows: what was received of each source by the hour, its rule, when to look at it.

What is received is written by `append_group.sql` together with what became of it; `FeedTally`
makes its rows. Everything else here reads, but for rules and the watch's own beat.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.db.engine import Connection
from app.domain.backlog import WINDOW, Backlog, Level
from app.domain.feed import Feed
from app.domain.feed_watch import (
    LAG_CLASSES,
    LATE_AFTER,
    FeedRule,
    is_feed,
    lag_class,
)
from app.domain.rhythm import HORIZON, LEAST_HISTORY, hour_of
from app.domain.subject import decode

MOST_BROKEN_DOWN = 50
"""Reasons and sources that a backlog is broken down by, the largest first."""

_FEED = """
    s.source, s.first_seen_at, s.last_seen_at, s.resumed_at, s.silent_after_minutes, s.muted,
    f.version, f.state::text AS state
"""
_DUE = f"""
    SELECT {_FEED}
      FROM feed_source s LEFT JOIN feed f ON f.store_id = s.store_id AND f.source = s.source
     WHERE s.store_id = $1 AND s.look_at <= $2
     ORDER BY s.source LIMIT $3
"""
_ALL = f"""
    SELECT {_FEED}
      FROM feed_source s LEFT JOIN feed f ON f.store_id = s.store_id AND f.source = s.source
     WHERE s.store_id = $1
     ORDER BY s.source
"""
_STORES_WITH_DUE = """
    SELECT store_id FROM feed_source WHERE look_at <= $1 GROUP BY store_id ORDER BY store_id
"""
_NEXT_LOOK = "SELECT min(look_at) FROM feed_source"
_ACTIVE_HOURS = """
    SELECT hour FROM feed_hour
     WHERE store_id = $1 AND source = $2 AND hour >= $3 AND last_seen_at IS NOT NULL
"""
_SET_RULE = """
    UPDATE feed_source SET silent_after_minutes = $3, muted = $4, look_at = $5
     WHERE store_id = $1 AND source = $2
    RETURNING true
"""
_SUMS = """
    SELECT source,
           max(last_occurred_at) AS last_occurred_at,
           array_agg(CASE WHEN hour >= $2 THEN ARRAY[events, duplicates, quarantined]
                          ELSE ARRAY[0, 0, 0]::bigint[] END) AS today
      FROM feed_hour WHERE store_id = $1 GROUP BY store_id, source
"""
_BEAT = """
    INSERT INTO feed_beat AS b (id, beat_at, watched_from) VALUES (1, $1, $2)
    ON CONFLICT (id) DO UPDATE SET
        beat_at = greatest(b.beat_at, excluded.beat_at),
        watched_from = CASE WHEN excluded.beat_at - b.beat_at > $3
            THEN excluded.watched_from ELSE b.watched_from END
    RETURNING watched_from
"""
