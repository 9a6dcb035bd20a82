"""Whether the process is alive and whether it can work: for Kubernetes, and for people who look for a cause."""

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
_LOOK_WAITED_SECONDS = 3.0  # a small file is checked by then; a large one is served while it is checked


class Readiness:
    """Check whether the hub can work: at most once a second, whoever calls, since the check writes to the database.

    A SQLite file is also checked once for damage, in the background from the start. A damaged file is not used.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._lock = threading.Lock()
        self._asked_at, self._problem = float("-inf"), ""
        self._damage, self._looked = "", threading.Event()
        threading.Thread(target=self._look, name="check", daemon=True).start()

    def damage(self, wait_seconds: float = 0.0) -> str:
        """Return what is damaged, as far as it is known after waiting at most `wait_seconds`, or an empty text."""
        self._looked.wait(wait_seconds)
        return self._damage

    def _look(self) -> None:
        try:
            found = damage_of(self.database)
            if found:
                log.error("the database is damaged, so the hub neither shows nor writes it: %s", found)
                self._damage = "the database is damaged: restore a backup (`stepmark hub restore`)"
        finally:
            self._looked.set()

    def problem(self) -> str:
        """Return why the hub cannot work now, or an empty text."""
        damage = self.damage(_LOOK_WAITED_SECONDS)
        if damage:
            return damage
        with self._lock:
            if time.monotonic() - self._asked_at >= _ASKED_AGAIN_AFTER_SECONDS:
                found = self._ask()
                if found != self._problem:
                    log.warning(
                        "the hub is ready again" if not found else "the hub is not ready: %s",
                        *([found] if found else []),
                    )
                self._asked_at, self._problem = time.monotonic(), found
            return self._problem

    def _ask(self) -> str:
        try:
            with self.database.read() as connection:
                found = migrate.version(connection)
            if found != migrate.newest():
                return f"the database: expected schema {migrate.newest()}, found {found}; run `stepmark hub migrate`"
            self._write()
        except (sa.exc.SQLAlchemyError, OSError) as error:
            log.error("database: %s", database_words(error))
            return "the database cannot be written"  # the caller is not known, so details are only in the log
        return ""

    def _write(self) -> None:
        """Write to the database and undo it.

        A full SQLite file still accepts a byte, so the probe is as large as a record. PostgreSQL has no free pages that
        could hide a full disk, and a large row would only burden its log.
        """
        size = _SQLITE_PROBE_BYTES if self.database.is_sqlite else 1
        with self.database.write() as connection:
            connection.execute(readiness.delete())
            connection.execute(readiness.insert().values(probe=bytes(size)))
        with self.database.write() as connection:
            connection.execute(readiness.delete())


def damage_of(database: Database) -> str:
    """Return what is wrong with the structure of a SQLite file, or an empty text.

    A file that cannot be checked now does not count as damaged.
    """
    if not database.is_sqlite:
        return ""  # PostgreSQL checks its own pages
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
    """Answer that the process is alive.

    No thread is used, so that waiting for a database does not look like a dead process.
    """
    return JSONResponse({"status": "alive"})


@router.get("/readyz")
def readyz(request: Request) -> JSONResponse:
    """Answer whether the database can be written, its schema is current, and it is not damaged."""
    problem = request.app.state.readiness.problem()
    if problem:
        return Refused(503, "unavailable", problem).response()
    return JSONResponse({"status": "ready"})
