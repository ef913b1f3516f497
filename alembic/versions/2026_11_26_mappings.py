"""Mappings of sources: from columns and coded values to facts."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005_mappings"
down_revision: str | None = "0004_names"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "mapping",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("store", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("source", "version", name=op.f("pk_mapping")),
    )


def downgrade() -> None:
    op.drop_table("mapping")
