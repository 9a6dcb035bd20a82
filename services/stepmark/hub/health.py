"""Whether the process lives, and whether it can do its work: for Kubernetes, and for people who look for the cause."""

import threading
import time
from dataclasses import dataclass

import sqlalchemy as sa
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from stepmark.hub import migrate
from stepmark.hub.database import Database
from stepmark.hub.refusals import Refused, database_words, log
from stepmark.hub.tables import readiness

router = APIRouter(include_in_schema=False)

_ASKED_AGAIN_AFTER_SECONDS = 1.0
_SQLITE_PROBE_BYTES = 1 << 20


@dataclass
class Readiness:
    """Asks the database at most once a second, whoever calls: the question writes to it."""

    database: Database

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._asked_at, self._problem = float("-inf"), ""

    def problem(self) -> str:
        """Why the hub cannot work now, or empty."""
        with self._lock:
            if time.monotonic() - self._asked_at >= _ASKED_AGAIN_AFTER_SECONDS:
                found = self._ask()
                if found != self._problem:
                    log.warning("ready again" if not found else "not ready: %s", *([found] if found else []))
                self._asked_at, self._problem = time.monotonic(), found
            return self._problem

    def _ask(self) -> str:
        try:
            with self.database.read() as connection:
                found = migrate.version(connection)
            if found != migrate.newest():
                return f"the database has schema {found}, and this hub needs {migrate.newest()}"
            self._write()
        except (sa.exc.SQLAlchemyError, OSError) as error:
            log.error("database: %s", database_words(error))
            return "the database cannot be written"  # whoever asks is not known: details are in the log
        return ""

    def _write(self) -> None:
        """A full SQLite file still takes a byte: what counts is whether a record would fit.

        PostgreSQL has no freer pages to hide a full disk behind, and a large row would only burden its log.
        """
        size = _SQLITE_PROBE_BYTES if self.database.is_sqlite else 1
        with self.database.write() as connection:
            connection.execute(readiness.delete())
            connection.execute(readiness.insert().values(probe=bytes(size)))
        with self.database.write() as connection:
            connection.execute(readiness.delete())


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers. No thread is used: waiting for a database must not look like death."""
    return {"status": "alive"}


@router.get("/readyz")
def readyz(request: Request) -> JSONResponse:
    """The database can be written, and its schema is current."""
    problem = request.app.state.readiness.problem()
    if problem:
        return Refused(503, "unavailable", problem).response()
    return JSONResponse({"status": "ready"})
