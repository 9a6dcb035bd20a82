"""The version of a database's schema, and its migration to the newest one, for SQLite and PostgreSQL alike."""

import threading
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from stepmark.errors import CannotRun
from stepmark.hub.database import Database
from stepmark.hub.refusals import database_words

_ONE_AT_A_TIME = 0x57E9_3A12  # an advisory lock of PostgreSQL: several hubs may start together
_alembic_is_global = threading.Lock()


@cache
def newest() -> str:
    """Return the schema version that this program needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def version(connection: sa.Connection) -> str | None:
    """Return the schema version of the database, or None if it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate(database: Database) -> None:
    """Migrate the database to the newest version in one transaction; do nothing if it has that version.

    Raises:
        CannotRun: The database is newer than this program, or cannot be written.
    """
    config = _config()
    try:
        with database.write() as connection, _alembic_is_global:
            if not database.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
            _refuse_newer(connection, config)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise CannotRun(unusable(database, error)) from None


def require_newest(database: Database) -> None:
    """Check that the database has the newest version.

    Raises:
        CannotRun: The database has another version, or none, or is away.
    """
    try:
        with database.read() as connection:
            found = version(connection)
            _refuse_newer(connection, _config())
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise CannotRun(unusable(database, error)) from None
    if found != newest():
        raise CannotRun(
            f"{named(database)}: expected schema {newest()}, found {found or 'none'}. "
            "Run `stepmark hub migrate`, or serve with --migrate; take a backup first."
        )


def named(database: Database) -> str:
    """Return the database's address without its password."""
    return database.url.render_as_string(hide_password=True)


def unusable(database: Database, error: Exception) -> str:
    """Return the message for a person at the command line when the database fails."""
    return f"{named(database)}: expected a database for a hub, found {database_words(error)}. Check --database."


def _refuse_newer(connection: sa.Connection, config: Config) -> None:
    found = version(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise CannotRun(f"expected a schema that this program knows, found {found}. Use a newer stepmark.")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
