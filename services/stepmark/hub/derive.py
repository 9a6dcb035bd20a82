"""Figures from stored records, in a thread of its own: summaries, cells, comparisons, and which of them hold now."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from stepmark.analysis.cells import CellResult
from stepmark.analysis.compare import Comparison
from stepmark.analysis.summary import Summary, summarize_run
from stepmark.errors import printable
from stepmark.hub.database import Database
from stepmark.hub.latest import ENDED, let_it_hold, let_others_hold
from stepmark.hub.refusals import database_words, log
from stepmark.hub.tables import ORDER_OF_PLAN, cells, certificates, comparisons, executions, launches, summaries
from stepmark.plan.cells import cells as cells_of
from stepmark.results.certificate import Certificate
from stepmark.results.store import Row, Run
from stepmark.telemetry.hub_meters import HubMeters

_POLL_SECONDS = 0.25
_AFTER_ERROR_SECONDS = 2.0
_RUNNING_WAITS_TIMES = 20  # what the last derivation of a running execution took: 5 % of one core
_LAUNCHES_AT_ONCE = 20
_PROBLEM_MOST = 1000


class Deriver:
    """One thread. Several hubs on one database may derive the same: the last one's rows stay, and all are alike."""

    def __init__(self, database: Database, meters: HubMeters, heartbeat_seconds: float) -> None:
        self._database, self._meters, self._heartbeat_seconds = database, meters, heartbeat_seconds
        self._stop = threading.Event()
        self._running_again_at = 0.0
        self._thread = threading.Thread(target=self._run, name="derive", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the derivation at hand has ended, or after ten seconds: nothing half done is ever stored."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        wait = 0.0
        while not self._stop.wait(wait):
            try:
                mark_lost(self._database, time.time() - self._heartbeat_seconds)
                wait = 0.0 if self._derive_next() else _POLL_SECONDS
            except sa.exc.SQLAlchemyError as error:
                self._meters.database_errors.inc()
                log.error("derivation waits for the database: %s", database_words(error))
                wait = _AFTER_ERROR_SECONDS
            except Exception:  # without this thread no run would ever get its figures
                log.exception("derivation failed, and is tried again")
                wait = _AFTER_ERROR_SECONDS

    def _derive_next(self) -> bool:
        """Whether there was one. Those that have ended come first."""
        running_too = time.monotonic() >= self._running_again_at
        execution_id = _next_one(self._database, running_too)
        if execution_id is None:
            return False
        began = time.monotonic()
        outcome, problem = derive(self._database, execution_id)
        took = time.monotonic() - began
        self._meters.derive_seconds.observe(took)
        self._meters.derivations.labels(result="failed" if problem else "derived").inc()
        if problem:
            log.warning("execution %s: no summary: %s", execution_id, problem)
        if outcome == "running":
            self._running_again_at = time.monotonic() + _RUNNING_WAITS_TIMES * took
        return True


def mark_lost(database: Database, seen_before: float) -> None:
    """Executions that say they run, and whose runner has been silent since then."""
    silent = sa.and_(executions.c.outcome == "running", executions.c.seen_at < seen_before)
    with database.read() as connection:
        if connection.execute(sa.select(executions.c.execution_id).where(silent).limit(1)).first() is None:
            return
    values = {"outcome": "lost", "reason": "heartbeat-lost", "ended_at": executions.c.seen_at}
    with database.write() as connection:
        connection.execute(executions.update().where(silent).values(revision=executions.c.revision + 1, **values))


def derive(database: Database, execution_id: str) -> tuple[str, str]:
    """Everything that follows from what is stored of one execution now. Returns its outcome, and why it has no summary.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is away; nothing was changed.
    """
    with database.read() as connection:
        execution = _execution(connection, execution_id)
        if execution is None:
            return "", ""
        summary, problem = _summary(connection, execution)
    with database.write() as connection:
        current = _execution(connection, execution_id, lock=True)
        if current is None or current.outcome != execution.outcome or current.derived_revision > execution.revision:
            return "", ""  # ended or deleted meanwhile, or another hub was faster: the next look will see to it
        _store(connection, execution, summary, problem)
    return execution.outcome, problem


def _next_one(database: Database, running_too: bool) -> str | None:
    query = sa.select(executions.c.execution_id).where(executions.c.revision > executions.c.derived_revision)
    query = query if running_too else query.where(executions.c.outcome != "running")
    ended_first = sa.case((executions.c.outcome == "running", 1), else_=0)
    with database.read() as connection:
        return connection.execute(query.order_by(ended_first, executions.c.seen_at).limit(1)).scalar()


def _execution(connection: sa.Connection, execution_id: str, lock: bool = False) -> sa.Row[Any] | None:
    query = executions.select().where(executions.c.execution_id == execution_id)
    return connection.execute(query.with_for_update() if lock else query).one_or_none()


def _summary(connection: sa.Connection, execution: sa.Row[Any]) -> tuple[Summary | None, str]:
    try:
        run = Run.model_validate_json(execution.document)
        planned = cells_of(run.parsed_scenario(), run.machine)
        rows, proofs = _rows(connection, execution.execution_id), _certificates(connection, execution.execution_id)
        return summarize_run(run, planned, rows, proofs), ""
    except sa.exc.SQLAlchemyError:
        raise
    except Exception as error:  # records are a stranger's: what cannot be summarised is said, and harms nobody else
        return None, printable(f"{type(error).__name__}: {error}")[:_PROBLEM_MOST]


def _rows(connection: sa.Connection, execution_id: str) -> Iterator[Row]:
    query = sa.select(launches.c.header, launches.c.step_nanoseconds_npz)
    query = query.where(launches.c.execution_id == execution_id).order_by(*ORDER_OF_PLAN)
    for row in connection.execution_options(yield_per=_LAUNCHES_AT_ONCE).execute(query):
        yield row.header, row.step_nanoseconds_npz


def _certificates(connection: sa.Connection, execution_id: str) -> dict[str, Certificate]:
    query = sa.select(certificates.c.document).where(certificates.c.execution_id == execution_id)
    found = map(Certificate.model_validate_json, connection.execute(query).scalars())
    return {certificate.cell: certificate for certificate in found}


def _store(connection: sa.Connection, execution: sa.Row[Any], summary: Summary | None, problem: str) -> None:
    own = {"execution_id": execution.execution_id}
    for table in (summaries, cells, comparisons):
        connection.execute(table.delete().where(table.c.execution_id == execution.execution_id))
    document = None if summary is None else summary.model_dump_json()
    connection.execute(summaries.insert().values(**own, document=document, problem=problem, derived_at=time.time()))
    ended_at = execution.ended_at if execution.ended_at is not None else execution.seen_at
    if summary is not None:
        shared = own | {"scenario": summary.scenario, "ended_at": ended_at}
        badges = {certificate.cell: certificate.badge for certificate in summary.certificates}
        rows = [shared | _cell_row(cell, badges.get(cell.key, "not checked")) for cell in summary.cells]
        connection.execute(cells.insert(), rows)
        if summary.comparisons:
            connection.execute(comparisons.insert(), [shared | _comparison_row(c) for c in summary.comparisons])
    (let_it_hold if execution.outcome in ENDED else let_others_hold)(connection, execution.execution_id)
    derived = executions.update().where(executions.c.execution_id == execution.execution_id)
    connection.execute(derived.values(derived_revision=execution.revision))


def _cell_row(cell: CellResult, parity: str) -> dict[str, Any]:
    names = ("key", "candidate", "engine", "strategy", "execution", "precision", "workers", "verdict")
    rate, step, scaling, split = cell.samples_per_second, cell.step_seconds, cell.scaling, cell.time_split
    return {name: getattr(cell, name) for name in names} | {
        "parity": parity,
        "samples_per_second": rate and rate.median,
        "samples_per_second_low": rate and rate.low,
        "samples_per_second_high": rate and rate.high,
        "step_seconds_p50": step and step.percentiles[50],
        "step_seconds_p95": step and step.p95,
        "step_seconds_p99": step and step.p99,
        "speedup": scaling and scaling.speedup.value,
        "efficiency": scaling and scaling.efficiency.value,
        "exposed_communication_ratio": split and split.exposed_communication_seconds.value / split.step_seconds.value,
        "wait_ratio": split and split.wait_seconds.value / split.step_seconds.value,
        "mfu": cell.utilization and cell.utilization.mfu,
        "peak_memory_bytes": cell.peak_memory_bytes,
        "joules_per_sample": cell.utilization and cell.utilization.joules_per_sample,
    }


def _comparison_row(comparison: Comparison) -> dict[str, Any]:
    names = ("candidate", "reference", "execution", "precision", "workers", "verdict")
    ratio = comparison.ratio
    level = f"{comparison.candidate}.{comparison.execution}.{comparison.precision}.w{comparison.workers}"
    return {name: getattr(comparison, name) for name in names} | {
        "key": level,
        "ratio": ratio and ratio.value,
        "ratio_low": ratio and ratio.low,
        "ratio_high": ratio and ratio.high,
    }
