"""Whole runs for comparisons and histories: summary, scenario and facts of each, from what is stored."""

import sqlalchemy as sa

from stepmark.analysis.alike import Side, facts_of
from stepmark.analysis.earlier import MOST_EARLIER
from stepmark.analysis.summary import Summary
from stepmark.hub.tables import ORDER_OF_PLAN, executions, launches, runs, summaries
from stepmark.results.record import LaunchHeader
from stepmark.results.store import Run


def side(connection: sa.Connection, run_id: str) -> Side | None:
    """One side of a comparison; None where the run has no summary."""
    found = _sides(connection, runs.c.run_id == run_id, 1)
    return found[0][0] if found else None


def ended(connection: sa.Connection, scenario: str, limit: int) -> list[tuple[Side, float]]:
    """The newest ended runs of a scenario with the times of their ends, newest first."""
    return _sides(connection, sa.and_(runs.c.name == scenario, executions.c.outcome.in_(("complete", "failed"))), limit)


def earlier(connection: sa.Connection, scenario: str, but: tuple[str, ...]) -> list[Side]:
    """The newest ended runs of a scenario but those of these ids: a gate's history."""
    return [one for one, _ in ended(connection, scenario, MOST_EARLIER + len(but)) if one.folder not in but]


def _sides(connection: sa.Connection, which: sa.ColumnElement[bool], limit: int) -> list[tuple[Side, float]]:
    query = sa.select(
        runs.c.run_id, runs.c.execution_id, runs.c.created_at, executions.c.ended_at,
        executions.c.document.label("run"), summaries.c.document,
    ).join(executions, executions.c.execution_id == runs.c.execution_id).join(
        summaries, summaries.c.execution_id == runs.c.execution_id
    ).where(which, summaries.c.document.is_not(None)).order_by(runs.c.created_at.desc()).limit(limit)  # fmt: skip
    found = []
    for row in connection.execute(query).all():
        made = Summary.model_validate_json(row.document)
        facts = _facts(connection, row.execution_id, {c.key for c in made.cells if c.step_seconds is not None})
        one = Side(row.run_id, Run.model_validate_json(row.run), made, facts)
        found.append((one, row.ended_at if row.ended_at is not None else row.created_at))
    return found


def _facts(connection: sa.Connection, execution_id: str, measured: set[str]) -> dict[str, dict[str, str]]:
    query = sa.select(launches.c.header).where(launches.c.execution_id == execution_id)
    query = query.order_by(*ORDER_OF_PLAN).execution_options(yield_per=16)
    with connection.execute(query) as found:
        return facts_of(map(LaunchHeader.model_validate_json, found.scalars()), measured)
