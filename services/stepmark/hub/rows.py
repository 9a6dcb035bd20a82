"""Rows with a digest over themselves: written with it, and believed only with it.

A disk, a file system or an editor may change a value and say nothing: a figure that it reaches would be another one.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from stepmark.hub.refusals import Refused, log

SEAL = "row_sha256"
NO_ROWS = "0" * 64
"""The sum of no rows."""

_SUMMED = 1 << 256


class Damaged(Refused):
    """What is stored is not what was written."""

    def __init__(self, what: str) -> None:
        super().__init__(500, "damaged", f"{what}: what is stored is damaged, and is not shown. Restore a backup.")


def sealed(table: sa.Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """The row's values, with their digest."""
    return {**values, SEAL: _digest(table, values)}


def is_whole(table: sa.Table, row: sa.Row[Any]) -> bool:
    """Whether the row, with all its columns, is as it was written."""
    found = {column.name: getattr(row, column.name, None) for column in table.columns}
    return found[SEAL] == _digest(table, found)


def checked(table: sa.Table, row: sa.Row[Any], what: str) -> sa.Row[Any]:
    """The row.

    Raises:
        Damaged: it is not as it was written. `what` names whose it is.
    """
    if not is_whole(table, row):
        log.error("damaged: %s, in %s", what, table.name)
        raise Damaged(what)
    return row


def _digest(table: sa.Table, values: Mapping[str, Any]) -> str:
    """Packed arrays are left out: they have digests of their own."""
    parts = [_plain(column, values.get(column.name)) for column in table.columns if _is_covered(column)]
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _is_covered(column: sa.Column[Any]) -> bool:
    return column.name != SEAL and not isinstance(column.type, sa.LargeBinary)


def _plain(column: sa.Column[Any], value: Any) -> tuple[str, Any]:
    """A value as it comes back from the database."""
    return column.name, float(value) if isinstance(column.type, sa.Double) and value is not None else value


def insert(connection: sa.Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """New rows, sealed."""
    found = [sealed(table, row) for row in rows]
    if found:
        connection.execute(table.insert(), found)


def insert_missing(connection: sa.Connection, table: sa.Table, **values: Any) -> bool:
    """Whether the row was missing, and is there now."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    found = sealed(table, values) if SEAL in table.c else values
    statement = dialect.insert(table).values(found).on_conflict_do_nothing()
    return connection.execute(statement).rowcount > 0


def locked(connection: sa.Connection, table: sa.Table, which: sa.ColumnElement[bool]) -> sa.Row[Any] | None:
    """The row, which no other transaction changes before this one ends. (SQLite has one writer at a time anyway.)

    Raises:
        Damaged: it is not as it was written.
    """
    row = connection.execute(table.select().where(which).with_for_update()).one_or_none()
    if row is None or SEAL not in table.c:
        return row
    return checked(table, row, f"{table.name} {row[0]}")


def update(connection: sa.Connection, table: sa.Table, row: sa.Row[Any], **values: Any) -> None:
    """Change some columns of a row that is locked."""
    own = sa.and_(*(column == row._mapping[column.name] for column in table.primary_key))
    seal = {SEAL: _digest(table, {**row._mapping, **values})} if SEAL in table.c else {}
    connection.execute(table.update().where(own).values(**values, **seal))


def added(total: str, name: str, seal: str) -> str:
    """A sum of rows, with one row more: the order in which they came does not matter."""
    one = int.from_bytes(hashlib.sha256(f"{name}/{seal}".encode()).digest(), "big")
    return f"{(int(total, 16) + one) % _SUMMED:064x}"
