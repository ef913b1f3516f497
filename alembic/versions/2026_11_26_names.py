"""Names as references: whom the states name by surrogate, so that a registration finds them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from app.db.sql import execute_file

revision: str = "0004_names"
down_revision: str | None = "0003_linking"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "staff_mention",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("surrogate", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "store_id", "kind", "key", "surrogate", "role", name=op.f("pk_staff_mention")
        ),
    )
    op.create_index(
        op.f("ix_staff_mention_store_id_surrogate_last_seen_at"),
        "staff_mention",
        ["store_id", "surrogate", "last_seen_at"],
        unique=False,
    )
    # no state of the schema before names anybody by surrogate, so there is nothing to fill in
    execute_file("append_group.sql")


def downgrade() -> None:
    # the function stays: what it says of this table only runs for those who write to it
    op.drop_index(
        op.f("ix_staff_mention_store_id_surrogate_last_seen_at"), table_name="staff_mention"
    )
    op.drop_table("staff_mention")
