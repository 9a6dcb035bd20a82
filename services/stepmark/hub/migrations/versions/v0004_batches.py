"""Batches and the reference's precision beside the figures, which are derived again."""

import hashlib
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_COVERED = (
    "execution_id", "run_id", "attempt", "document", "scenario_digest", "claimed_at", "seen_at", "ended_at",
    "outcome", "reason", "message", "sequence", "progress", "launches_expected", "revision", "derived_revision",
    "serial", "tried_revision", "tries", "launches_sum", "certificates_sum",
)  # fmt: skip
_DOUBLE = ("claimed_at", "seen_at", "ended_at")


def upgrade() -> None:
    for name in ("latest", "comparisons", "cells", "summaries"):
        op.execute(f"DELETE FROM {name}")  # noqa: S608
    for name in ("cells", "comparisons"):
        op.add_column(name, sa.Column("batch", sa.String(20), nullable=False, server_default=sa.text("''")))
    op.add_column("comparisons", sa.Column("reference_precision", sa.String(40), nullable=True))
    _derive_again()


def _derive_again() -> None:
    """Set the derived revision of every whole execution to 0 and seal it anew. A damaged one stays as it is."""
    connection = op.get_bind()
    table = sa.Table("executions", sa.MetaData(), autoload_with=connection)
    for key in connection.execute(sa.select(table.c.execution_id)).scalars().all():
        own = table.c.execution_id == key
        row = dict(connection.execute(table.select().where(own)).mappings().one())
        if row["row_sha256"] == _seal(row):
            again = {**row, "derived_revision": 0}
            values = {"derived_revision": 0, "row_sha256": _seal(again)}
            connection.execute(table.update().where(own).values(values))


def _seal(row: Mapping[str, Any]) -> str:
    """Return the digest of an execution as `hub.rows` makes it in this version of the tables."""
    parts = [(name, float(row[name]) if name in _DOUBLE and row[name] is not None else row[name]) for name in _COVERED]
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()
