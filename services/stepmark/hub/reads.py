"""Queries for the pages and the GET calls of the API. They return the models of `views` and change nothing.

`Namespaces` holds the namespaces that a caller sees; None means all, and the runs without a namespace.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from stepmark.analysis import history as over_time
from stepmark.hub import sides, verdicts
from stepmark.hub.refusals import Refused
from stepmark.hub.rows import checked, is_whole
from stepmark.hub.sides import Scenario
from stepmark.hub.tables import attempts, executions, launches, summaries
from stepmark.hub.tables import runs as _runs
from stepmark.hub.views import (
    DAMAGED,
    WAITING,
    AttemptView,
    ExecutionView,
    Filters,
    Page,
    RunLine,
    RunView,
    StoredSummary,
)
from stepmark.results.wire import Progress

Namespaces = frozenset[str] | None


def runs(connection: sa.Connection, filters: Filters, namespaces: Namespaces = None) -> Page:
    """Return the runs that pass the filters.

    Raises:
        ValueError: The cursor is malformed.
    """
    newest = sa.tuple_(_runs.c.created_at, _runs.c.run_id)
    query = _seen(_lines(), namespaces).order_by(_runs.c.created_at.desc(), _runs.c.run_id.desc())
    if filters.name:
        query = query.where(_runs.c.name == filters.name)
    if filters.namespace:
        query = query.where(_runs.c.namespace == filters.namespace)
    if filters.outcome:
        query = query.where(_outcome == filters.outcome)
    if filters.search:
        found = (_runs.c.run_id, _runs.c.name, _runs.c.namespace)
        query = query.where(sa.or_(*(column.icontains(filters.search, autoescape=True) for column in found)))
    if filters.cursor:
        query = query.where(newest < sa.tuple_(*_place(filters.cursor)))
    rows = connection.execute(query.limit(filters.limit + 1)).all()
    shown = _read(connection, rows[: filters.limit])
    return Page(runs=shown, next_cursor=cursor_after(shown[-1]) if len(rows) > filters.limit else None)


def cursor_after(run: RunLine) -> str:
    """Return the cursor for the runs older than this one."""
    return f"{run.created_at!r}_{run.run_id}"


def names(connection: sa.Connection, namespaces: Namespaces = None, most: int = 500) -> list[str]:
    """Return the names of the scenarios that have runs, in alphabetical order, at most `most`."""
    query = _seen(sa.select(_runs.c.name), namespaces).distinct().order_by(_runs.c.name).limit(most)
    return list(connection.execute(query).scalars())


def scenario_named(
    connection: sa.Connection, name: str, namespace: str | None, namespaces: Namespaces = None
) -> Scenario | None:
    """Return the scenario of this name, or None if no run has it.

    `namespace` selects one of several; an empty text selects the one without a namespace.

    Raises:
        Refused: There are several, and `namespace` is None.
    """
    query = _seen(sa.select(_runs.c.namespace).where(_runs.c.name == name), namespaces).distinct()
    found = list(connection.execute(query.order_by(_runs.c.namespace)).scalars())
    if namespace is not None:
        found = [one for one in found if (one or "") == namespace]
    if len(found) > 1:
        every = ", ".join(one or "(none)" for one in found)[:300]
        raise Refused(
            422,
            "invalid",
            f"scenario {name}: expected `namespace`, found none, and the scenario is in several: {every}",
        )
    return Scenario(name, found[0]) if found else None


def _seen(query: sa.Select[Any], namespaces: Namespaces) -> sa.Select[Any]:
    return query if namespaces is None else query.where(_runs.c.namespace.in_(namespaces))


def _place(cursor: str) -> tuple[float, str]:
    time, _, run_id = cursor.partition("_")
    return float(time), run_id


_outcome = sa.func.coalesce(_runs.c.end_outcome, executions.c.outcome, WAITING)


def _lines() -> sa.Select[*tuple[Any, ...]]:
    """Return a query for runs; executions are joined only for the filters."""
    return sa.select(_runs).select_from(_runs.outerjoin(executions, _runs.c.execution_id == executions.c.execution_id))


def _read(connection: sa.Connection, rows: Sequence[Any]) -> tuple[RunLine, ...]:
    ids = [row.execution_id for row in rows if row.execution_id is not None]
    named = connection.execute(executions.select().where(executions.c.execution_id.in_(ids)))
    counting = {execution.execution_id: execution for execution in named}
    told = verdicts.of(connection, ids)
    return tuple(_line(row, counting.get(row.execution_id), told.get(row.execution_id, ())) for row in rows)


def _line(row: Any, execution: Any, verdict: Sequence[str]) -> RunLine:
    whole = is_whole(_runs, row) and (execution is None or is_whole(executions, execution))
    if not whole or (execution is None and row.execution_id is not None):
        outcome, reason, verdict = DAMAGED, "", ()
    elif row.end_outcome is not None:
        outcome, reason = row.end_outcome, row.end_reason
    else:
        outcome, reason = (execution.outcome, execution.reason) if execution is not None else (WAITING, "")
    names = ("attempt", "claimed_at", "seen_at", "ended_at")
    known = {name: getattr(execution, name) if execution is not None else None for name in names}
    return RunLine(
        run_id=row.run_id,
        name=row.name,
        namespace=row.namespace,
        created_at=row.created_at,
        execution_id=row.execution_id,
        outcome=outcome,
        reason=reason,
        progress=_progress(execution.progress) if execution is not None and whole else None,
        verdict=tuple(verdict),
        **known,
    )


def _progress(document: str | None) -> Progress | None:
    return None if document is None else Progress.model_validate_json(document)


def run(connection: sa.Connection, run_id: str) -> RunView | None:
    """Return one run, or None if there is no such run.

    Raises:
        Damaged: What is stored of it is damaged.
    """
    row = connection.execute(_runs.select().where(_runs.c.run_id == run_id)).one_or_none()
    if row is None:
        return None
    checked(_runs, row, f"run {run_id}")
    tried = _executions(connection, run_id)
    line = _read(connection, [row])[0]
    made = attempts.select().where(attempts.c.run_id == run_id).order_by(attempts.c.number.desc())
    counts = next((row for row in tried if row.execution_id == line.execution_id), None)
    return RunView(
        run=line,
        attempts=tuple(_attempt(row, tried) for row in connection.execute(made)),
        settled=counts is not None and counts.outcome != "running" and counts.derived_revision >= counts.revision,
        problem=(counts.problem or "") if counts is not None else "",
    )


def _executions(connection: sa.Connection, run_id: str) -> Sequence[Any]:
    """Return the executions of a run, newest first.

    Raises:
        Damaged: What is stored of one is damaged.
    """
    stored = sa.select(sa.func.count()).where(launches.c.execution_id == executions.c.execution_id)
    query = sa.select(executions, stored.scalar_subquery().label("launches"), summaries.c.problem)
    query = query.select_from(executions.outerjoin(summaries, summaries.c.execution_id == executions.c.execution_id))
    found = connection.execute(query.where(executions.c.run_id == run_id).order_by(executions.c.serial.desc())).all()
    return [checked(executions, row, f"run {run_id}") for row in found]


def _attempt(row: Any, tried: Sequence[Any]) -> AttemptView:
    own = tuple(_execution(one) for one in tried if one.attempt == row.number)
    end = {"ended_at": row.ended_at, "outcome": row.outcome, "reason": row.reason or "", "message": row.message or ""}
    return AttemptView(number=row.number, created_at=row.created_at, executions=own, **end)


def _execution(row: Any) -> ExecutionView:
    plain = {name: getattr(row, name) for name in ExecutionView.model_fields if name != "progress"}
    return ExecutionView(**plain, progress=_progress(row.progress))


def summary(connection: sa.Connection, run_id: str) -> StoredSummary | None:
    """Return the summary of the execution that counts; None if there is no such run, or no summary yet.

    Raises:
        Damaged: What is stored of it is damaged.
    """
    run = connection.execute(_runs.select().where(_runs.c.run_id == run_id)).one_or_none()
    if run is None:
        return None
    own = summaries.c.execution_id == checked(_runs, run, f"run {run_id}").execution_id
    row = connection.execute(summaries.select().where(own)).one_or_none()
    if row is None:
        return None
    checked(summaries, row, f"run {run_id}")
    digest = hashlib.sha256((row.document or row.problem).encode()).hexdigest()[:32]
    return StoredSummary(
        execution_id=row.execution_id, document=row.document, problem=row.problem, etag=f'"{digest}"'
    )  # fmt: skip


def history(connection: sa.Connection, scenario: Scenario, limit: int = 50) -> over_time.History:
    """Return the history of a scenario over its newest ended runs, oldest first.

    Raises:
        Damaged: What is stored of one of them is damaged.
    """
    return over_time.history(scenario.name, sides.ended(connection, scenario, limit)[::-1])
