"""State rows: one per subject, folded from its events; jsonb plus the columns that are indexed."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from app.db.tables.base import INSTANT, Table, often_updated


class RepairOrder(Table, table=True):
    """A repair order as its events tell it.

    `customer_no` is whom it names, else who owned its vehicle when it was here; `vin` is spelled
    as VINs are compared, the state has it as written.
    """

    __tablename__ = "repair_order"
    __table_args__ = (
        Index(None, "store_id", "opened_at", "ro_number"),
        Index(
            "ix_repair_order_in_shop",
            "store_id",
            "opened_at",
            "ro_number",
            postgresql_where=text("status IN ('open', 'ready_to_bill')"),
        ),
        Index(None, "store_id", "customer_no"),
        Index(None, "store_id", "vin", "customer_no"),
        Index(
            "ix_repair_order_unlinked",
            "store_id",
            "opened_at",
            "ro_number",
            postgresql_where=text("customer_no IS NULL OR vin IS NULL"),
        ),
        Index("ix_repair_order_comeback", "store_id", postgresql_where=text("has_comeback")),
        often_updated(),
    )

    store_id: str = Field(primary_key=True, sa_type=Text)
    ro_number: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(sa_type=BigInteger)
    state: dict[str, Any] = Field(sa_type=JSONB)
    status: str = Field(sa_type=Text)
    stage: str = Field(sa_type=Text)
    work_type: str | None = Field(default=None, sa_type=Text)
    advisor: str | None = Field(default=None, sa_type=Text)
    technician: str | None = Field(default=None, sa_type=Text)
    customer_no: str | None = Field(default=None, sa_type=Text)
    vin: str | None = Field(default=None, sa_type=Text)
    opened_at: datetime | None = Field(default=None, sa_type=INSTANT)
    promised_at: datetime | None = Field(default=None, sa_type=INSTANT)
    settled_at: datetime | None = Field(default=None, sa_type=INSTANT)
    delivered_at: datetime | None = Field(default=None, sa_type=INSTANT)
    has_comeback: bool = Field(
        default=False, sa_type=Boolean, sa_column_kwargs={"server_default": text("false")}
    )


class FollowUp(Table, table=True):
    """A call after a visit: the service's own, or one that a CRM keeps."""

    __tablename__ = "follow_up"
    __table_args__ = (
        Index(None, "store_id", "ro_number"),
        Index(None, "store_id", "due_at", "follow_up_id"),
        Index(None, "store_id", "customer_no"),
        often_updated(),
    )

    store_id: str = Field(primary_key=True, sa_type=Text)
    follow_up_id: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(sa_type=BigInteger)
    state: dict[str, Any] = Field(sa_type=JSONB)
    ro_number: str | None = Field(default=None, sa_type=Text)
    customer_no: str | None = Field(default=None, sa_type=Text)
    kind: str | None = Field(default=None, sa_type=Text)
    status: str = Field(sa_type=Text)
    assignee: str | None = Field(default=None, sa_type=Text)
    missed_on_arrival: bool = Field(
        default=False, sa_type=Boolean, sa_column_kwargs={"server_default": text("false")}
    )
    opens_at: datetime | None = Field(default=None, sa_type=INSTANT)
    target_at: datetime | None = Field(default=None, sa_type=INSTANT)
    due_at: datetime | None = Field(default=None, sa_type=INSTANT)
    completed_at: datetime | None = Field(default=None, sa_type=INSTANT)
    overdue: bool = Field(
        default=False, sa_type=Boolean, sa_column_kwargs={"server_default": text("false")}
    )


class Complaint(Table, table=True):
    """A complaint and how far its answer is."""

    __table_args__ = (
        Index(None, "store_id", "ro_number"),
        Index(None, "store_id", "opened_at", "complaint_id"),
        Index(None, "store_id", "customer_no"),
        often_updated(),
    )

    store_id: str = Field(primary_key=True, sa_type=Text)
    complaint_id: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(sa_type=BigInteger)
    state: dict[str, Any] = Field(sa_type=JSONB)
    ro_number: str | None = Field(default=None, sa_type=Text)
    customer_no: str | None = Field(default=None, sa_type=Text)
    status: str = Field(sa_type=Text)
    nature: str | None = Field(default=None, sa_type=Text)
    severity: str | None = Field(default=None, sa_type=Text)
    responsible: str | None = Field(default=None, sa_type=Text)
    opened_at: datetime | None = Field(default=None, sa_type=INSTANT)
    contact_due_at: datetime | None = Field(default=None, sa_type=INSTANT)
    contacted_at: datetime | None = Field(default=None, sa_type=INSTANT)
    overdue: bool = Field(
        default=False, sa_type=Boolean, sa_column_kwargs={"server_default": text("false")}
    )


class Customer(Table, table=True):
    """A customer's file, without anything personal.

    `surviving_no` is the number under which a merged one counts, over whatever steps; null for
    those that count under their own.
    """

    __table_args__ = (
        Index(
            "ix_customer_surviving",
            "store_id",
            "surviving_no",
            postgresql_where=text("surviving_no IS NOT NULL"),
        ),
        often_updated(),
    )

    store_id: str = Field(primary_key=True, sa_type=Text)
    customer_no: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(sa_type=BigInteger)
    state: dict[str, Any] = Field(sa_type=JSONB)
    surviving_no: str | None = Field(default=None, sa_type=Text)


class Vehicle(Table, table=True):
    """A car and whose it is."""

    __table_args__ = (
        Index(None, "store_id", "customer_no"),
        Index(None, "store_id", "spelled_alike"),
        often_updated(),
    )

    store_id: str = Field(primary_key=True, sa_type=Text)
    vin: str = Field(primary_key=True, sa_type=Text)
    spelled_alike: str = Field(sa_type=Text)
    version: int = Field(sa_type=BigInteger)
    state: dict[str, Any] = Field(sa_type=JSONB)
    customer_no: str | None = Field(default=None, sa_type=Text)


class Staff(Table, table=True):
    """A member of staff."""

    __table_args__ = (often_updated(),)

    store_id: str = Field(primary_key=True, sa_type=Text)
    staff_no: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(sa_type=BigInteger)
    state: dict[str, Any] = Field(sa_type=JSONB)


class Timecard(Table, table=True):
    """One person's hours of one day; its key is `<staff number>/<work date>`."""

    __table_args__ = (often_updated(),)

    store_id: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(sa_type=BigInteger)
    state: dict[str, Any] = Field(sa_type=JSONB)
    work_date: date | None = Field(default=None, sa_type=Date)


class StaffMention(Table, table=True):
    """Somebody whom a state names by surrogate; written with the state."""

    __tablename__ = "staff_mention"
    __table_args__ = (Index(None, "store_id", "surrogate", "last_seen_at"),)

    store_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    surrogate: str = Field(primary_key=True, sa_type=Text)
    role: str = Field(primary_key=True, sa_type=Text)
    first_seen_at: datetime = Field(sa_type=INSTANT)
    last_seen_at: datetime = Field(sa_type=INSTANT)
