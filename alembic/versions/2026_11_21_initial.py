"""The first schema: stores, the log, states, clocks, quarantine, access, webhooks, metrics."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.db.sql import execute_file

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# files of app/db/sql, executed in this order once the tables are there; grants come last
SQL_FILES = (
    "append_only.sql",
    "read_group.sql",
    "append_group.sql",
    "grants.sql",
)


def upgrade() -> None:
    op.create_table(
        "access_key",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("stores", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_access_key")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_access_key_token_hash")),
    )
    op.create_table(
        "clock",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("opens_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("target_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=True),
        sa.Column("detected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lag_seconds", sa.Numeric(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("store_id", "kind", "key", "name", name=op.f("pk_clock")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "ix_clock_running",
        "clock",
        ["store_id", "next_at"],
        unique=False,
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "complaint",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("complaint_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("ro_number", sa.Text(), nullable=True),
        sa.Column("customer_no", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("nature", sa.Text(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=True),
        sa.Column("responsible", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("contact_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("contacted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("overdue", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "complaint_id", name=op.f("pk_complaint")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        op.f("ix_complaint_store_id_customer_no"),
        "complaint",
        ["store_id", "customer_no"],
        unique=False,
    )
    op.create_index(
        op.f("ix_complaint_store_id_opened_at_complaint_id"),
        "complaint",
        ["store_id", "opened_at", "complaint_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_complaint_store_id_ro_number"),
        "complaint",
        ["store_id", "ro_number"],
        unique=False,
    )
    op.create_table(
        "customer",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("customer_no", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "customer_no", name=op.f("pk_customer")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_table(
        "event",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("schema_version", sa.SmallInteger(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=True),
        sa.Column("causation_id", sa.Text(), nullable=True),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "seq", name=op.f("pk_event")),
        sa.UniqueConstraint(
            "store_id", "source", "event_id", name=op.f("uq_event_store_id_source_event_id")
        ),
    )
    op.create_index(
        op.f("ix_event_store_id_kind_key"), "event", ["store_id", "kind", "key"], unique=False
    )
    op.create_table(
        "fact",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("advisor", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("technician", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("team", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("work_type", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("assignee", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("nature", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("codes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("numerators", postgresql.ARRAY(sa.Numeric()), nullable=False),
        sa.Column("denominators", postgresql.ARRAY(sa.Numeric()), nullable=False),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("sorts", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("judged_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "kind", "key", "basis", name=op.f("pk_fact")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(op.f("ix_fact_store_id_day"), "fact", ["store_id", "day"], unique=False)
    op.create_table(
        "fact_revision",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("judged_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("from_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "store_id", "judged_seq", "kind", "key", "basis", name=op.f("pk_fact_revision")
        ),
    )
    op.create_table(
        "follow_up",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("follow_up_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("ro_number", sa.Text(), nullable=True),
        sa.Column("customer_no", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("assignee", sa.Text(), nullable=True),
        sa.Column(
            "missed_on_arrival", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("opens_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("target_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("overdue", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "follow_up_id", name=op.f("pk_follow_up")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        op.f("ix_follow_up_store_id_customer_no"),
        "follow_up",
        ["store_id", "customer_no"],
        unique=False,
    )
    op.create_index(
        op.f("ix_follow_up_store_id_due_at_follow_up_id"),
        "follow_up",
        ["store_id", "due_at", "follow_up_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_follow_up_store_id_ro_number"),
        "follow_up",
        ["store_id", "ro_number"],
        unique=False,
    )
    op.create_table(
        "idempotency",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "key", "principal", name=op.f("pk_idempotency")),
    )
    op.create_table(
        "installation",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_installation")),
    )
    op.create_table(
        "job_run",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("run_date", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("as_of_seq", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("store_id", "job", "run_date", name=op.f("pk_job_run")),
    )
    op.create_table(
        "kpi_day",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("grain", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("numerator", sa.Numeric(), nullable=True),
        sa.Column("denominator", sa.Numeric(), nullable=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "store_id", "code", "grain", "day", "member", "reason", name=op.f("pk_kpi_day")
        ),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_table(
        "kpi_published",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("period_start", sa.Date(), nullable=False),
        sa.Column("grain", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("period_end", sa.Date(), nullable=False),
        sa.Column("numerator", sa.Numeric(), nullable=True),
        sa.Column("denominator", sa.Numeric(), nullable=True),
        sa.Column("value", sa.Numeric(), nullable=True),
        sa.Column("as_of_seq", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "store_id",
            "code",
            "period",
            "period_start",
            "grain",
            "member",
            "version",
            name=op.f("pk_kpi_published"),
        ),
    )
    op.create_table(
        "metrics_cursor",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("closed_until", sa.Date(), nullable=True),
        sa.Column("closed_seq", sa.BigInteger(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("store_id", name=op.f("pk_metrics_cursor")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "personal",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("customer_no", sa.Text(), nullable=True),
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "seq", name=op.f("pk_personal")),
    )
    op.create_index(
        op.f("ix_personal_store_id_customer_no"),
        "personal",
        ["store_id", "customer_no"],
        unique=False,
        postgresql_where=sa.text("customer_no IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_personal_store_id_kind_key"),
        "personal",
        ["store_id", "kind", "key"],
        unique=False,
    )
    op.create_table(
        "quarantine",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("quarantine_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("errors", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("attributes", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("target_source", sa.Text(), nullable=True),
        sa.Column("target_id", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_count", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("discard_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("store_id", "quarantine_id", name=op.f("pk_quarantine")),
    )
    op.create_index(
        op.f("ix_quarantine_store_id_received_at"),
        "quarantine",
        ["store_id", "received_at"],
        unique=False,
    )
    op.create_index(
        "ix_quarantine_waiting_retraction",
        "quarantine",
        ["store_id", "target_source", "target_id"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting' AND reason = 'retraction-target-unknown'"),
    )
    op.create_index(
        "uq_quarantine_waiting_body",
        "quarantine",
        ["store_id", "body_hash"],
        unique=True,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "repair_order",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("ro_number", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("work_type", sa.Text(), nullable=True),
        sa.Column("advisor", sa.Text(), nullable=True),
        sa.Column("technician", sa.Text(), nullable=True),
        sa.Column("customer_no", sa.Text(), nullable=True),
        sa.Column("vin", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("promised_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("has_comeback", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "ro_number", name=op.f("pk_repair_order")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "ix_repair_order_comeback",
        "repair_order",
        ["store_id"],
        unique=False,
        postgresql_where=sa.text("has_comeback"),
    )
    op.create_index(
        "ix_repair_order_in_shop",
        "repair_order",
        ["store_id", "opened_at", "ro_number"],
        unique=False,
        postgresql_where=sa.text("status IN ('open', 'ready_to_bill')"),
    )
    op.create_index(
        op.f("ix_repair_order_store_id_customer_no"),
        "repair_order",
        ["store_id", "customer_no"],
        unique=False,
    )
    op.create_index(
        op.f("ix_repair_order_store_id_opened_at_ro_number"),
        "repair_order",
        ["store_id", "opened_at", "ro_number"],
        unique=False,
    )
    op.create_index(
        op.f("ix_repair_order_store_id_vin"), "repair_order", ["store_id", "vin"], unique=False
    )
    op.create_table(
        "sandbox_clock",
        sa.Column(
            "id", sa.Integer(), server_default=sa.text("1"), autoincrement=False, nullable=False
        ),
        sa.Column("offset_seconds", sa.Numeric(), nullable=False),
        sa.Column("moving_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mover", sa.Text(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_sandbox_clock_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sandbox_clock")),
    )
    op.create_table(
        "staff",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("staff_no", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "staff_no", name=op.f("pk_staff")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_table(
        "store",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store_id", name=op.f("pk_store")),
    )
    op.create_table(
        "stream_head",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("waiting_retractions", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("store_id", name=op.f("pk_stream_head")),
        postgresql_with={"fillfactor": "10"},
    )
    op.create_table(
        "timecard",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("work_date", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("store_id", "key", name=op.f("pk_timecard")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_table(
        "vehicle",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("vin", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("customer_no", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("store_id", "vin", name=op.f("pk_vehicle")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        op.f("ix_vehicle_store_id_customer_no"),
        "vehicle",
        ["store_id", "customer_no"],
        unique=False,
    )
    op.create_table(
        "webhook_attempt",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("response_excerpt", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "store_id", "delivery_id", "attempt", name=op.f("pk_webhook_attempt")
        ),
    )
    op.create_table(
        "webhook_cursor",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "endpoint_id", name=op.f("pk_webhook_cursor")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("store_id", "delivery_id", name=op.f("pk_webhook_delivery")),
        sa.UniqueConstraint(
            "store_id",
            "endpoint_id",
            "seq",
            name=op.f("uq_webhook_delivery_store_id_endpoint_id_seq"),
        ),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        op.f("ix_webhook_delivery_endpoint_id_delivery_id"),
        "webhook_delivery",
        ["endpoint_id", "delivery_id"],
        unique=False,
    )
    op.create_index(
        "ix_webhook_delivery_pending",
        "webhook_delivery",
        ["store_id", "next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "webhook_endpoint",
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("previous_secret", sa.Text(), nullable=True),
        sa.Column("previous_secret_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("event_types", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("stores", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("include_late", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("pk_webhook_endpoint")),
    )
    for name in SQL_FILES:
        execute_file(name)


def downgrade() -> None:
    op.drop_table("webhook_endpoint")
    op.drop_index(
        "ix_webhook_delivery_pending",
        table_name="webhook_delivery",
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.drop_index(
        op.f("ix_webhook_delivery_endpoint_id_delivery_id"), table_name="webhook_delivery"
    )
    op.drop_table("webhook_delivery")
    op.drop_table("webhook_cursor")
    op.drop_table("webhook_attempt")
    op.drop_index(op.f("ix_vehicle_store_id_customer_no"), table_name="vehicle")
    op.drop_table("vehicle")
    op.drop_table("timecard")
    op.drop_table("stream_head")
    op.drop_table("store")
    op.drop_table("staff")
    op.drop_table("sandbox_clock")
    op.drop_index(op.f("ix_repair_order_store_id_vin"), table_name="repair_order")
    op.drop_index(op.f("ix_repair_order_store_id_opened_at_ro_number"), table_name="repair_order")
    op.drop_index(op.f("ix_repair_order_store_id_customer_no"), table_name="repair_order")
    op.drop_index(
        "ix_repair_order_in_shop",
        table_name="repair_order",
        postgresql_where=sa.text("status IN ('open', 'ready_to_bill')"),
    )
    op.drop_index(
        "ix_repair_order_comeback",
        table_name="repair_order",
        postgresql_where=sa.text("has_comeback"),
    )
    op.drop_table("repair_order")
    op.drop_index(
        "uq_quarantine_waiting_body",
        table_name="quarantine",
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.drop_index(
        "ix_quarantine_waiting_retraction",
        table_name="quarantine",
        postgresql_where=sa.text("state = 'waiting' AND reason = 'retraction-target-unknown'"),
    )
    op.drop_index(op.f("ix_quarantine_store_id_received_at"), table_name="quarantine")
    op.drop_table("quarantine")
    op.drop_index(op.f("ix_personal_store_id_kind_key"), table_name="personal")
    op.drop_index(
        op.f("ix_personal_store_id_customer_no"),
        table_name="personal",
        postgresql_where=sa.text("customer_no IS NOT NULL"),
    )
    op.drop_table("personal")
    op.drop_table("metrics_cursor")
    op.drop_table("kpi_published")
    op.drop_table("kpi_day")
    op.drop_table("job_run")
    op.drop_table("installation")
    op.drop_table("idempotency")
    op.drop_index(op.f("ix_follow_up_store_id_ro_number"), table_name="follow_up")
    op.drop_index(op.f("ix_follow_up_store_id_due_at_follow_up_id"), table_name="follow_up")
    op.drop_index(op.f("ix_follow_up_store_id_customer_no"), table_name="follow_up")
    op.drop_table("follow_up")
    op.drop_table("fact_revision")
    op.drop_index(op.f("ix_fact_store_id_day"), table_name="fact")
    op.drop_table("fact")
    op.drop_index(op.f("ix_event_store_id_kind_key"), table_name="event")
    op.drop_table("event")
    op.drop_table("customer")
    op.drop_index(op.f("ix_complaint_store_id_ro_number"), table_name="complaint")
    op.drop_index(op.f("ix_complaint_store_id_opened_at_complaint_id"), table_name="complaint")
    op.drop_index(op.f("ix_complaint_store_id_customer_no"), table_name="complaint")
    op.drop_table("complaint")
    op.drop_index(
        "ix_clock_running", table_name="clock", postgresql_where=sa.text("state = 'running'")
    )
    op.drop_table("clock")
    op.drop_table("access_key")
    op.execute("DROP FUNCTION append_group(jsonb)")
    op.execute("DROP FUNCTION read_group(text[], text[], text[], text[], text[], text[], text[])")
    op.execute("DROP FUNCTION event_is_append_only()")
