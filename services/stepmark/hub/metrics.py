"""The hub's `/metrics` and health: figures read from its database at each scrape, and the counters of its meters."""

import queue
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stepmark import __version__
from stepmark.errors import printable
from stepmark.hub import health
from stepmark.hub.cell_extras import devices_of, inputs_of
from stepmark.hub.database import Database
from stepmark.hub.refusals import database_words, log
from stepmark.hub.rows import is_whole
from stepmark.hub.tables import cells, collectives, comparisons, executions, latest, runs
from stepmark.telemetry import names
from stepmark.telemetry.collector import SCENARIOS_MOST, HubCollector
from stepmark.telemetry.figures import (
    CellFigures,
    CollectiveFigures,
    FiguresModel,
    PairFigures,
    RunCount,
    RunState,
    Service,
    Snapshot,
)
from stepmark.telemetry.hub_meters import HubMeters

WAITING = "waiting"  # a run that is registered and has no execution
_READ_SECONDS_MOST = 4  # less than Prometheus waits for an answer, by default 10 s
_READ_MOST = 100  # rows: a measured cell has at least eight series, so more cells are never shown


def metrics_app(database: Database, meters: HubMeters, readiness: health.Readiness) -> Starlette:
    """Return an ASGI app with /metrics, /healthz and /readyz.

    Each `meters` can have only one such app, since the app adds a collector to its registry.
    """

    def read() -> Snapshot | None:
        if readiness.damage():
            return None
        try:
            return snapshot(database)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            meters.database_errors.inc()
            log.error("a scrape could not read the database: %s", database_words(error))
            return None

    meters.registry.register(HubCollector(_InTime(read, _READ_SECONDS_MOST)))

    def metrics(_: Request) -> Response:
        """Return all metrics as text.

        The function is not async: it runs in a thread, since it waits for the database. OpenMetrics would take 40 %
        longer.
        """
        return Response(generate_latest(meters.registry), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})

    app = Starlette(
        routes=[Route("/metrics", metrics), Route("/healthz", health.healthz), Route("/readyz", health.readyz)]
    )
    app.state.readiness = readiness
    return app


class _InTime:
    """Call `read`, but return None if that takes more than `seconds`.

    A scrape thus does not hang with the database. One call runs at a time, so that scrapes do not pile up threads.
    """

    def __init__(self, read: Callable[[], Snapshot | None], seconds: float) -> None:
        self._read, self._seconds = read, seconds
        self._reading = threading.Lock()

    def __call__(self) -> Snapshot | None:
        if not self._reading.acquire(timeout=self._seconds):
            return None
        found: queue.SimpleQueue[Snapshot | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, args=(found,), daemon=True).start()
        try:
            return found.get(timeout=self._seconds)
        except queue.Empty:
            return None

    def _work(self, found: "queue.SimpleQueue[Snapshot | None]") -> None:
        try:
            found.put(self._read())
        finally:
            self._reading.release()


def snapshot(database: Database) -> Snapshot:
    """Return the newest figures, as many as can be shown.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database is away.
    """
    with database.read() as connection:
        of_cells, of_pairs = _newest(connection, "cell", cells), _newest(connection, "comparison", comparisons)
        exchanged = _newest(connection, "collective", collectives)
        return Snapshot(
            cells=_cells(connection, of_cells[0]),
            cells_stored=_stored(connection, "cell"),
            pairs=_figures(of_pairs[0], PairFigures),
            pairs_stored=_stored(connection, "comparison"),
            collectives=_figures(exchanged[0], CollectiveFigures),
            collectives_stored=_stored(connection, "collective"),
            scenarios=_scenarios(connection),
            scenarios_stored=connection.execute(_count_of_scenarios()).scalar_one(),
            service=_service(connection, database, of_cells[1] + of_pairs[1] + exchanged[1]),
        )


_Rows = list[dict[str, Any]]
_Figures = TypeVar("_Figures", bound=FiguresModel)


def _newest(connection: sa.Connection, what: str, table: sa.Table) -> tuple[_Rows, int]:
    """Return the current rows, and how many of them are left out because they are damaged."""
    order = (latest.c.ended_at.desc(), latest.c.configuration)
    holding = connection.execute(latest.select().where(latest.c.what == what).order_by(*order).limit(_READ_MOST)).all()
    ids = {held.execution_id for held in holding}
    rows = connection.execute(table.select().where(table.c.execution_id.in_(ids))).all()
    named = {(row.execution_id, row.key): row for row in rows}
    found, damaged = [], 0
    for held in holding:
        row = named.get((held.execution_id, held.key))
        if row is not None and is_whole(latest, held) and is_whole(table, row):
            found.append(dict(row._mapping))
        else:
            damaged += 1
            log.error("damaged: figures of execution %s, in %s", printable(held.execution_id), table.name)
    return found, damaged


def _cells(connection: sa.Connection, rows: _Rows) -> tuple[CellFigures, ...]:
    ids = [row["execution_id"] for row in rows]
    devices, inputs = devices_of(connection, ids), inputs_of(connection, ids)
    named = [((row["execution_id"], row["key"]), row) for row in rows]
    found = [row | {"devices": devices.get(name), "inputs": inputs.get(name)} for name, row in named]
    return _figures(found, CellFigures)


