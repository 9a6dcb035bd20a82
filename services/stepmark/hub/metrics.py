"""`/metrics` of a hub: what its database says at each scrape, and what its meters have counted."""

import queue
import threading
import time
from collections.abc import Callable

import sqlalchemy as sa
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stepmark import __version__
from stepmark.hub.database import Database
from stepmark.hub.refusals import database_words, log
from stepmark.hub.tables import cells, comparisons, executions, latest, runs
from stepmark.telemetry.collector import SCENARIOS_MOST, HubCollector
from stepmark.telemetry.figures import CellFigures, PairFigures, RunCount, RunState, Service, Snapshot
from stepmark.telemetry.hub_meters import HubMeters

WAITING = "waiting"  # registered, and no execution has begun
_READ_SECONDS_MOST = 4  # less than Prometheus waits for an answer, 10 s unless it is told otherwise
_READ_MOST = 100  # rows: a measured cell has at least eight series, and more of them are never shown


def metrics_app(database: Database, meters: HubMeters) -> Starlette:
    """An ASGI app with GET /metrics. One for each `meters`: it adds a collector to their registry."""

    def read() -> Snapshot | None:
        try:
            return snapshot(database)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            meters.database_errors.inc()
            log.error("metrics are without the database: %s", database_words(error))
            return None

    meters.registry.register(HubCollector(_InTime(read, _READ_SECONDS_MOST)))

    def metrics(_: Request) -> Response:
        """Not async: it runs in a thread, since it waits for the database. OpenMetrics would take 40 % longer."""
        return Response(generate_latest(meters.registry), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})

    return Starlette(routes=[Route("/metrics", metrics)])


class _InTime:
    """`read`, but None where it takes more than `seconds`: a database that hangs must not hang the scrape.

    One at a time, so that scrapes of a database that hangs do not pile up threads.
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
    """The newest figures, as many as can be shown.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is away.
    """
    with database.read() as connection:
        return Snapshot(
            cells=tuple(CellFigures(**row) for row in _newest(connection, "cell", cells, CellFigures)),
            cells_stored=_stored(connection, "cell"),
            pairs=tuple(PairFigures(**row) for row in _newest(connection, "comparison", comparisons, PairFigures)),
            pairs_stored=_stored(connection, "comparison"),
            scenarios=_scenarios(connection),
            scenarios_stored=connection.execute(sa.select(sa.func.count(runs.c.name.distinct()))).scalar_one(),
            service=_service(connection),
        )


def _newest(
    connection: sa.Connection, what: str, table: sa.Table, model: type[CellFigures | PairFigures]
) -> sa.MappingResult:
    columns = (table.c[name] for name in model.model_fields)
    rows = sa.and_(table.c.execution_id == latest.c.execution_id, table.c.key == latest.c.key)
    query = sa.select(*columns).join_from(latest, table, rows).where(latest.c.what == what)
    order = (latest.c.ended_at.desc(), latest.c.configuration)
    return connection.execute(query.order_by(*order).limit(_READ_MOST)).mappings()


def _stored(connection: sa.Connection, what: str) -> int:
    return connection.execute(sa.select(sa.func.count()).where(latest.c.what == what)).scalar_one()


def _scenarios(connection: sa.Connection) -> tuple[RunState, ...]:
    """Of every scenario the newest run; `waiting`: registered, and nothing yet."""
    at = sa.func.max(runs.c.created_at).label("at")
    newest = sa.select(runs.c.name, at).group_by(runs.c.name).order_by(at.desc()).limit(SCENARIOS_MOST).subquery()
    same = sa.and_(runs.c.name == newest.c.name, runs.c.created_at == newest.c.at)
    state = (executions.c.outcome, executions.c.reason)
    query = sa.select(runs.c.name, *state).join_from(newest, runs, same).order_by(newest.c.at.desc())
    rows = connection.execute(query.outerjoin(executions, executions.c.execution_id == runs.c.execution_id))
    return tuple(RunState(scenario=row.name, outcome=row.outcome or WAITING, reason=row.reason or "") for row in rows)


def _service(connection: sa.Connection) -> Service:
    running = executions.c.outcome == "running"
    silent = connection.execute(sa.select(sa.func.min(executions.c.seen_at)).where(running)).scalar()
    waiting = _queue(connection)
    return Service(
        stepmark_version=__version__,
        schema_revision=_revision(connection),
        database_bytes=_bytes(connection),
        runs=_runs(connection),
        unseen_seconds=None if silent is None else max(0.0, time.time() - silent),
        queue_running=waiting.get("running", 0),
        queue_ended=sum(count for outcome, count in waiting.items() if outcome != "running"),
    )


def _queue(connection: sa.Connection) -> dict[str, int]:
    """Outcome -> how many wait for their figures."""
    query = sa.select(executions.c.outcome, sa.func.count().label("waiting")).group_by(executions.c.outcome)
    rows = connection.execute(query.where(executions.c.revision > executions.c.derived_revision))
    return {row.outcome: row.waiting for row in rows}


def _runs(connection: sa.Connection) -> tuple[RunCount, ...]:
    """The most frequent first. That none is running, or waits, is a figure, too.

    Of executions, not of runs: an index answers that without their documents, and every try shows how it went.
    """
    how = (executions.c.outcome, executions.c.reason)
    waiting = sa.select(sa.func.count()).where(runs.c.execution_id.is_(None))
    found = {("running", ""): 0, (WAITING, ""): connection.execute(waiting).scalar_one()}
    for outcome, reason, count in connection.execute(sa.select(*how, sa.func.count()).group_by(*how)):
        found[outcome, reason] = count
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
