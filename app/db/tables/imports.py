"""Files that were imported, and those of the inbox that are being imported."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from app.db.tables.base import INSTANT, Table, often_updated


class FileImport(Table, table=True):
    """One file; while it is worked on, claimed with a lease by one process."""

    __tablename__ = "file_import"
    __table_args__ = (
        Index(
            "uq_file_import_working_name",
            "store_id",
            "name",
            unique=True,
            postgresql_where=text("state = 'working'"),
        ),
        Index(None, "store_id", "sha256"),
        often_updated(),
    )

    store_id: str = Field(primary_key=True, sa_type=Text)
    import_id: str = Field(primary_key=True, sa_type=Text)
    way: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    size: int = Field(sa_type=BigInteger)
    state: str = Field(sa_type=Text)
    started_at: datetime = Field(sa_type=INSTANT)
    finished_at: datetime | None = Field(default=None, sa_type=INSTANT)
    sha256: str | None = Field(default=None, sa_type=Text)
    same_as: str | None = Field(default=None, sa_type=Text)
    claimed_by: str | None = Field(default=None, sa_type=Text)
    lease_until: datetime | None = Field(default=None, sa_type=INSTANT)
    attempts: int = Field(
        default=1, sa_type=Integer, sa_column_kwargs={"server_default": text("1")}
    )
    moved_to: str | None = Field(default=None, sa_type=Text)
    summary: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
