"""Derive figures from stored records: summaries, cells, comparisons, and which of them are the newest."""

import time
from typing import Any

import sqlalchemy as sa

from stepmark.analysis.cells import CellResult
from stepmark.analysis.compare import Comparison
from stepmark.analysis.summary import Summary, summarize_run
from stepmark.errors import printable
from stepmark.hub.cell_extras import device_row, input_row
from stepmark.hub.database import Database
from stepmark.hub.exchanges import exchange_row
from stepmark.hub.latest import ENDED, make_current, make_others_current
from stepmark.hub.rows import Damaged, checked, insert, is_whole, update
from stepmark.hub.stored import certificates_of, rows_of
from stepmark.hub.tables import (
    cell_devices,
    cell_inputs,
    cells,
    collectives,
    comparisons,
    executions,
    runs,
    summaries,
)
from stepmark.results.store import Run
from stepmark.terms import size_text

_PROBLEM_MOST = 1000


def derive(database: Database, execution_id: str) -> tuple[str, str]:
    """Derive all figures of one execution from what is stored of it now, and store them.

    Return the execution's outcome, and why it has no summary, or an empty text.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database is away; nothing was changed.
    """
    with database.read() as connection:
        execution = _execution(connection, execution_id)
        if execution is None:
            return "", ""
        summary, problem = _summary(connection, execution)
    try:
        return _stored(database, execution, summary, problem)
    except (sa.exc.OperationalError, sa.exc.InterfaceError):
        raise
    except Exception as error:  # a figure that no column accepts must not stop the others
        return _stored(database, execution, None, _words(error))


def give_up(database: Database, execution_id: str, problem: str) -> tuple[str, str]:
    """Store why an execution has no figures, even if its own row is damaged, so that it is not derived again."""
    with database.write() as connection:
        own = executions.c.execution_id == execution_id
        row = connection.execute(executions.select().where(own).with_for_update()).one_or_none()
        if row is None:
            return "", ""
        _clear(connection, execution_id)
        insert(connection, summaries, [_no_figures(execution_id, problem)])
        if is_whole(executions, row):
            update(connection, executions, row, derived_revision=row.revision)
        else:  # the digest is not renewed, so that the row still shows as damaged
            connection.execute(executions.update().where(own).values(derived_revision=row.revision))
        return row.outcome, problem


def _stored(database: Database, execution: sa.Row[Any], summary: Summary | None, problem: str) -> tuple[str, str]:
    with database.write() as connection:
        current = _execution(connection, execution.execution_id, lock=True)
        if current is None or current.outcome != execution.outcome or current.derived_revision > execution.revision:
            return "", ""  # ended or deleted meanwhile, or another hub was faster: the next poll handles it
        _store(connection, execution, summary, problem)
        update(connection, executions, current, derived_revision=execution.revision)
    return execution.outcome, problem


def _execution(connection: sa.Connection, execution_id: str, lock: bool = False) -> sa.Row[Any] | None:
    query = executions.select().where(executions.c.execution_id == execution_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else checked(executions, row, f"execution {execution_id}")


def _summary(connection: sa.Connection, execution: sa.Row[Any]) -> tuple[Summary | None, str]:
    try:
        run = Run.model_validate_json(execution.document)
        planned = run.cells()
        rows, proofs = rows_of(connection, execution), certificates_of(connection, execution)
        return summarize_run(run, planned, rows, proofs), ""
    except sa.exc.SQLAlchemyError:
        raise
    except Exception as error:  # records are untrusted: a failure is stored and affects no other execution
        return None, _words(error)


def _words(error: Exception) -> str:
    if isinstance(error, Damaged):
        return error.message
    if isinstance(error, MemoryError):
        return "no figures: their derivation needs more memory than --derive-bytes-most allows"
    return printable(f"{type(error).__name__}: {error}".splitlines()[0])[:_PROBLEM_MOST]


def _clear(connection: sa.Connection, execution_id: str) -> None:
    for table in (summaries, cells, cell_devices, cell_inputs, collectives, comparisons):
        connection.execute(table.delete().where(table.c.execution_id == execution_id))


def _no_figures(execution_id: str, problem: str) -> dict[str, Any]:
    return {"execution_id": execution_id, "document": None, "problem": problem, "derived_at": time.time()}


def _store(connection: sa.Connection, execution: sa.Row[Any], summary: Summary | None, problem: str) -> None:
    own = {"execution_id": execution.execution_id}
    _clear(connection, execution.execution_id)
    document = None if summary is None else summary.model_dump_json()
    insert(connection, summaries, [_no_figures(execution.execution_id, problem) | {"document": document}])
    ended_at = execution.ended_at if execution.ended_at is not None else execution.seen_at
    if summary is not None:
        namespace = connection.execute(sa.select(runs.c.namespace).where(runs.c.run_id == execution.run_id)).scalar()
        shared = own | {"namespace": namespace or "", "scenario": summary.scenario, "ended_at": ended_at}
        badges = {certificate.cell: certificate.badge for certificate in summary.certificates}
        insert(connection, cells, [shared | _cell_row(c, badges.get(c.key, "not checked")) for c in summary.cells])
        for table, extra in ((cell_devices, device_row), (cell_inputs, input_row)):
            insert(connection, table, [own | row for row in map(extra, summary.cells) if row is not None])
        exchanged = [row for row in map(exchange_row, summary.cells) if row is not None]
        insert(connection, collectives, [shared | row for row in exchanged])
        insert(connection, comparisons, [shared | _comparison_row(c) for c in summary.comparisons])
    (make_current if execution.outcome in ENDED else make_others_current)(connection, execution.execution_id)


def _cell_row(cell: CellResult, parity: str) -> dict[str, Any]:
    names = ("key", "candidate", "engine", "strategy", "execution", "precision", "workers", "verdict")
    rate, step, scaling, split = cell.samples_per_second, cell.step_seconds, cell.scaling, cell.time_split
    return {name: getattr(cell, name) for name in names} | {
        "parity": parity,
        "batch": str(cell.batch_per_worker) if cell.several_batches else "",
        "samples_per_second": rate and rate.median,
        "samples_per_second_low": rate and rate.low,
        "samples_per_second_high": rate and rate.high,
        "step_seconds_p50": step.percentiles[50] if step and step.percentiles else None,
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
    names = (
        "candidate", "reference", "execution", "candidate_execution", "reference_execution", "precision", "workers",
        "reference_precision", "verdict", "reason",
    )  # fmt: skip
    ratio = comparison.ratio
    message = "" if comparison.message_bytes is None else f".{size_text(comparison.message_bytes)}"
    level = f"{comparison.candidate}.{comparison.execution}.{comparison.precision}.w{comparison.workers}{message}"
    batch = "" if comparison.batch_per_worker is None else str(comparison.batch_per_worker)
    return {name: getattr(comparison, name) for name in names} | {
        "key": f"{level}.b{batch}" if batch else level,
        "batch": batch,
        "ratio": ratio and ratio.value,
        "ratio_low": ratio and ratio.low,
        "ratio_high": ratio and ratio.high,
    }
