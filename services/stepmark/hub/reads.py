"""What the hub knows, for the pages and the GET half of the API: queries that return frozen models. Nothing is changed.

Times are Unix seconds, UTC. `outcome` is wire.Outcome, or "lost", "superseded", or "waiting": registered, nothing yet.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from stepmark.analysis import history as over_time
from stepmark.analysis.compare import Comparison
from stepmark.analysis.intervals import Estimate
from stepmark.hub import sides
from stepmark.hub.tables import attempts, cells, comparisons, executions, launches, summaries
from stepmark.hub.tables import runs as _runs
from stepmark.report import headline, words
from stepmark.results.base import RecordModel
from stepmark.results.wire import Progress

LIMIT_MOST = 200
WAITING = "waiting"


class Filters(RecordModel):
    """Which runs, newest first. `search`: a part of the run's id, scenario or namespace. `cursor`: Page.next_cursor."""

    name: Annotated[str, Field(max_length=63)] | None = None
    outcome: Annotated[str, Field(max_length=20)] | None = None
    search: Annotated[str, Field(max_length=100)] | None = None
    limit: Annotated[int, Field(ge=1, le=LIMIT_MOST)] = 50
    cursor: Annotated[str, Field(max_length=100)] | None = None


class RunLine(RecordModel):
    """One run in a list. `verdict`: sentences; empty until something was derived."""

    run_id: str
    name: str
    namespace: str | None
    created_at: float
    execution_id: str | None
    attempt: int | None
    outcome: str
    reason: str
    claimed_at: float | None
    seen_at: float | None
    ended_at: float | None
    progress: Progress | None
    verdict: tuple[str, ...]


class Page(RecordModel):
    """`next_cursor`: where the older ones begin; None at the end."""

    runs: tuple[RunLine, ...]
    next_cursor: str | None


class ExecutionView(RecordModel):
    """One process that measured, or tried to. `launches`: how many the hub has."""

    execution_id: str
    attempt: int
    outcome: str
    reason: str
    message: str
    claimed_at: float
    seen_at: float
    ended_at: float | None
    launches: int
    launches_expected: int | None
    progress: Progress | None


class AttemptView(RecordModel):
    """One try at the run; newest execution first."""

    number: int
    created_at: float
    executions: tuple[ExecutionView, ...]


class RunView(RecordModel):
    """One run with all that was tried; newest attempt first.

    `settled`: its figures stand on every record that came. `problem`: why there is no summary, or empty.
    """

    run: RunLine
    attempts: tuple[AttemptView, ...]
    settled: bool
    problem: str


class StoredSummary(RecordModel):
    """`document`: analysis.summary.Summary as JSON; None where it was not, or could not be, derived. `etag`: quoted."""

    execution_id: str
    document: str | None
    problem: str
    etag: str


def runs(connection: sa.Connection, filters: Filters) -> Page:
    """The runs that pass the filters.

    Raises:
        ValueError: the cursor is none.
    """
    newest = sa.tuple_(_runs.c.created_at, _runs.c.run_id)
    query = _lines().order_by(_runs.c.created_at.desc(), _runs.c.run_id.desc()).limit(filters.limit + 1)
    if filters.name:
        query = query.where(_runs.c.name == filters.name)
    if filters.outcome:
        query = query.where(_outcome_is(filters.outcome))
    if filters.search:
        found = (_runs.c.run_id, _runs.c.name, _runs.c.namespace)
        query = query.where(sa.or_(*(column.icontains(filters.search, autoescape=True) for column in found)))
    if filters.cursor:
        query = query.where(newest < sa.tuple_(*_place(filters.cursor)))
    rows = connection.execute(query).all()
    shown = _read(connection, rows[: filters.limit])
    return Page(runs=shown, next_cursor=cursor_after(shown[-1]) if len(rows) > filters.limit else None)


def cursor_after(run: RunLine) -> str:
    """Where the runs older than this one begin."""
    return f"{run.created_at!r}_{run.run_id}"


def names(connection: sa.Connection, most: int = 500) -> list[str]:
    """Scenarios that have runs, in the order of the alphabet."""
    return list(connection.execute(sa.select(_runs.c.name).distinct().order_by(_runs.c.name).limit(most)).scalars())


def _place(cursor: str) -> tuple[float, str]:
    time, _, run_id = cursor.partition("_")
    return float(time), run_id


def _outcome_is(outcome: str) -> sa.ColumnElement[bool]:
    return _runs.c.execution_id.is_(None) if outcome == "waiting" else executions.c.outcome == outcome


def _lines() -> sa.Select[*tuple[Any, ...]]:
    e = executions.c
    return sa.select(
        _runs, e.attempt, e.outcome, e.reason, e.claimed_at, e.seen_at, e.ended_at, e.progress
    ).select_from(_runs.outerjoin(executions, _runs.c.execution_id == e.execution_id))  # fmt: skip


