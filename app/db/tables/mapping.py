"""Mappings of sources, as their operators wrote them."""

from datetime import datetime

from sqlalchemy import Integer, Text
from sqlmodel import Field

from app.db.tables.base import INSTANT, Table


class Mapping(Table, table=True):
    """One version of the mapping of a source; `body` is its YAML, never changed.

    A small reference table: a source belongs to a vendor's system, not to a store. `store` names
    the only store that it is for, where there is one.
    """

    source: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(
        primary_key=True, sa_type=Integer, sa_column_kwargs={"autoincrement": False}
    )
    store: str | None = Field(default=None, sa_type=Text)
    title: str = Field(sa_type=Text)
    body: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=INSTANT)
