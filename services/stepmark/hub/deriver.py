"""The thread that derives the figures of every execution: it chooses one, counts the tries, and lets a child derive.

The start of a derivation is stored in the execution's row beforehand. One that ends the whole process is then known,
and is not tried for ever.
"""

import threading
import time

import sqlalchemy as sa

from stepmark.hub.database import Database
from stepmark.hub.derive import give_up
from stepmark.hub.health import Readiness
from stepmark.hub.logs import event
from stepmark.hub.refusals import database_words, log
from stepmark.hub.rows import Damaged, locked, update
from stepmark.hub.settings import Settings
from stepmark.hub.tables import executions
from stepmark.hub.worker import Died, Worker
from stepmark.telemetry.hub_meters import HubMeters

_POLL_SECONDS = 0.25
_AFTER_ERROR_SECONDS = 2.0
_RUNNING_WAITS_TIMES = 20  # the pause in derivations of a running execution: 5 % of one core
_TRIES_MOST = 2


class Deriver:
    """Derive figures with one thread and one child process.

    Several hubs on one database may derive the same execution; they store the same rows, and those of the last one
    stay.
    """

    def __init__(self, database: Database, meters: HubMeters, settings: Settings, readiness: Readiness) -> None:
        self._database, self._meters, self._readiness = database, meters, readiness
        self._heartbeat_seconds = settings.heartbeat_seconds
        self._worker = Worker(settings)
        self._stop = threading.Event()
        self._running_again_at = 0.0
        self._thread = threading.Thread(target=self._run, name="derive", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread when its current derivation has ended, or after ten seconds.

        A partial result is never stored.
        """
        self._stop.set()
        self._thread.join(timeout=10)
        self._worker.stop()

    def _run(self) -> None:
        wait = 0.0
        while not self._stop.wait(wait) and not self._readiness.damage():
            try:
                mark_lost(self._database, time.time() - self._heartbeat_seconds)
                wait = 0.0 if self._derive_next() else _POLL_SECONDS
            except (sa.exc.SQLAlchemyError, OSError) as error:
                self._meters.database_errors.inc()
                log.error("the derivation of figures waits for the database: %s", database_words(error))
                wait = _AFTER_ERROR_SECONDS
            except Exception:  # without this thread no run would ever get its figures
                log.exception("the derivation of figures failed and is tried again")
                wait = _AFTER_ERROR_SECONDS

    def _derive_next(self) -> bool:
        """Derive one execution. Return whether there was one.

        Ended executions come first, and among them those that were not tried before.
        """
        running_too = time.monotonic() >= self._running_again_at
        execution_id = _next_one(self._database, running_too)
        if execution_id is None:
            return False
        began = time.monotonic()
        outcome, problem = self._derived(execution_id)
        took = time.monotonic() - began
        self._meters.derive_seconds.observe(took)
        self._meters.derivations.labels(result="failed" if problem else "derived").inc()
        if problem:
            log.warning("execution %s: no summary: %s", execution_id, problem)
        elif outcome and outcome != "running":
            event("derived", execution=execution_id, outcome=outcome, seconds=took)
        if outcome == "running":
            self._running_again_at = time.monotonic() + _RUNNING_WAITS_TIMES * took
        return True

    def _derived(self, execution_id: str) -> tuple[str, str]:
        """Derive one execution. Return its outcome, and why it has no figures, or an empty text."""
        try:
            tries = _begin(self._database, execution_id)
        except Damaged as damaged:
            return give_up(self._database, execution_id, damaged.message)
        if tries > _TRIES_MOST:
            return give_up(self._database, execution_id, self._worker.words_of_death())
        try:
            return self._worker.derive(execution_id)
        except Died as died:
            log.error("execution %s: try %d: %s", execution_id, tries, died)
            if tries == _TRIES_MOST:
                return give_up(self._database, execution_id, self._worker.words_of_death())
            return "", str(died)


def mark_lost(database: Database, seen_before: float) -> None:
    """Mark executions as lost that claim to run but whose runner was last heard of before this Unix time."""
    silent = sa.and_(executions.c.outcome == "running", executions.c.seen_at < seen_before)
    with database.read() as connection:
        ids = list(connection.execute(sa.select(executions.c.execution_id).where(silent)).scalars())
    for execution_id in ids:
        with database.write() as connection:
            row = _whole(connection, execution_id, silent)
            if row is not None:
                values = {"outcome": "lost", "reason": "heartbeat-lost", "revision": row.revision + 1}
                update(connection, executions, row, ended_at=row.seen_at, **values)
                event("lost", execution=execution_id)


def _whole(connection: sa.Connection, execution_id: str, which: sa.ColumnElement[bool]) -> sa.Row[tuple[object]] | None:
    try:
        return locked(connection, executions, sa.and_(executions.c.execution_id == execution_id, which))
    except Damaged:
        return None


def _begin(database: Database, execution_id: str) -> int:
    """Count and store one more try to derive this revision. Return its number from 1, or 0 if the execution is gone.

    Raises:
        Damaged: The execution's row is damaged.
    """
    with database.write() as connection:
        row = locked(connection, executions, executions.c.execution_id == execution_id)
        if row is None:
            return 0
        tries = row.tries + 1 if row.tried_revision == row.revision else 1
        update(connection, executions, row, tried_revision=row.revision, tries=tries)
    return tries


def _next_one(database: Database, running_too: bool) -> str | None:
    query = sa.select(executions.c.execution_id).where(executions.c.revision > executions.c.derived_revision)
    query = query if running_too else query.where(executions.c.outcome != "running")
    ended_first = sa.case((executions.c.outcome == "running", 1), else_=0)
    tried = sa.case((executions.c.tried_revision == executions.c.revision, executions.c.tries), else_=0)
    with database.read() as connection:
        return connection.execute(query.order_by(ended_first, tried, executions.c.seen_at).limit(1)).scalar()
