"""Reduce what the launches of one cell say of their GPUs to what a summary keeps."""

from collections.abc import Sequence

from stepmark.analysis.device_checks import clock_note
from stepmark.analysis.launch import Launch


def device_figures(launches: Sequence[Launch]) -> dict[str, object]:
    """Return the fields of a `CellResult` that are about its GPUs. `launches` are its good launches."""
    names = {launch.use.device for launch in launches if launch.use is not None}
    memory = [launch.device_memory_bytes for launch in launches if launch.device_memory_bytes is not None]
    return {
        "device_name": names.pop() if len(names) == 1 else None,
        "device_notes": _notes(launches),
        "power_capped_ratio": _mean([launch.power_capped_ratio for launch in launches]),
        "sm_clock_hz": _mean([launch.sm_clock_hz for launch in launches]),
        "power_watts": _mean([launch.power_watts for launch in launches]),
        "device_memory_bytes": max(memory, default=None),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are known, or None."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _notes(launches: Sequence[Launch]) -> tuple[str, ...]:
    clocks = clock_note([launch.sm_clock_hz for launch in launches if launch.sm_clock_hz is not None])
    own = [note for launch in launches for note in launch.device_notes]
    return tuple(dict.fromkeys([*own, *([clocks] if clocks else [])]))
