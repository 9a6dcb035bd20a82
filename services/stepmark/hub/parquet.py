"""The steps of a run as one Parquet table, written by DuckDB from a table on disk, so that memory stays bounded.

DuckDB may open files of one folder alone, loads no extension and reaches no network.
"""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from stepmark.results.record import LaunchHeader, LaunchRecord
from stepmark.results.store import Row, record_of

FILE = "steps.parquet"
_STEPS_AT_ONCE = 1_000_000
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "256MB",
    "threads": 1,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
_CELL = {
    "candidate": "VARCHAR", "engine": "VARCHAR", "strategy": "VARCHAR", "variant": "VARCHAR", "execution": "VARCHAR",
    "precision": "VARCHAR", "options": "VARCHAR[]", "workers": "INTEGER", "batch_per_worker": "INTEGER",
}  # fmt: skip
_LAUNCH = {"launch_id": "VARCHAR", **_CELL, "block": "INTEGER"}
_STEP = {"rank": "INTEGER", "step": "INTEGER", "step_nanoseconds": "BIGINT", "warmup": "BOOLEAN"}


def write(rows: Iterable[Row], folder: Path) -> None:
    """`steps.parquet` in this folder, in the order of the launches, ranks and steps. Failed launches have no steps.

    Raises:
        CannotRun: a row is no launch.
    """
    inside = _quoted(folder)
    with closing(duckdb.connect(str(folder / "steps.duckdb"), config=_SETTINGS)) as table:
        table.execute(f"SET temp_directory = {inside}")
        table.execute(f"SET allowed_directories = [{inside}]")
        table.execute("SET enable_external_access = false")
        table.execute("SET lock_configuration = true")
        columns = ", ".join(f"{name} {kind}" for name, kind in (_LAUNCH | _STEP).items())
        table.execute(f"CREATE TABLE steps ({columns})")
        for row in rows:
            _append(table, record_of(row))
        table.execute(f"COPY steps TO {_quoted(folder / FILE)} (FORMAT parquet, COMPRESSION zstd)")


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _append(table: duckdb.DuckDBPyConnection, record: LaunchRecord) -> None:
    if not record.ok:
        return
    known = _launch(record.header)
    marks = ", ".join(f"CAST(? AS {kind})" for kind in _LAUNCH.values())
    for rank, steps in enumerate(record.step_nanoseconds):
        for first in range(0, len(steps), _STEPS_AT_ONCE):
            table.register("part", _part(steps, first))
            insert = f"INSERT INTO steps SELECT {marks}, ?, step, step_nanoseconds, step < ? FROM part"  # noqa: S608
            table.execute(insert, [*known, rank, record.warmup_steps])
            table.unregister("part")


def _launch(header: LaunchHeader) -> list[Any]:
    cell = header.cell.model_dump(include=set(_CELL))
    return [header.launch_id, *(_plain(cell[name]) for name in _CELL), header.block]


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _part(steps: NDArray[np.int64], first: int) -> dict[str, NDArray[Any]]:
    some = steps[first : first + _STEPS_AT_ONCE]
    return {"step": np.arange(first, first + len(some), dtype=np.int32), "step_nanoseconds": np.ascontiguousarray(some)}
