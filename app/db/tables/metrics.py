"""Facts, their sums per day, what was published, and the runs that made it."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Date, Index, Integer, Numeric, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

from app.db.tables.base import INSTANT, Table, often_updated


class JobRun(Table, table=True):
    """A run of a job for a day, claimed by one process."""

    __tablename__ = "job_run"

    store_id: str = Field(primary_key=True, sa_type=Text)
    job: str = Field(primary_key=True, sa_type=Text)
    run_date: date = Field(primary_key=True, sa_type=Date)
    state: str = Field(sa_type=Text)
    claimed_by: str | None = Field(default=None, sa_type=Text)
    started_at: datetime | None = Field(default=None, sa_type=INSTANT)
    lease_until: datetime | None = Field(default=None, sa_type=INSTANT)
    finished_at: datetime | None = Field(default=None, sa_type=INSTANT)
    as_of_seq: int | None = Field(default=None, sa_type=BigInteger)
    error: str | None = Field(default=None, sa_type=Text)
    detail: dict[str, Any] | None = Field(default=None, sa_type=JSONB)


class Fact(Table, table=True):
    """What counts of one subject, for which day and whom, and why; parallel arrays per KPI."""

    __table_args__ = (Index(None, "store_id", "day"), often_updated())

    store_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    basis: str = Field(primary_key=True, sa_type=Text)
    day: date = Field(sa_type=Date)
    advisor: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": text("''")})
    technician: str = Field(
        default="", sa_type=Text, sa_column_kwargs={"server_default": text("''")}
    )
    team: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": text("''")})
    work_type: str = Field(
        default="", sa_type=Text, sa_column_kwargs={"server_default": text("''")}
    )
    assignee: str = Field(
        default="", sa_type=Text, sa_column_kwargs={"server_default": text("''")}
    )
    nature: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": text("''")})
    codes: list[str] = Field(sa_type=ARRAY(Text))
    numerators: list[Decimal | None] = Field(sa_type=ARRAY(Numeric))
    denominators: list[Decimal | None] = Field(sa_type=ARRAY(Numeric))
    reasons: list[str] = Field(sa_type=ARRAY(Text))
    sorts: list[int] = Field(sa_type=ARRAY(BigInteger))
    judged_seq: int = Field(sa_type=BigInteger)


class KpiDay(Table, table=True):
    """Sums of a day: reason '' holds what counted, any other what was left out for it."""

    __tablename__ = "kpi_day"
    __table_args__ = (often_updated(),)

    store_id: str = Field(primary_key=True, sa_type=Text)
    code: str = Field(primary_key=True, sa_type=Text)
    grain: str = Field(primary_key=True, sa_type=Text)
    day: date = Field(primary_key=True, sa_type=Date)  # last: a KPI is read by ranges of days
    member: str = Field(primary_key=True, sa_type=Text)
    reason: str = Field(primary_key=True, sa_type=Text)
    numerator: Decimal | None = Field(default=None, sa_type=Numeric)
    denominator: Decimal | None = Field(default=None, sa_type=Numeric)
    count: int = Field(sa_type=BigInteger)


class KpiPublished(Table, table=True):
    """A published value; a restatement is a new version, nothing is overwritten."""

    __tablename__ = "kpi_published"

    store_id: str = Field(primary_key=True, sa_type=Text)
    code: str = Field(primary_key=True, sa_type=Text)
    period: str = Field(primary_key=True, sa_type=Text)
    period_start: date = Field(primary_key=True, sa_type=Date)
    grain: str = Field(primary_key=True, sa_type=Text)
    member: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(
        primary_key=True, sa_type=Integer, sa_column_kwargs={"autoincrement": False}
    )
    period_end: date = Field(sa_type=Date)
    numerator: Decimal | None = Field(default=None, sa_type=Numeric)
    denominator: Decimal | None = Field(default=None, sa_type=Numeric)
    value: Decimal | None = Field(default=None, sa_type=Numeric)
    as_of_seq: int = Field(sa_type=BigInteger)
    published_at: datetime = Field(sa_type=INSTANT)


class FactRevision(Table, table=True):
    """How a fact of a published day changed, and the news that changed it."""

    __tablename__ = "fact_revision"

    store_id: str = Field(primary_key=True, sa_type=Text)
    judged_seq: int = Field(
        primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False}
    )
    kind: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    basis: str = Field(primary_key=True, sa_type=Text)
    before: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    after: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    from_seq: int = Field(sa_type=BigInteger)


class MetricsCursor(Table, table=True):
    """How far the facts of a store follow its log; the last night's date and seq (`closed_*`)."""

    __tablename__ = "metrics_cursor"
    __table_args__ = (often_updated(50),)

    store_id: str = Field(primary_key=True, sa_type=Text)
    seq: int = Field(sa_type=BigInteger)
    closed_until: date | None = Field(default=None, sa_type=Date)
    closed_seq: int | None = Field(default=None, sa_type=BigInteger)
    time_zone: str | None = Field(default=None, sa_type=Text)
