"""Feeds: what was received of each source, hour by hour; its rule and when to look; cursors."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

from app.db.tables.base import INSTANT, Table, often_updated

_ZERO = {"server_default": text("0")}


class FeedHour(Table, table=True):
    """What was received of a source in an hour of UTC; derived from log and quarantine.

    `last_seen_at` is null where nothing came from the feed itself: only replays of what it sent
    before. `lag_counts` counts the events by their class of lag.
    """

    __tablename__ = "feed_hour"
    __table_args__ = (Index(None, "store_id", "hour"), often_updated(50))

    store_id: str = Field(primary_key=True, sa_type=Text)
    source: str = Field(primary_key=True, sa_type=Text)
    hour: datetime = Field(primary_key=True, sa_type=INSTANT)
    events: int = Field(sa_type=BigInteger, sa_column_kwargs=_ZERO)
    duplicates: int = Field(sa_type=BigInteger, sa_column_kwargs=_ZERO)
    quarantined: int = Field(sa_type=BigInteger, sa_column_kwargs=_ZERO)
    late: int = Field(sa_type=BigInteger, sa_column_kwargs=_ZERO)
    lag_counts: list[int] = Field(sa_type=ARRAY(BigInteger))
    lag_max_seconds: int = Field(sa_type=BigInteger, sa_column_kwargs=_ZERO)
    last_seen_at: datetime | None = Field(default=None, sa_type=INSTANT)
    last_occurred_at: datetime | None = Field(default=None, sa_type=INSTANT)


class FeedSource(Table, table=True):
    """A source that was heard of: when, its rule, and when it is to be looked at."""

    __tablename__ = "feed_source"
    __table_args__ = (
        Index("ix_feed_source_look", "look_at", postgresql_where=text("look_at IS NOT NULL")),
        often_updated(50),
    )

    store_id: str = Field(primary_key=True, sa_type=Text)
    source: str = Field(primary_key=True, sa_type=Text)
    first_seen_at: datetime = Field(sa_type=INSTANT)
    last_seen_at: datetime = Field(sa_type=INSTANT)
    look_at: datetime | None = Field(default=None, sa_type=INSTANT)
    silent: bool = Field(
        default=False, sa_type=Boolean, sa_column_kwargs={"server_default": text("false")}
    )
    resumed_at: datetime | None = Field(default=None, sa_type=INSTANT)
    silent_after_minutes: int | None = Field(default=None, sa_type=Integer)
    muted: bool = Field(
        default=False, sa_type=Boolean, sa_column_kwargs={"server_default": text("false")}
    )


class Feed(Table, table=True):
    """Whether a source is silent, and was before, as the log says."""

    __table_args__ = (often_updated(),)

    store_id: str = Field(primary_key=True, sa_type=Text)
    source: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(sa_type=BigInteger)
    state: dict[str, Any] = Field(sa_type=JSONB)
    silent: bool = Field(sa_type=Boolean)


class Backlog(Table, table=True):
    """Whether a store's quarantine grows unusually, as the log says; its key is the store."""

    __table_args__ = (often_updated(),)

    store_id: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(sa_type=BigInteger)
    state: dict[str, Any] = Field(sa_type=JSONB)
    growing: bool = Field(sa_type=Boolean)


class FeedBeat(Table, table=True):
    """Since when feeds are watched without a break; one row, like the sandbox's clock.

    `beat_at` is by the machine's clock: a time that was moved is no break.
    """

    __tablename__ = "feed_beat"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(
        default=1,
        primary_key=True,
        sa_type=Integer,
        sa_column_kwargs={"autoincrement": False, "server_default": text("1")},
    )
    beat_at: datetime = Field(sa_type=INSTANT)
    watched_from: datetime = Field(sa_type=INSTANT)


class FeedCursor(Table, table=True):
    """How far a consumer has read a store's log, kept for it under a name."""

    __tablename__ = "feed_cursor"
    __table_args__ = (often_updated(50),)

    store_id: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(primary_key=True, sa_type=Text)
    seq: int = Field(sa_type=BigInteger)
    created_at: datetime = Field(sa_type=INSTANT)
    updated_at: datetime = Field(sa_type=INSTANT)
    updated_by: str = Field(sa_type=Text)
