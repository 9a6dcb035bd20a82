"""Connections to the hub's database, SQLite or PostgreSQL, and the errors raised when it is away."""

import socket
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

PATIENCE_SECONDS = 5.0
"""How long a caller waits for one statement; a server that is silent for longer counts as away."""

_BUSY_SECONDS = 5
_NO_TEXT = "database disk image is malformed: its schema holds bytes that are no text"
_ON_THE_WAY_SECONDS = 1.0


class Database:
    """Connections to `url`: `sqlite:///FILE` or `postgresql+pg8000://USER@HOST/NAME`.

    A SQLite file is in WAL mode with full synchronisation: what was committed is on disk, and readers never wait.
    `patience_seconds` is how long PostgreSQL may take to connect, or for one statement; None sets no limit.
    """

    def __init__(self, url: str, patience_seconds: float | None = None) -> None:
        self.url = sa.make_url(url)
        self.engine = _engine(self.url, patience_seconds)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a SQLite file."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Yield a connection with a consistent view of the database for as long as the block lasts.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database is away.
        """
        with self.engine.connect() as connection:
            if not self.is_sqlite:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Yield a connection in a transaction: committed, and on disk, when the block ends; undone if it raises.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database is away, locked or full; nothing was written.
        """
        with self.engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _engine(url: sa.URL, patience_seconds: float | None) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return _postgresql(url, patience_seconds)
    engine = sa.create_engine(
        url, connect_args={"timeout": _BUSY_SECONDS}, pool_timeout=_BUSY_SECONDS, hide_parameters=True
    )

    # Python's driver begins transactions late: one that reads and then writes could fail. `_begin` begins them instead.
    @sa.event.listens_for(engine, "connect")
    def _settings(connection: Any, _: object) -> None:
        connection.isolation_level = None
        connection.text_factory = _text
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}")
        except UnicodeDecodeError:
            raise sqlite3.DatabaseError(_NO_TEXT) from None

    # Python's driver raises UnicodeDecodeError for a damaged schema; this makes it a database error.
    @sa.event.listens_for(engine, "handle_error")
    def _damaged(context: sa.engine.ExceptionContext) -> Exception | None:
        if not isinstance(context.original_exception, UnicodeDecodeError):
            return None
        return sa.exc.DatabaseError(context.statement, None, sqlite3.DatabaseError(_NO_TEXT))

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _text(stored: bytes) -> str:
    """Decode a text, replacing invalid bytes.

    Invalid bytes are damage, which the row's digest detects; other rows must stay readable.
    """
    return stored.decode("utf-8", "replace")


def _postgresql(url: sa.URL, patience_seconds: float | None) -> sa.Engine:
    limits = {} if patience_seconds is None else {"timeout": patience_seconds + _ON_THE_WAY_SECONDS}
    engine = sa.create_engine(
        url, pool_pre_ping=True, pool_size=10, pool_timeout=_BUSY_SECONDS, hide_parameters=True, connect_args=limits
    )

    # A server that goes away during TLS negotiation, or stays silent, raises an OSError, which callers do not expect.
    @sa.event.listens_for(engine, "do_connect")
    def _connect(dialect: Any, _: object, arguments: Any, named: Any) -> Any:
        try:
            connection = dialect.connect(*arguments, **named)
            if patience_seconds is not None:
                _limit(connection, round(1000 * patience_seconds))
        except (OSError, struct.error) as error:
            raise dialect.loaded_dbapi.InterfaceError(f"no connection: {error}") from error
        return connection

    return engine


def _limit(connection: Any, milliseconds: int) -> None:
    connection._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    connection.autocommit = True
    connection.cursor().execute(f"SET statement_timeout = {milliseconds}")
    connection.autocommit = False
    connection._sock = _Answers(connection._sock)


class _Answers:
    """The stream of a server's answers, on which a timeout reads as a broken connection.

    The driver handles a connection that breaks, but not one that stays silent.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except TimeoutError:
            return b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
