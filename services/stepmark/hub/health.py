"""Whether the process lives, and whether it can do its work: for Kubernetes, and for people who look for the cause."""

import threading
import time

import sqlalchemy as sa
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from stepmark.errors import printable
from stepmark.hub import migrate
from stepmark.hub.database import Database
from stepmark.hub.refusals import Refused, database_words, log
from stepmark.hub.tables import readiness

router = APIRouter(include_in_schema=False)

_ASKED_AGAIN_AFTER_SECONDS = 1.0
_SQLITE_PROBE_BYTES = 1 << 20
_LOOK_WAITED_SECONDS = 3.0  # a small file is looked through by then, and a large one is served meanwhile


class Readiness:
    """Asks the database at most once a second, whoever calls: the question writes to it.

    A SQLite file is looked through once, from the start, while the hub serves: one that is damaged is not used.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._lock = threading.Lock()
        self._asked_at, self._problem = float("-inf"), ""
        self._damage, self._looked = "", threading.Event()
        threading.Thread(target=self._look, name="check", daemon=True).start()

    def damage(self, wait_seconds: float = 0.0) -> str:
        """What is damaged, as far as it is known by then, or empty."""
        self._looked.wait(wait_seconds)
        return self._damage

    def _look(self) -> None:
        try:
            found = damage_of(self.database)
            if found:
                log.error("the database is damaged, and nothing of it is shown or written: %s", found)
                self._damage = "the database is damaged: restore a backup (`stepmark hub restore`)"
        finally:
            self._looked.set()

    def problem(self) -> str:
        """Why the hub cannot work now, or empty."""
        damage = self.damage(_LOOK_WAITED_SECONDS)
        if damage:
            return damage
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


def damage_of(database: Database) -> str:
    """What is wrong with a SQLite file's own structure, or empty. A file that cannot be asked now is not damaged."""
    if not database.is_sqlite:
        return ""  # PostgreSQL looks after its own pages
    try:
        with database.read() as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalars().first()
            return "" if found in ("ok", None) else printable(str(found))[:300]
    except (sa.exc.OperationalError, OSError):
        return ""
    except sa.exc.DatabaseError as error:
        return database_words(error)


@router.get("/healthz")
async def healthz(_: Request) -> JSONResponse:
    """The process answers. No thread is used: waiting for a database must not look like death."""
    return JSONResponse({"status": "alive"})


@router.get("/readyz")
def readyz(request: Request) -> JSONResponse:
    """The database can be written, its schema is current, and it is not damaged."""
    problem = request.app.state.readiness.problem()
    if problem:
        return Refused(503, "unavailable", problem).response()
    return JSONResponse({"status": "ready"})
