"""Register attempts at runs, and record the end of an attempt whose driver does not report it."""

import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from stepmark.errors import printable
from stepmark.hub.database import Database
from stepmark.hub.refusals import Refused, not_found
from stepmark.hub.rights import Principal
from stepmark.hub.rows import insert_missing, locked, update
from stepmark.hub.tables import attempts, executions, runs
from stepmark.results.wire import AttemptEnd, Registration

_MAY_STILL_SPEAK = ("running", "lost")


def conflict(message: str) -> Refused:
    """Return the refusal of contents that differ from those already stored."""
    return Refused(409, "conflict", f"{message}; what is stored is kept")


def register(database: Database, who: Principal, run_id: str, number: int, body: Registration) -> bool:
    """Register an attempt. Return whether something was stored; False means that the hub had it already.

    Raises:
        Refused: The run belongs to another scenario or registrar, or the token to another attempt.
    """
    now, namespace = time.time(), _namespace(who, body)
    with database.write() as connection:
        insert_missing(
            connection, runs, run_id=run_id, name=body.name, namespace=namespace, created_at=now, registered_by=who.name
        )  # fmt: skip
        run = locked(connection, runs, runs.c.run_id == run_id)
        if run is None or (run.name, run.namespace) != (body.name, namespace):
            raise conflict(f"run {run_id} belongs to another scenario")
        _refuse_stranger(who, run)
        own = is_attempt(run_id, number)
        others = attempts.select().where(attempts.c.token_sha256 == body.token_sha256, sa.not_(own))
        if connection.execute(others).first() is not None:
            raise conflict("the token belongs to another attempt: make a token for each attempt")
        times = {"created_at": now, "expires_at": now + body.expires_in_seconds}
        values = {"token_sha256": body.token_sha256, **times}
        if insert_missing(connection, attempts, run_id=run_id, number=number, bytes=0, executions=0, **values):
            update(connection, runs, run, end_outcome=None, end_reason=None)
            return True
        replaced = attempts.update().where(own, attempts.c.token_sha256 != body.token_sha256).values(values)
        return connection.execute(replaced).rowcount > 0


def end(database: Database, who: Principal, run_id: str, number: int, body: AttemptEnd) -> bool:
    """Record the end of an attempt. Return whether it was stored; the first end stands.

    Raises:
        Refused: There is no such attempt, or it belongs to another registrar.
    """
    now = time.time()
    with database.write() as connection:
        run = locked(connection, runs, runs.c.run_id == run_id)
        attempt = locked(connection, attempts, is_attempt(run_id, number))
        if run is None or attempt is None:
            raise not_found(f"attempt {number} of run {run_id}")
        _refuse_stranger(who, run)
        if attempt.ended_at is not None:
            return False
        told = {"outcome": body.outcome, "reason": body.reason}
        update(connection, attempts, attempt, ended_at=now, message=printable(body.message)[:2000], **told)
        if not _end_executions(connection, run_id, number, now, told) and number >= _newest(connection, run_id):
            update(connection, runs, run, end_outcome=body.outcome, end_reason=body.reason)
        return True


def refuse_ended(connection: sa.Connection, run_id: str, number: int) -> None:
    """Refuse the call if the attempt's registrar has reported its end.

    Raises:
        Refused: The attempt is over.
    """
    reason = connection.execute(
        sa.select(attempts.c.reason).where(is_attempt(run_id, number), attempts.c.ended_at.is_not(None))
    ).scalar()
    if reason is not None:
        raise Refused(409, "ended", f"attempt {number} of run {run_id} has ended: {reason}")


def _namespace(who: Principal, body: Registration) -> str | None:
    """Return the namespace of the run to register.

    Raises:
        Refused: The token is not bound to that namespace.
    """
    only = who.namespaces
    if only is None:
        return body.namespace
    if body.namespace is None and len(only) == 1:
        return next(iter(only))
    if body.namespace not in only:
        raise Refused(403, "forbidden", "namespace: expected one that this token is bound to, found another")
    return body.namespace


def _refuse_stranger(who: Principal, run: sa.Row[Any]) -> None:
    """Refuse callers who are neither an administrator nor the run's first registrar, or do not see its namespace.

    A run from a hub that did not store its registrar accepts any caller who may register.
    """
    if "admin" in who.rights or run.registered_by in (None, who.name):
        if who.sees(run.namespace):
            return
        raise Refused(403, "forbidden", "expected a token that is bound to the run's namespace, found another")
    raise Refused(403, "forbidden", f"run {run.run_id}: expected the caller who registered it first, found another")


def is_attempt(run_id: str, number: int) -> sa.ColumnElement[bool]:
    """Return the condition that a row of `attempts` is this attempt's."""
    return sa.and_(attempts.c.run_id == run_id, attempts.c.number == number)


def _newest(connection: sa.Connection, run_id: str) -> int:
    return connection.execute(sa.select(sa.func.max(attempts.c.number)).where(attempts.c.run_id == run_id)).scalar_one()


def _end_executions(connection: sa.Connection, run_id: str, number: int, now: float, told: Mapping[str, str]) -> bool:
    """End the attempt's executions that have no end which stands. Return whether the attempt has any execution."""
    ids = sa.select(executions.c.execution_id).where(executions.c.run_id == run_id, executions.c.attempt == number)
    found = list(connection.execute(ids).scalars())
    for execution_id in found:
        row = locked(connection, executions, executions.c.execution_id == execution_id)
        if row is not None and _is_replaced(row, told["outcome"]):
            ended_at = now if row.ended_at is None else row.ended_at
            update(connection, executions, row, ended_at=ended_at, revision=row.revision + 1, **told)
    return bool(found)


def _is_replaced(execution: sa.Row[Any], outcome: str) -> bool:
    """Return whether an end by the registrar, with this outcome, replaces what the execution's driver has reported.

    A driver that is stopped knows the signal and not the reason, which the registrar knows. The pods of a cancelled
    attempt are deleted one after another, so its driver may report the loss of a worker instead.
    """
    if execution.outcome in _MAY_STILL_SPEAK:
        return True
    return execution.outcome == "interrupted" and (execution.reason == "stopped" or outcome == "cancelled")
