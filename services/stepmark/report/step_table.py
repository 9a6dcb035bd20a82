"""Put the steps of a run into one Arrow table, batch by batch, so that memory stays bounded.

A row is one stamp of one rank. It ends the `stamp_steps` steps from number `step` on, mostly one, which took
`step_nanoseconds` together. `device_step_nanoseconds` lists what each of them took by the device's own clock; it is
null in the warm-up, and where the device has none.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from arro3.core import Array, DataType, Field, RecordBatch, Schema, list_array
from numpy.typing import NDArray

from stepmark.analysis.interference import disturbed_because
from stepmark.results.record import LaunchHeader, LaunchRecord
from stepmark.results.store import Row, record_of

_STEPS_AT_ONCE = 1 << 13  # few, since encoding blocks other threads, and each step repeats its launch's texts

_TEXT, _INTEGER = DataType.utf8(), DataType.int32()
_TEXTS = DataType.list(Field("item", _TEXT, nullable=True))
_CELL = {
    "candidate": _TEXT, "engine": _TEXT, "strategy": _TEXT, "variant": _TEXT, "execution": _TEXT,
    "precision": _TEXT, "options": _TEXTS, "workers": _INTEGER, "batch_per_worker": _INTEGER,
}  # fmt: skip
_LAUNCH = {"launch_id": _TEXT, **_CELL, "block": _INTEGER, "attempt": _INTEGER, "disturbed": DataType.bool()}
_LONG = DataType.int64()
_LONGS = DataType.list(Field("item", _LONG, nullable=True))
_STEP = {
    "rank": _INTEGER, "step": _INTEGER, "stamp_steps": _INTEGER, "step_nanoseconds": _LONG, "warmup": DataType.bool(),
}  # fmt: skip
_DEVICE = {"device_step_nanoseconds": _LONGS}
SCHEMA = Schema([Field(name, kind, nullable=True) for name, kind in (_LAUNCH | _STEP | _DEVICE).items()])


def batches(rows: Iterable[Row]) -> Iterator[RecordBatch]:
    """Yield the steps in the order of the launches, ranks and steps. Failed launches have no steps.

    Raises:
        CannotRun: A row is not a launch.
    """
    for row in rows:
        record = record_of(row)
        if record.ok:
            yield from _launch_batches(record)


def _launch_batches(record: LaunchRecord) -> Iterator[RecordBatch]:
    launch, covered = _launch(record.header), record.steps_of_stamps
    first_steps, warmup = covered.cumsum() - covered, int(covered[: record.warmup_stamps].sum())
    for rank, stamps in enumerate(record.step_nanoseconds):
        device = None if record.device_step_nanoseconds is None else record.device_step_nanoseconds[rank]
        for first in range(0, len(stamps), _STEPS_AT_ONCE):
            some = slice(first, first + _STEPS_AT_ONCE)
            steps, counts = first_steps[some], covered[some]
            columns = (np.full_like(steps, rank), steps, counts)
            own = [Array.from_numpy(column.astype(np.int32)) for column in columns]
            own += map(Array.from_numpy, (np.ascontiguousarray(stamps[some]), steps < warmup))
            same = [value.take(np.zeros(len(steps), dtype=np.uint32)) for value in launch]
            by_device = _lists(device, steps - warmup, counts)
            yield RecordBatch.from_arrays([*same, *own, by_device], schema=SCHEMA)


def _lists(device: NDArray[np.int64] | None, steps: NDArray[np.int64], counts: NDArray[np.int64]) -> Array:
    """Return the device's times of the steps of each stamp, as lists; null where the first step is below 0.

    `steps` holds the first step of each stamp, counted in `device`, and `counts` the number of its steps.
    """
    known = np.zeros(0, dtype=np.int64) if device is None else device
    edges = np.append(steps, steps[-1] + counts[-1]).clip(0, len(known))
    values = Array.from_numpy(np.ascontiguousarray(known[edges[0] : edges[-1]]))
    missing = Array.from_numpy((steps < 0) | (device is None))
    return list_array((edges - edges[0]).astype(np.int32), values, type=_LONGS, mask=missing)


def _launch(header: LaunchHeader) -> list[Array]:
    """Return what all steps of a launch have in common, as arrays of one value."""
    values = header.cell.model_dump(include=set(_CELL)) | header.model_dump(include={"launch_id", "block", "attempt"})
    values["disturbed"] = disturbed_because(header) is not None
    return [_one(values[name], kind) for name, kind in _LAUNCH.items()]


def _one(value: object, kind: DataType) -> Array:
    if isinstance(value, tuple):
        return list_array(np.array([0, len(value)], dtype=np.int32), Array(list(value), _TEXT), type=kind)
    return Array([value], kind)
