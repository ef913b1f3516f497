"""Keys, answers kept for a repeated request, and values of the installation."""

from datetime import datetime
from typing import Any

from sqlalchemy import Integer, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

from app.db.tables.base import INSTANT, Table


class AccessKey(Table, table=True):
    """A bearer key: its hash, what it may do, and where (`stores` null: everywhere)."""

    __tablename__ = "access_key"

    key_id: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    token_hash: bytes = Field(sa_type=LargeBinary, unique=True)
    scopes: list[str] = Field(sa_type=ARRAY(Text))
    stores: list[str] | None = Field(default=None, sa_type=ARRAY(Text))
    created_at: datetime = Field(sa_type=INSTANT)
    last_used_at: datetime | None = Field(default=None, sa_type=INSTANT)
    revoked_at: datetime | None = Field(default=None, sa_type=INSTANT)


class Idempotency(Table, table=True):
    """The answer given to a write with an `Idempotency-Key`."""

    store_id: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    principal: str = Field(primary_key=True, sa_type=Text)
    request_hash: bytes = Field(sa_type=LargeBinary)
    status: int = Field(sa_type=Integer)
    headers: dict[str, Any] = Field(sa_type=JSONB)
    body: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(sa_type=INSTANT)


class Installation(Table, table=True):
    """A value that belongs to this installation, such as the secret of content hashes."""

    name: str = Field(primary_key=True, sa_type=Text)
    value: str = Field(sa_type=Text)
