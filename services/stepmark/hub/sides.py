"""Whole runs for comparisons and histories: the summary, scenario and facts of each, read from what is stored."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from stepmark.analysis.alike import Side, facts_of
from stepmark.analysis.earlier import MOST_EARLIER
from stepmark.analysis.summary import Summary
from stepmark.hub.refusals import Refused
from stepmark.hub.rows import checked
from stepmark.hub.stored import headers_of
from stepmark.hub.tables import executions, runs, summaries
from stepmark.results.store import Run


@dataclass(frozen=True)
class Scenario:
    """The name and namespace of a scenario. `namespace` is None if it has none.

    Both are needed, since a name may be used in several namespaces.
    """

    name: str
    namespace: str | None


def side(connection: sa.Connection, run_id: str, seen: frozenset[str] | None = None) -> Side | None:
    """Return one side of a comparison; None if the run has no summary, or its namespace is not among those `seen`.

    Raises:
        Damaged: What is stored of it is damaged.
    """
    which = runs.c.run_id == run_id
    found = _sides(connection, which if seen is None else sa.and_(which, runs.c.namespace.in_(seen)), 1)
    return found[0][0] if found else None


def ended(connection: sa.Connection, scenario: Scenario, limit: int) -> list[tuple[Side, float]]:
    """Return the newest ended runs of a scenario with the times of their ends, newest first.

    Raises:
        Damaged: What is stored of one is damaged.
    """
    same = (runs.c.name == scenario.name, runs.c.namespace.is_not_distinct_from(scenario.namespace))
    return _sides(connection, sa.and_(*same, executions.c.outcome.in_(("complete", "failed"))), limit)


def earlier(connection: sa.Connection, run_id: str, but: tuple[str, ...]) -> list[Side]:
    """Return the newest ended runs of this run's scenario, without those named in `but`, as the history for a gate.

    Raises:
        Damaged: What is stored of one is damaged.
    """
    row = connection.execute(sa.select(runs.c.name, runs.c.namespace).where(runs.c.run_id == run_id)).one_or_none()
    if row is None:
        return []
    found = ended(connection, Scenario(row.name, row.namespace), MOST_EARLIER + len(but))
    return [one for one, _ in found if one.folder not in but]


def _sides(connection: sa.Connection, which: sa.ColumnElement[bool], limit: int) -> list[tuple[Side, float]]:
    query = sa.select(runs.c.run_id).join(executions, executions.c.execution_id == runs.c.execution_id).join(
        summaries, summaries.c.execution_id == runs.c.execution_id
    ).where(which, summaries.c.document.is_not(None)).order_by(runs.c.created_at.desc()).limit(limit)  # fmt: skip
    return [_side(connection, run_id) for run_id in connection.execute(query).scalars().all()]


def _side(connection: sa.Connection, run_id: str) -> tuple[Side, float]:
    run = _row(connection, runs, runs.c.run_id == run_id, run_id)
    execution = _row(connection, executions, executions.c.execution_id == run.execution_id, run_id)
    summary = _row(connection, summaries, summaries.c.execution_id == run.execution_id, run_id)
    made = Summary.model_validate_json(summary.document)
    facts = facts_of(headers_of(connection, execution), {c.key for c in made.cells if c.step_seconds is not None})
    one = Side(run_id, Run.model_validate_json(execution.document), made, facts)
    return one, execution.ended_at if execution.ended_at is not None else run.created_at


def _row(connection: sa.Connection, table: sa.Table, which: sa.ColumnElement[bool], run_id: str) -> sa.Row[Any]:
    row = connection.execute(table.select().where(which)).one_or_none()
    if row is None:
        raise Refused(404, "not-found", f"run {run_id}: expected its figures, found none")
    return checked(table, row, f"run {run_id}")
