"""What is stored of some cells beside the figures that all have: of their GPUs, and of how their steps are fed."""

import re
from collections.abc import Iterable
from typing import Any, TypeVar

import sqlalchemy as sa

from stepmark.analysis.cells import CellResult
from stepmark.hub.rows import is_whole
from stepmark.hub.tables import cell_devices, cell_inputs
from stepmark.telemetry.figures import DeviceFigures, FiguresModel, InputFigures

_WORD_MOST = 63
_Extra = TypeVar("_Extra", bound=FiguresModel)


def device_row(cell: CellResult) -> dict[str, Any] | None:
    """Return the row of a cell's GPUs, without its execution; None where nothing is known of GPUs, as on CPU cores."""
    return _row(
        cell,
        device=None if cell.device_name is None else device_word(cell.device_name),
        sm_clock_hz=cell.sm_clock_hz,
        power_watts=cell.power_watts,
        power_capped_ratio=cell.power_capped_ratio,
        memory_bytes=cell.device_memory_bytes,
    )


def input_row(cell: CellResult) -> dict[str, Any] | None:
    """Return the row of what a cell's steps are fed, without its execution.

    It is None where all samples have one length and stay on the device.
    """
    fed, lengths = cell.feeding, cell.lengths
    return _row(
        cell,
        wait_ratio=fed and fed.wait_ratio.value,
        ceiling_samples_per_second=fed and fed.ceiling_samples_per_second and fed.ceiling_samples_per_second.value,
        tokens_per_second=lengths and lengths.tokens_per_second.median,
        padding_ratio=lengths and lengths.padding_ratio,
        recompiles=lengths and lengths.recompiles,
        compile_seconds=lengths and lengths.compile_seconds,
    )


def _row(cell: CellResult, **known: Any) -> dict[str, Any] | None:
    return {"key": cell.key, **known} if any(value is not None for value in known.values()) else None


def device_word(name: str) -> str:
    """Return a GPU's name as a label: "NVIDIA H100 80GB HBM3" becomes "nvidia-h100-80gb-hbm3"."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_WORD_MOST].strip("-") or "unknown"


def devices_of(connection: sa.Connection, execution_ids: Iterable[str]) -> dict[tuple[str, str], DeviceFigures]:
    """Return what is known of the GPUs of these executions' cells, by execution and cell. Damaged rows are left out."""
    return _figures(connection, cell_devices, DeviceFigures, execution_ids)


def inputs_of(connection: sa.Connection, execution_ids: Iterable[str]) -> dict[tuple[str, str], InputFigures]:
    """Return what is known of how these executions' cells were fed, as `devices_of` does of their GPUs."""
    return _figures(connection, cell_inputs, InputFigures, execution_ids)


def _figures(
    connection: sa.Connection, table: sa.Table, model: type[_Extra], execution_ids: Iterable[str]
) -> dict[tuple[str, str], _Extra]:
    rows = connection.execute(table.select().where(table.c.execution_id.in_(set(execution_ids)))).all()
    return {
        (row.execution_id, row.key): model(**{name: getattr(row, name) for name in model.model_fields})
        for row in rows
        if is_whole(table, row)
    }
