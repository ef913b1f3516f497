"""What came in and could not be taken: kept as it was sent, with the reason."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Index, Integer, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

from app.db.tables.base import INSTANT, Table, often_updated


class Quarantine(Table, table=True):
    """One refused event; `store_id` is '' where none could be read.

    `awaits_store` is the code that an event of an unknown store names, where its sender may write
    to that store: it enters by itself once the store is made. `run_id` is the run that handled it
    last. `came_to` is where it lay when it came, if it was moved to another store since. What
    comes again after it is done is counted in `again_count`; `alike_hash` tells the same row in
    a file of another format.
    """

    __table_args__ = (
        Index(
            "uq_quarantine_waiting_body",
            "store_id",
            "body_hash",
            unique=True,
            postgresql_where=text("state = 'waiting'"),
        ),
        Index(
            "ix_quarantine_done_body",
            "store_id",
            "body_hash",
            postgresql_where=text("state <> 'waiting'"),
        ),
        Index(
            "ix_quarantine_came_to",
            "came_to",
            "body_hash",
            postgresql_where=text("came_to IS NOT NULL"),
        ),
        Index(
            "ix_quarantine_alike",
            "store_id",
            "alike_hash",
            postgresql_where=text("alike_hash IS NOT NULL"),
        ),
        Index(None, "store_id", "received_at"),
        Index(None, "quarantine_id"),
        Index(
            "ix_quarantine_waiting",
            "store_id",
            "reason",
            "received_at",
            postgresql_where=text("state = 'waiting'"),
        ),
        Index(
            "ix_quarantine_awaits_store",
            "store_id",
            "awaits_store",
            postgresql_where=text("state = 'waiting' AND awaits_store IS NOT NULL"),
        ),
        Index(
            "ix_quarantine_run",
            "store_id",
            "run_id",
            postgresql_where=text("run_id IS NOT NULL"),
        ),
        Index(
            "ix_quarantine_waiting_received",
            "store_id",
            "received_at",
            postgresql_where=text("state = 'waiting'"),
        ),
        Index(
            "ix_quarantine_waiting_retraction",
            "store_id",
            "target_source",
            "target_id",
            postgresql_where=text("state = 'waiting' AND reason = 'retraction-target-unknown'"),
        ),
    )

    store_id: str = Field(primary_key=True, sa_type=Text)
    quarantine_id: str = Field(primary_key=True, sa_type=Text)
    state: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    errors: list[Any] = Field(sa_type=JSONB)
    body: bytes = Field(sa_type=LargeBinary)
    body_hash: bytes = Field(sa_type=LargeBinary)
    content_type: str | None = Field(default=None, sa_type=Text)
    attributes: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    source: str | None = Field(default=None, sa_type=Text)
    event_id: str | None = Field(default=None, sa_type=Text)
    type: str | None = Field(default=None, sa_type=Text)
    subject: str | None = Field(default=None, sa_type=Text)
    target_source: str | None = Field(default=None, sa_type=Text)
    target_id: str | None = Field(default=None, sa_type=Text)
    received_at: datetime = Field(sa_type=INSTANT)
    last_seen_at: datetime = Field(sa_type=INSTANT)
    seen_count: int = Field(
        default=1, sa_type=Integer, sa_column_kwargs={"server_default": text("1")}
    )
    seq: int | None = Field(default=None, sa_type=BigInteger)
    resolved_at: datetime | None = Field(default=None, sa_type=INSTANT)
    discard_reason: str | None = Field(default=None, sa_type=Text)
    resolved_by: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    corrections: list[Any] | None = Field(default=None, sa_type=JSONB)
    awaits_store: str | None = Field(default=None, sa_type=Text)
    run_id: str | None = Field(default=None, sa_type=Text)
    alike_hash: bytes | None = Field(default=None, sa_type=LargeBinary)
    came_to: str | None = Field(default=None, sa_type=Text)
    again_count: int = Field(
        default=0, sa_type=Integer, sa_column_kwargs={"server_default": text("0")}
    )
    again_at: datetime | None = Field(default=None, sa_type=INSTANT)


class QuarantineRun(Table, table=True):
    """A replay or a discarding of many items, done by whichever process claims it.

    It may be about all stores, so it belongs to none, like an endpoint of webhooks.
    """

    __tablename__ = "quarantine_run"
    __table_args__ = (
        Index(
            "uq_quarantine_run_awaited",
            "awaits_store",
            unique=True,
            postgresql_where=text("awaits_store IS NOT NULL AND state IN ('queued', 'running')"),
        ),
        Index(
            "ix_quarantine_run_open",
            "run_id",
            postgresql_where=text("state IN ('queued', 'running')"),
        ),
        often_updated(),
    )

    run_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(sa_type=Text)
    stores: list[str] | None = Field(default=None, sa_type=ARRAY(Text))
    filter: dict[str, Any] = Field(sa_type=JSONB)
    awaits_store: str | None = Field(default=None, sa_type=Text)
    action: dict[str, Any] = Field(sa_type=JSONB)
    dry_run: bool = Field(
        default=False, sa_type=Boolean, sa_column_kwargs={"server_default": text("false")}
    )
    requested_by: dict[str, Any] = Field(sa_type=JSONB)
    requested_at: datetime = Field(sa_type=INSTANT)
    until_id: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    total: int = Field(sa_type=Integer)
    accepted: int = Field(
        default=0, sa_type=Integer, sa_column_kwargs={"server_default": text("0")}
    )
    discarded: int = Field(
        default=0, sa_type=Integer, sa_column_kwargs={"server_default": text("0")}
    )
    waiting: dict[str, Any] = Field(
        sa_type=JSONB, sa_column_kwargs={"server_default": text("'{}'")}
    )
    position: str = Field(
        default="", sa_type=Text, sa_column_kwargs={"server_default": text("''")}
    )
    claimed_by: str | None = Field(default=None, sa_type=Text)
    lease_until: datetime | None = Field(default=None, sa_type=INSTANT)
    started_at: datetime | None = Field(default=None, sa_type=INSTANT)
    finished_at: datetime | None = Field(default=None, sa_type=INSTANT)
    error: str | None = Field(default=None, sa_type=Text)
