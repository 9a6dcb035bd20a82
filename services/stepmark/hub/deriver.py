"""The thread that sees to it that every execution gets its figures: it chooses, counts, and has a child derive.

A derivation is begun in the row before it begins: one that takes everything down with it is known afterwards, and
not begun for ever.
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
_RUNNING_WAITS_TIMES = 20  # what the last derivation of a running execution took: 5 % of one core
_TRIES_MOST = 2


class Deriver:
    """One thread, one child. Several hubs on one database may derive the same: the last one's rows stay, all alike."""

    def __init__(self, database: Database, meters: HubMeters, settings: Settings, readiness: Readiness) -> None:
        self._database, self._meters, self._readiness = database, meters, readiness
        self._heartbeat_seconds = settings.heartbeat_seconds
        self._worker = Worker(settings)
        self._stop = threading.Event()
        self._running_again_at = 0.0
        self._thread = threading.Thread(target=self._run, name="derive", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the derivation at hand has ended, or after ten seconds: nothing half done is ever stored."""
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
                log.error("derivation waits for the database: %s", database_words(error))
                wait = _AFTER_ERROR_SECONDS
            except Exception:  # without this thread no run would ever get its figures
                log.exception("derivation failed, and is tried again")
                wait = _AFTER_ERROR_SECONDS

    def _derive_next(self) -> bool:
        """Whether there was one. Those that have ended come first, and of these what was not tried before."""
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
        """Its outcome, and why it has no figures."""
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
    """Executions that say they run, and whose runner has been silent since then."""
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
    """The how manieth try of this revision it is, written down; 0 if it is gone.

    Raises:
        Damaged: the execution is.
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
