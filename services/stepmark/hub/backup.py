"""Back up all rows of a hub into one SQLite file, whatever its database is, and restore them."""

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from stepmark.errors import CannotRun
from stepmark.hub import migrate
from stepmark.hub.database import Database
from stepmark.hub.tables import metadata, runs, tokens

_ROWS_AT_ONCE = 50


def backup(database: Database, file: Path) -> int:
    """Write all rows as they are at one moment, while others may write. Return the number of runs.

    Raises:
        CannotRun: The file exists, or cannot be written.
    """
    if file.exists():
        raise CannotRun(f"{file}: expected a new file, found one that exists. Choose another name.")
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # it holds the hashes of tokens
        count = _copy_online(database, partial) if database.is_sqlite else _copy_rows(database, partial)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.rename(file)
    except (OSError, sqlite3.Error) as error:
        raise CannotRun(
            f"{file}: expected to write a backup, found: {error}. Make room, or choose another file."
        ) from None
    finally:
        for leftover in (partial, *(partial.with_name(partial.name + end) for end in ("-wal", "-shm", "-journal"))):
            leftover.unlink(missing_ok=True)
    return count


def restore(file: Path, database: Database) -> int:
    """Fill an empty database of the newest schema from a backup. Return the number of runs.

    Raises:
        CannotRun: The file is not a backup, or the database is not empty.
    """
    if not file.is_file():
        raise CannotRun(f"{file}: expected a backup, found no such file. Check the path.")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(file, folder))  # an old backup is migrated first; the file itself is not changed
        source = Database(f"sqlite:///{copy}")
        try:
            with source.read() as connection:
                if migrate.version(connection) is None:
                    raise CannotRun(f"{file}: expected a backup of a hub, found another database. Check the path.")
            migrate.migrate(source)
            return _fill(source, database)
        except sa.exc.DatabaseError as error:
            raise CannotRun(f"{file}: expected a backup of a hub, found: {error.orig}. Check the path.") from None
        finally:
            source.close()


def _copy_online(database: Database, partial: Path) -> int:
    """Copy a SQLite database with SQLite's own backup. The copy leaves WAL mode, so that it is one file."""
    with closing(sqlite3.connect(str(database.url.database))) as source, closing(sqlite3.connect(partial)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")
        return int(target.execute("SELECT count(*) FROM runs").fetchone()[0])


def _copy_rows(database: Database, partial: Path) -> int:
    target = Database(f"sqlite:///{partial}")
    try:
        migrate.migrate(target)
        count = _fill(database, target)
        with target.engine.connect() as connection:
            connection.connection.driver_connection.execute("PRAGMA journal_mode=DELETE")  # type: ignore[union-attr]
        return count
    finally:
        target.close()


def _fill(source: Database, target: Database) -> int:
    """Copy all rows of all tables as they are at one moment, in one transaction."""
    snapshot = {} if source.is_sqlite else {"isolation_level": "REPEATABLE READ"}
    with source.engine.connect().execution_options(**snapshot) as reading, target.write() as writing:
        for table in (runs, tokens):
            if writing.execute(sa.select(table).limit(1)).first() is not None:
                raise CannotRun(
                    f"{migrate.named(target)}: expected an empty database, found {table.name} in it. Choose another."
                )
        for table in metadata.sorted_tables:
            rows = reading.execution_options(yield_per=_ROWS_AT_ONCE).execute(table.select())
            for part in rows.mappings().partitions():
                writing.execute(table.insert(), [dict(row) for row in part])
        return int(writing.execute(sa.select(sa.func.count()).select_from(runs)).scalar_one())
