"""How fast cells exchange messages. Older figures have none until they are derived again."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "collectives",
        sa.Column("execution_id", sa.String(63), sa.ForeignKey("executions.execution_id", ondelete="CASCADE")),
        sa.Column("key", sa.String(400)),
        sa.Column("namespace", sa.String(63), nullable=False, server_default=sa.text("''")),
        *(sa.Column(name, sa.String(40), nullable=False) for name in ("scenario", "candidate", "engine", "strategy")),
        sa.Column("precision", sa.String(40), nullable=False),
        sa.Column("workers", sa.Integer(), nullable=False),
        sa.Column("collective", sa.String(40), nullable=False),
        sa.Column("message_bytes", sa.BigInteger(), nullable=False),
        sa.Column("latency_seconds", sa.Double(), nullable=False),
        sa.Column("bus_bytes_per_second", sa.Double(), nullable=False),
        sa.Column("bus_bytes_per_second_low", sa.Double(), nullable=True),
        sa.Column("bus_bytes_per_second_high", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.Column("row_sha256", sa.String(64), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("execution_id", "key"),
    )
