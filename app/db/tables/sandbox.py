"""The sandbox's moved clock."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, Integer, Numeric, Text, text
from sqlmodel import Field

from app.db.tables.base import INSTANT, Table


class SandboxClock(Table, table=True):
    """How far the service's time is ahead; one row, read by every process."""

    __tablename__ = "sandbox_clock"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(
        default=1,
        primary_key=True,
        sa_type=Integer,
        sa_column_kwargs={"autoincrement": False, "server_default": text("1")},
    )
    offset_seconds: Decimal = Field(sa_type=Numeric)
    moving_since: datetime | None = Field(default=None, sa_type=INSTANT)
    mover: str | None = Field(default=None, sa_type=Text)