def _figures(rows: _Rows, model: type[_Figures]) -> tuple[_Figures, ...]:
    """Return the rows as plain models, which have the namespace under the name of its label."""
    known = (row | {names.NAMESPACE: row["namespace"]} for row in rows)
    return tuple(model.model_validate({name: row[name] for name in model.model_fields}) for row in known)


def _stored(connection: sa.Connection, what: str) -> int:
    return connection.execute(sa.select(sa.func.count()).where(latest.c.what == what)).scalar_one()


_SCENARIO = (runs.c.name, runs.c.namespace)


def _count_of_scenarios() -> sa.Select[int]:
    return sa.select(sa.func.count()).select_from(sa.select(*_SCENARIO).distinct().subquery())


def _scenarios(connection: sa.Connection) -> tuple[RunState, ...]:
    """Return the state of the newest run of every scenario.

    The outcome of a run that is registered and has no execution is `waiting`.
    """
    at = sa.func.max(runs.c.created_at).label("at")
    newest = sa.select(*_SCENARIO, at).group_by(*_SCENARIO).order_by(at.desc()).limit(SCENARIOS_MOST).subquery()
    same = sa.and_(
        runs.c.name == newest.c.name, runs.c.namespace.is_not_distinct_from(newest.c.namespace),
        runs.c.created_at == newest.c.at,
    )  # fmt: skip
    outcome = sa.func.coalesce(runs.c.end_outcome, executions.c.outcome, WAITING).label("outcome")
    reason = sa.func.coalesce(runs.c.end_reason, executions.c.reason, "").label("reason")
    query = sa.select(*_SCENARIO, outcome, reason).join_from(newest, runs, same).order_by(newest.c.at.desc())
    rows = connection.execute(query.outerjoin(executions, executions.c.execution_id == runs.c.execution_id))
    return tuple(
        RunState(scenario=row.name, scenario_namespace=row.namespace or "", outcome=row.outcome, reason=row.reason)
        for row in rows
    )


def _service(connection: sa.Connection, database: Database, damaged: int) -> Service:
    running = executions.c.outcome == "running"
    silent = connection.execute(sa.select(sa.func.min(executions.c.seen_at)).where(running)).scalar()
    waiting, (size, free) = _queue(connection), _volume(database)
    return Service(
        stepmark_version=__version__,
        schema_revision=_revision(connection),
        database_bytes=_bytes(connection),
        volume_bytes=size,
        volume_free_bytes=free,
        damaged=damaged,
        runs=_runs(connection),
        unseen_seconds=None if silent is None else max(0.0, time.time() - silent),
        queue_running=waiting.get("running", 0),
        queue_ended=sum(count for outcome, count in waiting.items() if outcome != "running"),
    )


def _queue(connection: sa.Connection) -> dict[str, int]:
    """Return how many executions wait for their figures, by outcome."""
    query = sa.select(executions.c.outcome, sa.func.count().label("waiting")).group_by(executions.c.outcome)
    rows = connection.execute(query.where(executions.c.revision > executions.c.derived_revision))
    return {row.outcome: row.waiting for row in rows}


def _runs(connection: sa.Connection) -> tuple[RunCount, ...]:
    """Return the number of executions for each outcome and reason, the most frequent first.

    Runs that wait or ended without an execution are counted too. That none is running, or waits, is a figure as well.
    Executions are counted, not runs: an index answers that without reading their documents, and every try shows how it
    went.
    """
    how = (executions.c.outcome, executions.c.reason)
    unclaimed = (runs.c.end_outcome, runs.c.end_reason)
    found = {("running", ""): 0, (WAITING, ""): 0}
    never = sa.or_(runs.c.execution_id.is_(None), runs.c.end_outcome.is_not(None))
    for outcome, reason, count in connection.execute(
        sa.select(*unclaimed, sa.func.count()).where(never).group_by(*unclaimed)
    ):
        found[outcome or WAITING, reason or ""] = count
    for outcome, reason, count in connection.execute(sa.select(*how, sa.func.count()).group_by(*how)):
        found[outcome, reason] = found.get((outcome, reason), 0) + count
    counts = [RunCount(outcome=outcome, reason=reason, runs=count) for (outcome, reason), count in found.items()]
    return tuple(sorted(counts, key=lambda count: count.runs, reverse=True))


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.select(sa.column("version_num")).select_from(sa.table("alembic_version"))).scalar()


def _bytes(connection: sa.Connection) -> int:
    if connection.dialect.name == "sqlite":
        pages, size = (connection.exec_driver_sql(f"PRAGMA page_{what}").scalar_one() for what in ("count", "size"))
        return int(pages * size)
    return connection.execute(sa.select(sa.func.pg_database_size(sa.func.current_database()))).scalar_one()


def _volume(database: Database) -> tuple[int | None, int | None]:
    """Return the size of the volume of a SQLite file and its free bytes; None for both on a server."""
    if not database.is_sqlite or not database.url.database:
        return None, None
    usage = shutil.disk_usage(Path(database.url.database).resolve().parent)
    return usage.total, usage.free
