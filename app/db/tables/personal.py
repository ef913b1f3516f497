"""What events carry about people, and fields that nobody knows: beside the log, erasable."""

from typing import Any

from sqlalchemy import BigInteger, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from app.db.tables.base import Table


class Personal(Table, table=True):
    """Personal and unknown fields of one event."""

    __table_args__ = (
        Index(None, "store_id", "kind", "key"),
        Index(None, "store_id", "customer_no", postgresql_where=text("customer_no IS NOT NULL")),
        Index(
            "ix_personal_plate",
            "store_id",
            # an unknown field may have that name, and be longer than an index takes
            text("\"left\"(fields ->> 'plate', 128)"),
            postgresql_where=text("fields ? 'plate'"),
        ),
    )

    store_id: str = Field(primary_key=True, sa_type=Text)
    seq: int = Field(
        primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False}
    )
    kind: str = Field(sa_type=Text)
    key: str = Field(sa_type=Text)
    customer_no: str | None = Field(default=None, sa_type=Text)
    fields: dict[str, Any] = Field(sa_type=JSONB)
