"""The desk of the quarantine: corrections, who did what, and runs over many items."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.db.sql import execute_file

revision: str = "0008_desk"
down_revision: str | None = "0007_feeds"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "quarantine",
        sa.Column("resolved_by", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    )
    op.add_column(
        "quarantine",
        sa.Column("corrections", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    )
    op.add_column("quarantine", sa.Column("awaits_store", sa.Text(), nullable=True))
    op.add_column("quarantine", sa.Column("run_id", sa.Text(), nullable=True))
    op.create_index(
        op.f("ix_quarantine_quarantine_id"), "quarantine", ["quarantine_id"], unique=False
    )
    op.create_index(
        "ix_quarantine_waiting",
        "quarantine",
        ["store_id", "reason", "received_at"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_quarantine_awaits_store",
        "quarantine",
        ["store_id", "awaits_store"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting' AND awaits_store IS NOT NULL"),
    )
    op.create_index(
        "ix_quarantine_run",
        "quarantine",
        ["store_id", "run_id"],
        unique=False,
        postgresql_where=sa.text("run_id IS NOT NULL"),
    )
    op.create_table(
        "quarantine_run",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("stores", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("filter", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("awaits_store", sa.Text(), nullable=True),
        sa.Column("action", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("dry_run", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("requested_by", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("accepted", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("discarded", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "waiting",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("position", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_quarantine_run")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "uq_quarantine_run_awaited",
        "quarantine_run",
        ["awaits_store"],
        unique=True,
        postgresql_where=sa.text("awaits_store IS NOT NULL AND state IN ('queued', 'running')"),
    )
    op.create_index(
        "ix_quarantine_run_open",
        "quarantine_run",
        ["run_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    execute_file("append_group.sql")


def downgrade() -> None:
    # `append_group` stays: it is the file of the release that is installed, as after 0001
    op.drop_index("ix_quarantine_run_open", table_name="quarantine_run")
    op.drop_index("uq_quarantine_run_awaited", table_name="quarantine_run")
    op.drop_table("quarantine_run")
    op.drop_index("ix_quarantine_run", table_name="quarantine")
    op.drop_index("ix_quarantine_awaits_store", table_name="quarantine")
    op.drop_index("ix_quarantine_waiting", table_name="quarantine")
    op.drop_index(op.f("ix_quarantine_quarantine_id"), table_name="quarantine")
    op.drop_column("quarantine", "run_id")
    op.drop_column("quarantine", "awaits_store")
    op.drop_column("quarantine", "corrections")
    op.drop_column("quarantine", "resolved_by")