def _read(connection: sa.Connection, rows: Sequence[Any]) -> tuple[RunLine, ...]:
    verdicts = _verdicts(connection, [row.execution_id for row in rows if row.execution_id is not None])
    return tuple(
        RunLine(
            run_id=row.run_id,
            name=row.name,
            namespace=row.namespace,
            created_at=row.created_at,
            execution_id=row.execution_id,
            attempt=row.attempt,
            outcome=row.outcome or WAITING,
            reason=row.reason or "",
            claimed_at=row.claimed_at,
            seen_at=row.seen_at,
            ended_at=row.ended_at,
            progress=_progress(row.progress),
            verdict=tuple(verdicts.get(row.execution_id, ())),
        )
        for row in rows
    )


def _progress(document: str | None) -> Progress | None:
    return None if document is None else Progress.model_validate_json(document)


def _verdicts(connection: sa.Connection, ids: list[str]) -> dict[str, list[str]]:
    """Of each execution what its comparisons say, or, where there is nothing to compare, its highest throughput.

    Of cells that parity has not refused; those that it was not asked about come last.
    """
    of: dict[str, list[Comparison]] = defaultdict(list)
    compared = comparisons.select().where(comparisons.c.execution_id.in_(ids)).order_by(comparisons.c.key)
    for row in connection.execute(compared):
        of[row.execution_id].append(_comparison(row))
    told = {id: headline.headlines(found) for id, found in of.items()}
    best = cells.select().where(cells.c.execution_id.in_([id for id in ids if id not in told]))
    best = best.where(cells.c.samples_per_second.is_not(None), cells.c.parity != "not comparable")
    for row in connection.execute(best.order_by(cells.c.parity == "not checked", cells.c.samples_per_second.desc())):
        told.setdefault(row.execution_id, [_throughput(row)])
    return told


def _comparison(row: Any) -> Comparison:
    """As far as it is stored in columns."""
    return Comparison(
        candidate=row.candidate,
        reference=row.reference,
        execution=row.execution,
        candidate_execution=row.execution,
        reference_execution=row.execution,
        precision=row.precision,
        workers=row.workers,
        ratio=None if row.ratio is None else Estimate(value=row.ratio, low=row.ratio_low, high=row.ratio_high),
        blocks=0,
        parity="",
        verdict=row.verdict,
        reason="",
    )


def _throughput(row: Any) -> str:
    what = f"{row.candidate} {row.execution} {row.precision}, {words.workers(row.workers)}"
    return f"{row.samples_per_second:,.0f} samples/s: {what}"


def run(connection: sa.Connection, run_id: str) -> RunView | None:
    """One run; None where there is none."""
    rows = connection.execute(_lines().where(_runs.c.run_id == run_id)).all()
    if not rows:
        return None
    line = _read(connection, rows)[0]
    tried = _executions(connection, run_id)
    made = attempts.select().where(attempts.c.run_id == run_id).order_by(attempts.c.number.desc())
    counts = next((row for row in tried if row.execution_id == line.execution_id), None)
    return RunView(
        run=line,
        attempts=tuple(_attempt(row, tried) for row in connection.execute(made)),
        settled=counts is not None and counts.outcome != "running" and counts.derived_revision >= counts.revision,
        problem=(counts.problem or "") if counts is not None else "",
    )


def _executions(connection: sa.Connection, run_id: str) -> Sequence[Any]:
    stored = sa.select(sa.func.count()).where(launches.c.execution_id == executions.c.execution_id)
    wanted = [column for column in executions.c if column.name not in ("document", "run_id", "scenario_digest")]
    query = sa.select(*wanted, stored.scalar_subquery().label("launches"), summaries.c.problem)
    query = query.select_from(executions.outerjoin(summaries, summaries.c.execution_id == executions.c.execution_id))
    return connection.execute(
        query.where(executions.c.run_id == run_id).order_by(executions.c.claimed_at.desc())
    ).all()  # fmt: skip


def _attempt(row: Any, tried: Sequence[Any]) -> AttemptView:
    own = tuple(_execution(one) for one in tried if one.attempt == row.number)
    return AttemptView(number=row.number, created_at=row.created_at, executions=own)


def _execution(row: Any) -> ExecutionView:
    plain = {name: getattr(row, name) for name in ExecutionView.model_fields if name != "progress"}
    return ExecutionView(**plain, progress=_progress(row.progress))


def summary(connection: sa.Connection, run_id: str) -> StoredSummary | None:
    """Of the execution that counts; None where there is no such run, or it has none yet."""
    query = sa.select(summaries).join(_runs, _runs.c.execution_id == summaries.c.execution_id)
    row = connection.execute(query.where(_runs.c.run_id == run_id)).one_or_none()
    if row is None:
        return None
    digest = hashlib.sha256((row.document or row.problem).encode()).hexdigest()[:32]
    return StoredSummary(
        execution_id=row.execution_id, document=row.document, problem=row.problem, etag=f'"{digest}"'
    )  # fmt: skip


def history(connection: sa.Connection, scenario: str, limit: int = 50) -> over_time.History | None:
    """The newest ended runs of a scenario, oldest first; None where no run has this name."""
    if connection.execute(sa.select(_runs.c.run_id).where(_runs.c.name == scenario).limit(1)).first() is None:
        return None
    return over_time.history(scenario, sides.ended(connection, scenario, limit)[::-1])
