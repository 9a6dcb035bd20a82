"""All rows of a hub in one file, which is a hub database in SQLite whatever it was taken from, and the way back."""

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
    """Everything as it is at one moment, while others write; returns the number of runs.

    Raises:
        CannotRun: the file exists, or cannot be written.
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
        raise CannotRun(f"{file}: expected to write a backup, found: {error}. Make room, or choose another.") from None
    finally:
        for leftover in (partial, *(partial.with_name(partial.name + end) for end in ("-wal", "-shm", "-journal"))):
            leftover.unlink(missing_ok=True)
    return count


def restore(file: Path, database: Database) -> int:
    """Into a database of the newest schema that holds nothing; returns the number of runs.

    Raises:
        CannotRun: the file is no backup, or the database holds something.
    """
    if not file.is_file():
        raise CannotRun(f"{file}: expected a backup, found no such file.")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(file, folder))  # an old one is migrated before it is read; the file stays as it is
        source = Database(f"sqlite:///{copy}")
        try:
            with source.read() as connection:
                if migrate.version(connection) is None:
                    raise CannotRun(f"{file}: expected a backup of a hub, found another database.")
            migrate.migrate(source)
            return _fill(source, database)
        except sa.exc.DatabaseError as error:
            raise CannotRun(f"{file}: expected a backup of a hub, found: {error.orig}.") from None
        finally:
            source.close()


def _copy_online(database: Database, partial: Path) -> int:
    """SQLite's own way. The copy leaves WAL mode, so that it is one file."""
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
    """All rows of all tables, from one moment, in one transaction."""
    snapshot = {} if source.is_sqlite else {"isolation_level": "REPEATABLE READ"}
    with source.engine.connect().execution_options(**snapshot) as reading, target.write() as writing:
        for table in (runs, tokens):
            if writing.execute(sa.select(table).limit(1)).first() is not None:
                raise CannotRun(f"{migrate.named(target)}: expected an empty database, found {table.name} in it.")
        for table in metadata.sorted_tables:
            rows = reading.execution_options(yield_per=_ROWS_AT_ONCE).execute(table.select())
            for part in rows.mappings().partitions():
                writing.execute(table.insert(), [dict(row) for row in part])
        return int(writing.execute(sa.select(sa.func.count()).select_from(runs)).scalar_one())
