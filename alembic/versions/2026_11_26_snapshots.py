"""Snapshots of repair orders: until when each was repeated."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from app.db.sql import execute_file

revision: str = "0002_snapshots"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "snapshot_repeat",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "seq", name=op.f("pk_snapshot_repeat")),
        postgresql_with={"fillfactor": "80"},
    )
    execute_file("append_group.sql")


def downgrade() -> None:
    # append_group stays: it looks at the table only when snapshots are handed in
    op.drop_table("snapshot_repeat")
