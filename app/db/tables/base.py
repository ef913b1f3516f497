"""What all tables share: one metadata, one naming convention, the column types in use."""

from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy import DateTime, MetaData
from sqlmodel import SQLModel

INSTANT = DateTime(timezone=True)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Table(SQLModel):
    """A row of the database. Table models stay inside `app.db`: they check nothing."""

    metadata: ClassVar[MetaData] = metadata


def often_updated(fillfactor: int = 80) -> Mapping[str, Any]:
    """Table options that leave room in each page, so that an update stays in its page."""
    return {"postgresql_with": {"fillfactor": str(fillfactor)}}
