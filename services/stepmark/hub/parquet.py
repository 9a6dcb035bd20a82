"""Write the steps of a run as one Parquet table, batch by batch from a stream, so that memory stays bounded."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema, list_array
from arro3.io import write_parquet

from stepmark.analysis.interference import disturbed_because
from stepmark.results.record import LaunchHeader, LaunchRecord
from stepmark.results.store import Row, record_of

FILE = "steps.parquet"
_STEPS_AT_ONCE = 1 << 13  # few, since encoding blocks other threads, and each step repeats its launch's texts
_STEPS_IN_A_GROUP = 1 << 20  # these are kept in memory, encoded, until they are written

_TEXT, _INTEGER = DataType.utf8(), DataType.int32()
_TEXTS = DataType.list(Field("item", _TEXT, nullable=True))
_CELL = {
    "candidate": _TEXT, "engine": _TEXT, "strategy": _TEXT, "variant": _TEXT, "execution": _TEXT,
    "precision": _TEXT, "options": _TEXTS, "workers": _INTEGER, "batch_per_worker": _INTEGER,
}  # fmt: skip
_LAUNCH = {"launch_id": _TEXT, **_CELL, "block": _INTEGER, "attempt": _INTEGER, "disturbed": DataType.bool()}
_STEP = {"rank": _INTEGER, "step": _INTEGER, "step_nanoseconds": DataType.int64(), "warmup": DataType.bool()}
_SCHEMA = Schema([Field(name, kind, nullable=True) for name, kind in (_LAUNCH | _STEP).items()])


def write(rows: Iterable[Row], folder: Path) -> None:
    """Write `steps.parquet` in this folder, in the order of the launches, ranks and steps.

    Failed launches have no steps.

    Raises:
        CannotRun: A row is not a launch.
    """
    failed: list[Exception] = []

    def batches() -> Iterator[RecordBatch]:
        try:
            yield from _batches(rows)
        except Exception as error:
            failed.append(error)
            raise

    stream = RecordBatchReader.from_batches(_SCHEMA, batches())
    try:
        write_parquet(stream, folder / FILE, compression="zstd(3)", max_row_group_size=_STEPS_IN_A_GROUP)
    except Exception:  # Arrow raises its own error, which keeps only the text of ours
        if failed:
            raise failed[0] from None
        raise


def _batches(rows: Iterable[Row]) -> Iterator[RecordBatch]:
    for row in rows:
        record = record_of(row)
        if record.ok:
            yield from _launch_batches(record)


def _launch_batches(record: LaunchRecord) -> Iterator[RecordBatch]:
    launch = _launch(record.header)
    for rank, steps in enumerate(record.step_nanoseconds):
        for first in range(0, len(steps), _STEPS_AT_ONCE):
            some = np.ascontiguousarray(steps[first : first + _STEPS_AT_ONCE])
            index = np.arange(first, first + len(some), dtype=np.int32)
            own = (np.full_like(index, rank), index, some, index < record.warmup_steps)
            same = [value.take(np.zeros_like(index, dtype=np.uint32)) for value in launch]
            yield RecordBatch.from_arrays([*same, *map(Array.from_numpy, own)], schema=_SCHEMA)


def _launch(header: LaunchHeader) -> list[Array]:
    """Return what all steps of a launch have in common, as arrays of one value."""
    values = header.cell.model_dump(include=set(_CELL)) | header.model_dump(include={"launch_id", "block", "attempt"})
    values["disturbed"] = disturbed_because(header) is not None
    return [_one(values[name], kind) for name, kind in _LAUNCH.items()]


def _one(value: object, kind: DataType) -> Array:
    if isinstance(value, tuple):
        return list_array(np.array([0, len(value)], dtype=np.int32), Array(list(value), _TEXT), type=kind)
    return Array([value], kind)
