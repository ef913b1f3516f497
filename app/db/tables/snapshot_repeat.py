"""Snapshots that were sent again with nothing new: kept beside the log, which gets nothing."""

from datetime import datetime

from sqlalchemy import BigInteger
from sqlalchemy import Text as SqlText
from sqlmodel import Field

from app.db.tables.base import INSTANT, Table, often_updated


class SnapshotRepeat(Table, table=True):
    """The last moment at which an order was said to be still as a snapshot showed it."""

    __tablename__ = "snapshot_repeat"
    __table_args__ = (often_updated(),)

    store_id: str = Field(primary_key=True, sa_type=SqlText)
    seq: int = Field(
        primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False}
    )
    last_at: datetime = Field(sa_type=INSTANT)
