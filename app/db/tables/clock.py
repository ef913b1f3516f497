"""Clocks: the deadlines that run, and what became of them."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Index, Integer, Numeric, Text, text
from sqlmodel import Field

from app.db.tables.base import INSTANT, Table, often_updated


class Clock(Table, table=True):
    """A deadline with its opening and closing bound; `next_at` is when it must be looked at."""

    __table_args__ = (
        Index(
            "ix_clock_running", "store_id", "next_at", postgresql_where=text("state = 'running'")
        ),
        often_updated(),
    )

    store_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(primary_key=True, sa_type=Text)
    opens_at: datetime | None = Field(default=None, sa_type=INSTANT)
    target_at: datetime | None = Field(default=None, sa_type=INSTANT)
    due_at: datetime = Field(sa_type=INSTANT)
    next_at: datetime = Field(sa_type=INSTANT)
    state: str = Field(sa_type=Text)
    policy_version: int | None = Field(default=None, sa_type=Integer)
    detected_at: datetime | None = Field(default=None, sa_type=INSTANT)
    lag_seconds: Decimal | None = Field(default=None, sa_type=Numeric)
    failures: int = Field(
        default=0, sa_type=Integer, sa_column_kwargs={"server_default": text("0")}
    )
    error: str | None = Field(default=None, sa_type=Text)
