"""Files that are imported: by the command, and through the inbox folder with a claim."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0006_file_imports"
down_revision: str | None = "0005_mappings"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "file_import",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("import_id", sa.Text(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("same_as", sa.Text(), nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("moved_to", sa.Text(), nullable=True),
        sa.Column("summary", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("store_id", "import_id", name=op.f("pk_file_import")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "uq_file_import_working_name",
        "file_import",
        ["store_id", "name"],
        unique=True,
        postgresql_where=sa.text("state = 'working'"),
    )
    op.create_index(
        op.f("ix_file_import_store_id_sha256"),
        "file_import",
        ["store_id", "sha256"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_file_import_store_id_sha256"), table_name="file_import")
    op.drop_index("uq_file_import_working_name", table_name="file_import")
    op.drop_table("file_import")
