"""What was dealt with in quarantine is known when it comes again, a row in any format."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from app.db.sql import execute_file

revision: str = "0009_known"
down_revision: str | None = "0008_desk"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("quarantine", sa.Column("alike_hash", sa.LargeBinary(), nullable=True))
    op.add_column("quarantine", sa.Column("came_to", sa.Text(), nullable=True))
    op.add_column(
        "quarantine",
        sa.Column("again_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column("quarantine", sa.Column("again_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_quarantine_done_body",
        "quarantine",
        ["store_id", "body_hash"],
        unique=False,
        postgresql_where=sa.text("state <> 'waiting'"),
    )
    op.create_index(
        "ix_quarantine_came_to",
        "quarantine",
        ["came_to", "body_hash"],
        unique=False,
        postgresql_where=sa.text("came_to IS NOT NULL"),
    )
    op.create_index(
        "ix_quarantine_alike",
        "quarantine",
        ["store_id", "alike_hash"],
        unique=False,
        postgresql_where=sa.text("alike_hash IS NOT NULL"),
    )
    execute_file("append_group.sql")


def downgrade() -> None:
    # `append_group` stays: it is the file of the release that is installed, as after 0008
    op.drop_index("ix_quarantine_alike", table_name="quarantine")
    op.drop_index("ix_quarantine_came_to", table_name="quarantine")
    op.drop_index("ix_quarantine_done_body", table_name="quarantine")
    op.drop_column("quarantine", "again_at")
    op.drop_column("quarantine", "again_count")
    op.drop_column("quarantine", "came_to")
    op.drop_column("quarantine", "alike_hash")
