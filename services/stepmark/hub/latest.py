"""Which execution has the current figures of a configuration: the newest that ended by itself, complete or failed."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from stepmark.hub.rows import insert
from stepmark.hub.tables import cells, collectives, comparisons, executions, latest

TABLES = {"cell": cells, "comparison": comparisons, "collective": collectives}
_LABELS = {
    "cell": ("namespace", "scenario", "candidate", "engine", "strategy", "execution", "precision", "workers", "batch"),
    "comparison": ("namespace", "scenario", "candidate", "reference", "execution", "precision", "workers", "batch"),
    "collective": (
        "namespace", "scenario", "candidate", "engine", "strategy", "precision", "workers", "collective",
        "message_bytes",
    ),
}  # fmt: skip
_NUMBERS = ("workers", "message_bytes")
ENDED = ("complete", "failed")


def make_current(connection: sa.Connection, execution_id: str) -> None:
    """Make this execution current for each configuration of which it is the newest.

    Its derived rows must be stored already. A cell that exchanges messages is a configuration as a collective, whose
    labels have the size of the message, and not as a cell, whose labels have none.
    """
    make_others_current(connection, execution_id)
    for what, table in TABLES.items():
        for row in connection.execute(table.select().where(table.c.execution_id == execution_id)).mappings().all():
            if what == "collective" or not has_message(row["key"]):
                _enter(connection, what, row)


def has_message(key: str) -> bool:
    """Return whether a cell's or comparison's key ends with the size of a message and not with its workers."""
    return not key.rpartition(".")[2].startswith("w")


def make_others_current(connection: sa.Connection, execution_id: str) -> None:
    """For each configuration of which this execution is current, make the newest other one current."""
    held = connection.execute(latest.select().where(latest.c.execution_id == execution_id)).all()
    connection.execute(latest.delete().where(latest.c.execution_id == execution_id))
    for row in held:
        following = _newest_other(connection, row.what, row.configuration, row.key, execution_id)
        if following is not None:
            _enter(connection, row.what, following)


def configuration_of(what: str, row: Mapping[str, Any]) -> str:
    """Return all labels of a row's series, joined."""
    return "/".join(str(row[label]) for label in _LABELS[what])


def _enter(connection: sa.Connection, what: str, row: Mapping[Any, Any]) -> None:
    configuration = configuration_of(what, row)
    own = sa.and_(latest.c.what == what, latest.c.configuration == configuration)
    known = connection.execute(sa.select(latest.c.ended_at).where(own).with_for_update()).scalar()
    if known is not None and known > row["ended_at"]:
        return
    connection.execute(latest.delete().where(own))
    values = {name: row[name] for name in ("execution_id", "key", "ended_at")}
    insert(connection, latest, [{"what": what, "configuration": configuration, **values}])


def _newest_other(
    connection: sa.Connection, what: str, configuration: str, key: str, execution_id: str
) -> Mapping[Any, Any] | None:
    table = TABLES[what]
    labels = dict(zip(_LABELS[what], configuration.split("/"), strict=True))
    alike = [table.c[label] == value for label, value in labels.items() if label not in _NUMBERS]  # the key has these
    query = table.select().join(executions, executions.c.execution_id == table.c.execution_id)
    query = query.where(*alike, table.c.key == key, table.c.execution_id != execution_id)
    query = query.where(executions.c.outcome.in_(ENDED)).order_by(table.c.ended_at.desc()).limit(1)
    return connection.execute(query).mappings().first()
