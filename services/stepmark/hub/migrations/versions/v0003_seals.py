"""Digests of rows, serial numbers, ends of attempts, namespaces, sessions and limits. Everything is derived again."""

import hashlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_SEAL = "row_sha256"
_DERIVED = ("latest", "comparisons", "cells", "summaries")
_DOUBLE = ("created_at", "claimed_at", "seen_at", "ended_at", "received_at")
_COVERED = {
    "runs": ("run_id", "name", "namespace", "created_at", "execution_id", "registered_by", "end_outcome", "end_reason"),
    "executions": (
        "execution_id", "run_id", "attempt", "document", "scenario_digest", "claimed_at", "seen_at", "ended_at",
        "outcome", "reason", "message", "sequence", "progress", "launches_expected", "revision", "derived_revision",
        "serial", "tried_revision", "tries", "launches_sum", "certificates_sum",
    ),
    "launches": ("execution_id", "launch_id", "block", "position", "header", "body_sha256", "received_at"),
    "certificates": ("execution_id", "cell", "document"),
}  # fmt: skip


class _New:
    def __init__(self, type: sa.types.TypeEngine[Any], nullable: bool = False) -> None:
        self.type, self.nullable = type, nullable


_TEXT, _NUMBER = sa.Text(), sa.Integer()
_COLUMNS = {
    "tokens": {"namespaces": _New(_TEXT, nullable=True)},
    "runs": {
        "registered_by": _New(sa.String(400), nullable=True), "end_outcome": _New(sa.String(20), nullable=True),
        "end_reason": _New(sa.String(40), nullable=True),
    },
    "attempts": {
        "bytes": _New(sa.BigInteger()), "executions": _New(_NUMBER), "ended_at": _New(sa.Double(), nullable=True),
        "outcome": _New(sa.String(20), nullable=True), "reason": _New(sa.String(40), nullable=True),
        "message": _New(sa.String(2000), nullable=True),
    },
    "executions": {
        "serial": _New(_NUMBER), "tried_revision": _New(_NUMBER), "tries": _New(_NUMBER),
        "launches_sum": _New(sa.String(64)), "certificates_sum": _New(sa.String(64)),
    },
    "cells": {"namespace": _New(sa.String(63))},
    "comparisons": {
        "namespace": _New(sa.String(63)), "candidate_execution": _New(sa.String(40)),
        "reference_execution": _New(sa.String(40)), "reason": _New(_TEXT),
    },
}  # fmt: skip


def upgrade() -> None:
    for name in _DERIVED:
        op.execute(f"DELETE FROM {name}")  # noqa: S608
    _add_columns()
    _number()
    _count()
    for name in ("launches", "certificates"):
        _seal(name)
        _sum(name)
    for name in ("runs", "executions"):
        _seal(name)


def _add_columns() -> None:
    """Each with a default, so that no table is written anew: SQLite would delete what hangs on its rows."""
    op.create_table(
        "sessions",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("who", sa.String(length=400), nullable=False),
        sa.Column("namespaces", sa.Text()),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("token_sha256"),
    )
    op.create_index("ix_sessions_who", "sessions", ["who"])
    for name, columns in _COLUMNS.items():
        for column, kind in columns.items():
            empty = None if kind.nullable else sa.text("0" if isinstance(kind.type, sa.Integer) else "''")
            op.add_column(name, sa.Column(column, kind.type, nullable=kind.nullable, server_default=empty))
    for name in (*_DERIVED, *_COVERED):
        op.add_column(name, sa.Column(_SEAL, sa.String(length=64), nullable=False, server_default=sa.text("''")))
    op.create_index("runs_by_namespace", "runs", ["namespace"])
    for name in ("cells", "comparisons"):
        op.drop_index(f"{name}_by_scenario", name)
        op.create_index(f"{name}_by_scenario", name, ["namespace", "scenario", "key", "ended_at"])


def _number() -> None:
    """By the clock, this once."""
    connection = op.get_bind()
    order = "SELECT execution_id, run_id FROM executions ORDER BY run_id, claimed_at, execution_id"
    serials: dict[str, int] = {}
    for execution_id, run_id in connection.execute(sa.text(order)).all():
        serials[run_id] = serials.get(run_id, 0) + 1
        values = {"serial": serials[run_id], "none": "0" * 64, "id": execution_id}
        connection.execute(
            sa.text(
                "UPDATE executions SET serial = :serial, derived_revision = 0, "
                "launches_sum = :none, certificates_sum = :none WHERE execution_id = :id"
            ),
            values,
        )


def _count() -> None:
    """What attempts have stored."""
    own = "e.run_id = attempts.run_id AND e.attempt = attempts.number"
    launches = f"FROM launches l JOIN executions e ON e.execution_id = l.execution_id WHERE {own}"
    bytes_ = f"SELECT sum(length(l.step_nanoseconds_npz) + length(l.header)) {launches}"
    op.execute(
        f"UPDATE attempts SET bytes = coalesce(({bytes_}), 0), "  # noqa: S608
        f"executions = (SELECT count(*) FROM executions e WHERE {own})"
    )


def _rows(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each row's key, and what its digest covers; a few at a time."""
    connection = op.get_bind()
    table = sa.Table(name, sa.MetaData(), autoload_with=connection)
    keys = connection.execute(sa.select(*table.primary_key.columns)).mappings().all()
    for key in keys:
        own = sa.and_(*(table.c[column] == value for column, value in key.items()))
        columns = [table.c[column] for column in _COVERED[name]]
        yield dict(key), dict(connection.execute(sa.select(*columns).where(own)).mappings().one())


def _seal(name: str) -> None:
    """As `hub.rows` makes them, today and in this version of the tables."""
    for key, row in _rows(name):
        parts = [(column, float(row[column]) if column in _DOUBLE and row[column] is not None else row[column])
                 for column in _COVERED[name]]  # fmt: skip
        digest = hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()
        own = " AND ".join(f"{column} = :{column}" for column in key)
        op.get_bind().execute(sa.text(f"UPDATE {name} SET {_SEAL} = :seal WHERE {own}"), {"seal": digest, **key})  # noqa: S608


def _sum(name: str) -> None:
    connection = op.get_bind()
    column = "launch_id" if name == "launches" else "cell"
    totals: dict[str, int] = {}
    for execution_id, of, seal in connection.execute(sa.text(f"SELECT execution_id, {column}, {_SEAL} FROM {name}")):  # noqa: S608
        one = int.from_bytes(hashlib.sha256(f"{of}/{seal}".encode()).digest(), "big")
        totals[execution_id] = (totals.get(execution_id, 0) + one) % (1 << 256)
    for execution_id, total in totals.items():
        connection.execute(
            sa.text(f"UPDATE executions SET {name}_sum = :total WHERE execution_id = :id"),  # noqa: S608
            {"total": f"{total:064x}", "id": execution_id},
        )
