"""Limits on what one attempt and one namespace may store, since all share the disk."""

from typing import Any

import sqlalchemy as sa

from stepmark.hub.attempts import is_attempt
from stepmark.hub.refusals import Refused, not_found
from stepmark.hub.settings import Limits
from stepmark.hub.tables import attempts, runs

_MIB = 1 << 20


def count_execution(connection: sa.Connection, limits: Limits, run_id: str, number: int) -> None:
    """Count one more execution of this attempt.

    Raises:
        Refused: The attempt has too many.
    """
    row = _attempt(connection, run_id, number)
    if row.executions >= limits.attempt_executions_most:
        raise _over(f"expected at most {limits.attempt_executions_most} executions of an attempt, found one more")
    _add(connection, run_id, number, executions=1)


def count_bytes(connection: sa.Connection, limits: Limits, run_id: str, number: int, size: int) -> None:
    """Count `size` more bytes of this attempt.

    Raises:
        Refused: The attempt or its namespace has too many.
    """
    row = _attempt(connection, run_id, number)
    if row.bytes + size > limits.attempt_bytes_most:
        raise _over(f"expected at most {limits.attempt_bytes_most // _MIB} MiB of an attempt, found more")
    namespace = connection.execute(sa.select(runs.c.namespace).where(runs.c.run_id == run_id)).scalar()
    if stored(connection, namespace) + size > limits.namespace_bytes_most:
        most = limits.namespace_bytes_most // _MIB
        raise _over(f"expected at most {most} MiB of the namespace, found more: `stepmark hub prune` makes room")
    _add(connection, run_id, number, bytes=size)


def stored(connection: sa.Connection, namespace: str | None) -> int:
    """Return the bytes of all attempts of a namespace; None stands for the runs without a namespace."""
    query = sa.select(sa.func.coalesce(sa.func.sum(attempts.c.bytes), 0))
    query = query.join_from(attempts, runs, attempts.c.run_id == runs.c.run_id)
    return int(connection.execute(query.where(runs.c.namespace.is_not_distinct_from(namespace))).scalar_one())


def _attempt(connection: sa.Connection, run_id: str, number: int) -> sa.Row[Any]:
    query = attempts.select().where(is_attempt(run_id, number)).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        raise not_found(f"attempt {number} of run {run_id}")
    return row


def _add(connection: sa.Connection, run_id: str, number: int, **more: int) -> None:
    sums = {name: attempts.c[name] + n for name, n in more.items()}
    connection.execute(attempts.update().where(is_attempt(run_id, number)).values(sums))


def _over(message: str) -> Refused:
    return Refused(413, "over-quota", message)
