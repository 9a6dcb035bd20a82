"""What feeding and lengths cost a cell's steps. Older figures have none until they are derived again."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "cell_inputs",
        sa.Column("execution_id", sa.String(63), sa.ForeignKey("executions.execution_id", ondelete="CASCADE")),
        sa.Column("key", sa.String(400)),
        sa.Column("wait_ratio", sa.Double(), nullable=True),
        sa.Column("ceiling_samples_per_second", sa.Double(), nullable=True),
        sa.Column("tokens_per_second", sa.Double(), nullable=True),
        sa.Column("padding_ratio", sa.Double(), nullable=True),
        sa.Column("recompiles", sa.Double(), nullable=True),
        sa.Column("compile_seconds", sa.Double(), nullable=True),
        sa.Column("row_sha256", sa.String(64), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("execution_id", "key"),
    )
