"""Feeds: what came of each source by the hour, silences, the backlog, cursors of consumers."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.db.sql import execute_file

revision: str = "0007_feeds"
down_revision: str | None = "0006_file_imports"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

SQL_FILES = ("append_group.sql", "rebuild_feeds.sql")


def upgrade() -> None:
    op.create_table(
        "feed_hour",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)
            for name in ("events", "duplicates", "quarantined", "late")
        ),
        sa.Column("lag_counts", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("lag_max_seconds", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("store_id", "source", "hour", name=op.f("pk_feed_hour")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index(op.f("ix_feed_hour_store_id_hour"), "feed_hour", ["store_id", "hour"])
    op.create_table(
        "feed_source",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("silent", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("resumed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("silent_after_minutes", sa.Integer(), nullable=True),
        sa.Column("muted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "source", name=op.f("pk_feed_source")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index(
        "ix_feed_source_look",
        "feed_source",
        ["look_at"],
        postgresql_where=sa.text("look_at IS NOT NULL"),
    )
    for table, key, flag in (("feed", "source", "silent"), ("backlog", "key", "growing")):
        op.create_table(
            table,
            sa.Column("store_id", sa.Text(), nullable=False),
            sa.Column(key, sa.Text(), nullable=False),
            sa.Column("version", sa.BigInteger(), nullable=False),
            sa.Column("state", postgresql.JSONB(), nullable=False),
            sa.Column(flag, sa.Boolean(), nullable=False),
            sa.PrimaryKeyConstraint("store_id", key, name=op.f(f"pk_{table}")),
            postgresql_with={"fillfactor": "80"},
        )
    op.create_table(
        "feed_beat",
        sa.Column("id", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("watched_from", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_feed_beat_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed_beat")),
    )
    op.create_table(
        "feed_cursor",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "name", name=op.f("pk_feed_cursor")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index(
        "ix_quarantine_waiting_received",
        "quarantine",
        ["store_id", "received_at"],
        postgresql_where=sa.text("state = 'waiting'"),
    )
    for name in SQL_FILES:
        execute_file(name)
    # what was received before counts: the rhythm of a feed is known from the first day on
    op.execute("SELECT rebuild_feeds(store_id) FROM stream_head ORDER BY store_id")


def downgrade() -> None:
    # append_group stays as it is: it touches these tables only where it is given rows for them
    op.execute("DROP FUNCTION rebuild_feeds(text)")
    op.drop_index(
        "ix_quarantine_waiting_received",
        table_name="quarantine",
        postgresql_where=sa.text("state = 'waiting'"),
    )
    for name in ("feed_cursor", "feed_beat", "backlog", "feed"):
        op.drop_table(name)
    op.drop_index(
        "ix_feed_source_look",
        table_name="feed_source",
        postgresql_where=sa.text("look_at IS NOT NULL"),
    )
    op.drop_table("feed_source")
    op.drop_index(op.f("ix_feed_hour_store_id_hour"), table_name="feed_hour")
    op.drop_table("feed_hour")
