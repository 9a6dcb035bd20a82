"""One database, SQLite or PostgreSQL: connections for reading and for writing, and what is said when it is away."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

_BUSY_SECONDS = 5


class Database:
    """Connections to `url`: `sqlite:///FILE` or `postgresql+pg8000://USER@HOST/NAME`.

    A SQLite file is in WAL mode with full synchronisation: what was committed is on disk, and readers never wait.
    """

    def __init__(self, url: str) -> None:
        self.url = sa.make_url(url)
        self.engine = _engine(self.url)

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A consistent view, for as long as the block lasts.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away.
        """
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction: committed, and on disk, when the block ends; undone if it raises.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away, locked or full; nothing was written.
        """
        with self.engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection

    def close(self) -> None:
        self.engine.dispose()


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return _postgresql(url)
    engine = sa.create_engine(
        url, connect_args={"timeout": _BUSY_SECONDS}, pool_timeout=_BUSY_SECONDS, hide_parameters=True
    )

    # Python's own driver begins late and lazily: a transaction that first reads, then writes, could find that it lost.
    @sa.event.listens_for(engine, "connect")
    def _settings(connection: Any, _: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url, pool_pre_ping=True, pool_size=10, pool_timeout=_BUSY_SECONDS, hide_parameters=True)

    # A server that goes away while it is being asked for TLS shows as a plain OSError, which nobody expects.
    @sa.event.listens_for(engine, "do_connect")
    def _connect(dialect: Any, _: object, arguments: Any, named: Any) -> Any:
        try:
            return dialect.connect(*arguments, **named)
        except (OSError, struct.error) as error:
            raise dialect.loaded_dbapi.InterfaceError(f"no connection: {error}") from error

    return engine
