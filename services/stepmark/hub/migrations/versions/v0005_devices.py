"""What GPUs a cell was measured on and how they were used. Older figures have none until they are derived again."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "cell_devices",
        sa.Column("execution_id", sa.String(63), sa.ForeignKey("executions.execution_id", ondelete="CASCADE")),
        sa.Column("key", sa.String(400)),
        sa.Column("device", sa.String(63), nullable=True),
        sa.Column("sm_clock_hz", sa.Double(), nullable=True),
        sa.Column("power_watts", sa.Double(), nullable=True),
        sa.Column("power_capped_ratio", sa.Double(), nullable=True),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("row_sha256", sa.String(64), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("execution_id", "key"),
    )
