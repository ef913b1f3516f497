"""The log. Only `app.db.event_log` touches it."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, LargeBinary, SmallInteger, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from app.db.tables.base import INSTANT, Table


class Event(Table, table=True):
    """A fact or decision, as it was recorded; never changed (`sql/append_only.sql`)."""

    __table_args__ = (
        UniqueConstraint("store_id", "source", "event_id"),
        Index(None, "store_id", "kind", "key"),
    )

    store_id: str = Field(primary_key=True, sa_type=Text)
    seq: int = Field(
        primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False}
    )
    source: str = Field(sa_type=Text)
    event_id: str = Field(sa_type=Text)
    type: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    key: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    occurred_at: datetime = Field(sa_type=INSTANT)
    recorded_at: datetime = Field(sa_type=INSTANT)
    schema_version: int = Field(sa_type=SmallInteger)
    correlation_id: str | None = Field(default=None, sa_type=Text)
    causation_id: str | None = Field(default=None, sa_type=Text)
    data: dict[str, Any] = Field(sa_type=JSONB)
    content_hash: bytes = Field(sa_type=LargeBinary)
