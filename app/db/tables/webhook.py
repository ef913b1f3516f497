"""Webhook endpoints, how far each has read, what is to be delivered, and each try."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field

from app.db.tables.base import INSTANT, Table, often_updated


class WebhookEndpoint(Table, table=True):
    """Where notices go, which ones (`event_types`, `stores` null: the default, all)."""

    __tablename__ = "webhook_endpoint"

    endpoint_id: str = Field(primary_key=True, sa_type=Text)
    url: str = Field(sa_type=Text)
    description: str | None = Field(default=None, sa_type=Text)
    secret: str = Field(sa_type=Text)
    previous_secret: str | None = Field(default=None, sa_type=Text)
    previous_secret_until: datetime | None = Field(default=None, sa_type=INSTANT)
    event_types: list[str] | None = Field(default=None, sa_type=ARRAY(Text))
    stores: list[str] | None = Field(default=None, sa_type=ARRAY(Text))
    include_late: bool = Field(
        default=False, sa_type=Boolean, sa_column_kwargs={"server_default": text("false")}
    )
    state: str = Field(sa_type=Text)
    disabled_reason: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(sa_type=INSTANT)
    updated_at: datetime = Field(sa_type=INSTANT)


class WebhookCursor(Table, table=True):
    """How far an endpoint has read a store's log."""

    __tablename__ = "webhook_cursor"
    __table_args__ = (often_updated(50),)

    store_id: str = Field(primary_key=True, sa_type=Text)
    endpoint_id: str = Field(primary_key=True, sa_type=Text)
    seq: int = Field(sa_type=BigInteger)


class WebhookDelivery(Table, table=True):
    """One event for one endpoint, claimed with a lease by whoever sends it."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        UniqueConstraint("store_id", "endpoint_id", "seq"),
        Index(None, "endpoint_id", "delivery_id"),
        Index(
            "ix_webhook_delivery_pending",
            "store_id",
            "next_attempt_at",
            postgresql_where=text("state = 'pending'"),
        ),
        often_updated(),
    )

    store_id: str = Field(primary_key=True, sa_type=Text)
    delivery_id: str = Field(primary_key=True, sa_type=Text)
    endpoint_id: str = Field(sa_type=Text)
    seq: int = Field(sa_type=BigInteger)
    type: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    attempts: int = Field(
        default=0, sa_type=Integer, sa_column_kwargs={"server_default": text("0")}
    )
    next_attempt_at: datetime = Field(sa_type=INSTANT)
    lease_until: datetime | None = Field(default=None, sa_type=INSTANT)
    lease_owner: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(sa_type=INSTANT)
    finished_at: datetime | None = Field(default=None, sa_type=INSTANT)


class WebhookAttempt(Table, table=True):
    """One try of a delivery."""

    __tablename__ = "webhook_attempt"

    store_id: str = Field(primary_key=True, sa_type=Text)
    delivery_id: str = Field(primary_key=True, sa_type=Text)
    attempt: int = Field(
        primary_key=True, sa_type=Integer, sa_column_kwargs={"autoincrement": False}
    )
    started_at: datetime = Field(sa_type=INSTANT)
    duration_ms: int = Field(sa_type=Integer)
    status: int | None = Field(default=None, sa_type=Integer)
    error: str | None = Field(default=None, sa_type=Text)
    response_excerpt: str | None = Field(default=None, sa_type=Text)
