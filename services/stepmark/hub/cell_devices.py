"""What is stored of a cell's GPUs beside its figures: which they are, and how they were used."""

import re
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from stepmark.analysis.cells import CellResult
from stepmark.hub.rows import is_whole
from stepmark.hub.tables import cell_devices
from stepmark.telemetry.figures import DeviceFigures

_WORD_MOST = 63


def device_row(cell: CellResult) -> dict[str, Any] | None:
    """Return the row of a cell, without its execution; None where nothing is known of GPUs, as on CPU cores."""
    known = {
        "device": None if cell.device_name is None else device_word(cell.device_name),
        "sm_clock_hz": cell.sm_clock_hz,
        "power_watts": cell.power_watts,
        "power_capped_ratio": cell.power_capped_ratio,
        "memory_bytes": cell.device_memory_bytes,
    }
    return {"key": cell.key, **known} if any(value is not None for value in known.values()) else None


def device_word(name: str) -> str:
    """Return a GPU's name as a label: "NVIDIA H100 80GB HBM3" becomes "nvidia-h100-80gb-hbm3"."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_WORD_MOST].strip("-") or "unknown"


def devices_of(connection: sa.Connection, execution_ids: Iterable[str]) -> dict[tuple[str, str], DeviceFigures]:
    """Return what is known of the GPUs of these executions' cells, by execution and cell. Damaged rows are left out."""
    rows = connection.execute(cell_devices.select().where(cell_devices.c.execution_id.in_(set(execution_ids)))).all()
    return {(row.execution_id, row.key): _figures(row) for row in rows if is_whole(cell_devices, row)}


def _figures(row: sa.Row[Any]) -> DeviceFigures:
    return DeviceFigures(**{name: getattr(row, name) for name in DeviceFigures.model_fields})
