"""What came in and could not be taken: kept as it was sent, with the reason."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from app.db.tables.base import INSTANT, Table


class Quarantine(Table, table=True):
    """One refused event; `store_id` is '' where none could be read."""

    __table_args__ = (
        Index(
            "uq_quarantine_waiting_body",
            "store_id",
            "body_hash",
            unique=True,
            postgresql_where=text("state = 'waiting'"),
        ),
        Index(None, "store_id", "received_at"),
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
