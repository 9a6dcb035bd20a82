"""Rows with a digest of themselves: written with it, and checked against it when read.

A disk, a file system or an editor may change a value without an error; the digest keeps it out of the figures.
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
    """A stored row or record differs from what was written."""

    def __init__(self, what: str) -> None:
        super().__init__(500, "damaged", f"{what}: the stored data is damaged and is not shown. Restore a backup.")


def sealed(table: sa.Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row's values with their digest."""
    return {**values, SEAL: _digest(table, values)}


def is_whole(table: sa.Table, row: sa.Row[Any]) -> bool:
    """Return whether the row, with all its columns, is as it was written."""
    found = {column.name: getattr(row, column.name, None) for column in table.columns}
    return found[SEAL] == _digest(table, found)


def checked(table: sa.Table, row: sa.Row[Any], what: str) -> sa.Row[Any]:
    """Return the row after checking it. `what` names its owner in the error.

    Raises:
        Damaged: The row is not as it was written.
    """
    if not is_whole(table, row):
        log.error("damaged: %s, in %s", what, table.name)
        raise Damaged(what)
    return row


def _digest(table: sa.Table, values: Mapping[str, Any]) -> str:
    """Return the digest of a row. Packed arrays are left out, since they have digests of their own."""
    parts = [_plain(column, values.get(column.name)) for column in table.columns if _is_covered(column)]
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _is_covered(column: sa.Column[Any]) -> bool:
    return column.name != SEAL and not isinstance(column.type, sa.LargeBinary)


def _plain(column: sa.Column[Any], value: Any) -> tuple[str, Any]:
    """Return a column's name and value in the form in which the database returns it."""
    return column.name, float(value) if isinstance(column.type, sa.Double) and value is not None else value


def insert(connection: sa.Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert new rows with their digests."""
    found = [sealed(table, row) for row in rows]
    if found:
        connection.execute(table.insert(), found)


def insert_missing(connection: sa.Connection, table: sa.Table, **values: Any) -> bool:
    """Insert the row if it is missing. Return whether it was."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    found = sealed(table, values) if SEAL in table.c else values
    statement = dialect.insert(table).values(found).on_conflict_do_nothing()
    return connection.execute(statement).rowcount > 0


def locked(connection: sa.Connection, table: sa.Table, which: sa.ColumnElement[bool]) -> sa.Row[Any] | None:
    """Return the row, or None, locked against changes by other transactions until this one ends.

    SQLite has one writer at a time anyway.

    Raises:
        Damaged: The row is not as it was written.
    """
    row = connection.execute(table.select().where(which).with_for_update()).one_or_none()
    if row is None or SEAL not in table.c:
        return row
    return checked(table, row, f"{table.name} {row[0]}")


def update(connection: sa.Connection, table: sa.Table, row: sa.Row[Any], **values: Any) -> None:
    """Change some columns of a locked row, and renew its digest."""
    own = sa.and_(*(column == row._mapping[column.name] for column in table.primary_key))
    seal = {SEAL: _digest(table, {**row._mapping, **values})} if SEAL in table.c else {}
    connection.execute(table.update().where(own).values(**values, **seal))


def added(total: str, name: str, seal: str) -> str:
    """Return a sum of rows with one more row. It does not depend on the order of the rows."""
    one = int.from_bytes(hashlib.sha256(f"{name}/{seal}".encode()).digest(), "big")
    return f"{(int(total, 16) + one) % _SUMMED:064x}"
