"""All tables of the first version."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table("readiness", sa.Column("probe", sa.LargeBinary(), nullable=False))
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("namespace", sa.String(length=63)),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("execution_id", sa.String(length=63)),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_index("runs_by_name", "runs", ["name", "created_at"])
    op.create_index("runs_by_time", "runs", ["created_at"])
    op.create_table(
        "tokens",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("right", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("token_sha256"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "attempts",
        sa.Column("run_id", sa.String(length=63), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "number"),
        sa.UniqueConstraint("token_sha256"),
    )
    op.create_table(
        "executions",
        sa.Column("execution_id", sa.String(length=63), nullable=False),
        sa.Column("run_id", sa.String(length=63), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("scenario_digest", sa.String(length=64), nullable=False),
        sa.Column("claimed_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double()),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("message", sa.String(length=2000), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("progress", sa.Text()),
        sa.Column("launches_expected", sa.Integer()),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("derived_revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("execution_id"),
    )
    op.create_index("executions_by_outcome", "executions", ["outcome", "reason"])
    op.create_index(
        "executions_to_derive",
        "executions",
        ["outcome"],
        sqlite_where=sa.text("revision > derived_revision"),
        postgresql_where=sa.text("revision > derived_revision"),
    )
    op.create_index("ix_executions_run_id", "executions", ["run_id"])
    op.create_table(
        "cells",
        sa.Column("execution_id", sa.String(length=63), nullable=False),
        sa.Column("key", sa.String(length=400), nullable=False),
        sa.Column("scenario", sa.String(length=40), nullable=False),
        sa.Column("candidate", sa.String(length=40), nullable=False),
        sa.Column("engine", sa.String(length=40), nullable=False),
        sa.Column("strategy", sa.String(length=40), nullable=False),
        sa.Column("execution", sa.String(length=40), nullable=False),
        sa.Column("precision", sa.String(length=40), nullable=False),
        sa.Column("workers", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(length=40), nullable=False),
        sa.Column("parity", sa.String(length=40), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.Column("samples_per_second", sa.Double()),
        sa.Column("samples_per_second_low", sa.Double()),
        sa.Column("samples_per_second_high", sa.Double()),
        sa.Column("step_seconds_p50", sa.Double()),
        sa.Column("step_seconds_p95", sa.Double()),
        sa.Column("step_seconds_p99", sa.Double()),
        sa.Column("speedup", sa.Double()),
        sa.Column("efficiency", sa.Double()),
        sa.Column("exposed_communication_ratio", sa.Double()),
        sa.Column("wait_ratio", sa.Double()),
        sa.Column("mfu", sa.Double()),
        sa.Column("peak_memory_bytes", sa.BigInteger()),
        sa.Column("joules_per_sample", sa.Double()),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.execution_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("execution_id", "key"),
    )
    op.create_index("cells_by_scenario", "cells", ["scenario", "key", "ended_at"])
    op.create_table(
        "certificates",
        sa.Column("execution_id", sa.String(length=63), nullable=False),
        sa.Column("cell", sa.String(length=400), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.execution_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("execution_id", "cell"),
    )
    op.create_table(
        "comparisons",
        sa.Column("execution_id", sa.String(length=63), nullable=False),
        sa.Column("key", sa.String(length=400), nullable=False),
        sa.Column("scenario", sa.String(length=40), nullable=False),
        sa.Column("candidate", sa.String(length=40), nullable=False),
        sa.Column("reference", sa.String(length=40), nullable=False),
        sa.Column("execution", sa.String(length=40), nullable=False),
        sa.Column("precision", sa.String(length=40), nullable=False),
        sa.Column("workers", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(length=40), nullable=False),
        sa.Column("ratio", sa.Double()),
        sa.Column("ratio_low", sa.Double()),
        sa.Column("ratio_high", sa.Double()),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.execution_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("execution_id", "key"),
    )
    op.create_index("comparisons_by_scenario", "comparisons", ["scenario", "key", "ended_at"])
    op.create_table(
        "latest",
        sa.Column("what", sa.String(length=20), nullable=False),
        sa.Column("configuration", sa.String(length=400), nullable=False),
        sa.Column("execution_id", sa.String(length=63), nullable=False),
        sa.Column("key", sa.String(length=400), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.execution_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("what", "configuration"),
    )
    op.create_index("latest_by_time", "latest", ["what", "ended_at"])
    op.create_table(
        "launches",
        sa.Column("execution_id", sa.String(length=63), nullable=False),
        sa.Column("launch_id", sa.String(length=400), nullable=False),
        sa.Column("block", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("header", sa.Text(), nullable=False),
        sa.Column("step_nanoseconds_npz", sa.LargeBinary(), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.execution_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("execution_id", "launch_id"),
    )
    op.create_table(
        "summaries",
        sa.Column("execution_id", sa.String(length=63), nullable=False),
        sa.Column("document", sa.Text()),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("derived_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.execution_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("execution_id"),
    )
