"""What is stored of a cell that exchanges messages, beside its other figures: which collective, and how fast."""

from typing import Any

from stepmark.analysis.cells import CellResult


def exchange_row(cell: CellResult) -> dict[str, Any] | None:
    """Return the row of a cell, without its execution and scenario; None where no message was exchanged and timed."""
    found = cell.bandwidth
    if found is None:
        return None
    names = ("key", "candidate", "engine", "strategy", "precision", "workers")
    bus = found.bus_bytes_per_second
    return {name: getattr(cell, name) for name in names} | {
        "collective": found.collective,
        "message_bytes": found.message_bytes,
        "latency_seconds": found.latency_seconds.value,
        "bus_bytes_per_second": bus.value,
        "bus_bytes_per_second_low": bus.low,
        "bus_bytes_per_second_high": bus.high,
    }
