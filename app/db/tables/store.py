"""Stores and the head of each store's stream."""

from datetime import datetime

from sqlalchemy import BigInteger, Integer, Text
from sqlmodel import Field

from app.db.tables.base import INSTANT, Table, often_updated


class Store(Table, table=True):
    """A shop: everything else is keyed by its code."""

    store_id: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    time_zone: str = Field(sa_type=Text)
    currency: str = Field(sa_type=Text)
    locale: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=INSTANT)
    updated_at: datetime = Field(sa_type=INSTANT)


class StreamHead(Table, table=True):
    """The last seq of a store's stream; its row lock gives the stream its order."""

    __tablename__ = "stream_head"
    __table_args__ = (often_updated(10),)

    store_id: str = Field(primary_key=True, sa_type=Text)
    seq: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    recorded_at: datetime = Field(sa_type=INSTANT)
    waiting_retractions: int = Field(sa_type=Integer, sa_column_kwargs={"server_default": "0"})
