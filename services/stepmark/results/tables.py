"""The tables of `results.db`, and the digests that detect damage.

Format history (PRAGMA user_version)
    0  without digests
    1  a digest of each row, and seals: the number of rows of each table, and the sum of their digests modulo 2**256. A
       damaged page can lose rows without an error; the sum then no longer matches.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

FORMAT = 1

metadata = sa.MetaData()
run = sa.Table(
    "run",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
)
launches = sa.Table(
    "launches",
    metadata,
    sa.Column("launch_id", sa.String(400), primary_key=True),
    sa.Column("block", sa.Integer, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("header", sa.Text, nullable=False),
    sa.Column("step_nanoseconds_npz", sa.LargeBinary, nullable=False),
)
ORDER_OF_PLAN = (launches.c.block, launches.c.position, launches.c.launch_id)
certificates = sa.Table(
    "certificates",
    metadata,
    sa.Column("cell", sa.String(400), primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
)
_seals = sa.Table(
    "seals",
    metadata,
    sa.Column("table_name", sa.String(20), primary_key=True),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
)
_SEALED = (run, launches, certificates)

Values = tuple[Any, ...]
"""The values of a row without its digest, in the order of the columns."""


def is_sealed(connection: sa.Connection) -> bool:
    """Return whether this file has digests. It counts as an old file only if it has no trace of them.

    Raises:
        ValueError: A newer version has written the file, or it has only a part of what format 1 has.
    """
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    with_digest = [_has_column(connection, table, "sha256") for table in (launches, certificates)]
    traces = (version == FORMAT, sa.inspect(connection).has_table(_seals.name), *with_digest)
    if version == 0 and not any(traces):
        return False
    if not all(traces):
        raise ValueError(f"format {version} instead of {FORMAT}, or only a part of the tables")
    return True


def _has_column(connection: sa.Connection, table: sa.Table, name: str) -> bool:
    found = sa.inspect(connection)
    return found.has_table(table.name) and name in (column["name"] for column in found.get_columns(table.name))


def columns_of(table: sa.Table, sealed: bool) -> list[sa.Column[Any]]:
    """Return the columns of a row's values, then the column of its digest if it has one."""
    plain = [column for column in table.c if column.name != "sha256"]
    return [*plain, table.c.sha256] if sealed and "sha256" in table.c else plain


def verified(row: sa.Row[Any], sealed: bool) -> Values:
    """Return the values of a row after comparing them with its digest.

    Raises:
        ValueError: The values are not those that were written.
    """
    if not sealed:
        return tuple(row)
    values, sha256 = tuple(row)[:-1], row[-1]
    if digest(*values) != sha256:
        raise ValueError(f"values of {values[0]} that are not those written: their digest differs")
    return values


def insert(connection: sa.Connection, table: sa.Table, rows: Iterable[Values]) -> None:
    """Insert rows with their digests, and update the table's seal."""
    names = [column.name for column in columns_of(table, sealed=True)]
    count, total = connection.execute(_seal_of(table)).one()
    for values in rows:
        sha256 = digest(*values)
        connection.execute(
            table.insert(), dict(zip(names, (*values, sha256), strict=False))
        )  # `run` has no column for a digest
        count, total = count + 1, _sum([total, sha256])
    changed = _seals.update().where(_seals.c.table_name == table.name)
    connection.execute(changed.values(rows=count, sha256=total))


def check_seals(connection: sa.Connection) -> None:
    """Compare the rows of each table with its seal.

    Raises:
        ValueError: Rows have been lost or added.
    """
    for table in (launches, certificates):
        rows, total = connection.execute(_seal_of(table)).one()
        found = list(connection.execute(sa.select(table.c.sha256)).scalars())
        if (len(found), _sum(found)) != (rows, total):
            raise ValueError(f"{len(found)} {table.name} that are not the {rows} written: their digests differ")


def check_run(connection: sa.Connection, document: str) -> None:
    """Compare the run's document with its seal.

    Raises:
        ValueError: The document is not the one that was written.
    """
    if tuple(connection.execute(_seal_of(run)).one()) != (1, _sum([digest(1, document)])):
        raise ValueError("a description of the run that is not the one written: its digest differs")


def add_digests(connection: sa.Connection) -> None:
    """Upgrade a file of format 0 to format 1; its present rows count as what was written."""
    old = [table for table in _SEALED if sa.inspect(connection).has_table(table.name)]
    for table in old:
        connection.exec_driver_sql(f"ALTER TABLE {table.name} RENAME TO old_{table.name}")
    make(connection)
    for table in old:
        columns = ", ".join(column.name for column in columns_of(table, sealed=False))
        rows = connection.exec_driver_sql(f"SELECT {columns} FROM old_{table.name}")  # noqa: S608  (our own names)
        insert(connection, table, map(tuple, rows))
        connection.exec_driver_sql(f"DROP TABLE old_{table.name}")


def make(connection: sa.Connection) -> None:
    """Create the empty tables of a new file."""
    metadata.create_all(connection)
    seals = [{"table_name": table.name, "rows": 0, "sha256": _sum([])} for table in _SEALED]
    connection.execute(_seals.insert(), seals)
    connection.exec_driver_sql(f"PRAGMA user_version={FORMAT}")


def _seal_of(table: sa.Table) -> sa.Select[int, str]:
    return sa.select(_seals.c.rows, _seals.c.sha256).where(_seals.c.table_name == table.name)


def digest(*values: str | int | bytes) -> str:
    """Return the SHA-256 of values, each with its length, so that different rows never hash the same bytes."""
    made = hashlib.sha256()
    for value in values:
        data = value if isinstance(value, bytes) else str(value).encode()
        made.update(len(data).to_bytes(8, "big") + data)
    return made.hexdigest()


def _sum(digests: Iterable[str]) -> str:
    """Return the sum modulo 2**256, which does not depend on the order and changes if a digest is missing."""
    return f"{sum(int(one, 16) for one in digests) % 2**256:064x}"
