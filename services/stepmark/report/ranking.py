"""Rank the measured cells of each worker count by throughput. This orders point estimates and claims nothing."""

from dataclasses import dataclass

from stepmark.analysis.cells import CellResult
from stepmark.analysis.summary import Summary
from stepmark.report import words


@dataclass(frozen=True)
class Fastest:
    """Store the fastest cell of one worker count.

    `cell` has the highest throughput, and is None where no cell competes. `left_out` says how many do not compete.
    """

    workers: int
    cell: CellResult | None
    left_out: int


def competes(cell: CellResult, summary: Summary) -> bool:
    """Return whether the cell's speed is that of the reference's model, as proven by parity where it is required.

    Where parity is not required, what was not checked competes, and what was refused does not.
    """
    unproven = cell.parity is None and summary.parity == "required"
    return not (cell.refused_by_parity or unproven)


def fastest_cells(summary: Summary) -> list[Fastest]:
    """Return the fastest cell of each worker count at which training was measured."""
    measured = [cell for cell in summary.cells if cell.samples_per_second is not None and cell.message_bytes is None]
    found = []
    for count in dict.fromkeys(cell.workers for cell in measured):
        of_count = [cell for cell in measured if cell.workers == count]
        eligible = [cell for cell in of_count if competes(cell, summary)]
        best = max(eligible, key=_throughput, default=None)
        found.append(Fastest(count, best, len(of_count) - len(eligible)))
    return found


def _throughput(cell: CellResult) -> float:
    return cell.samples_per_second.median if cell.samples_per_second else 0.0


def left_out(found: Fastest) -> str:
    """Return how many cells do not compete, and why; empty where all do."""
    if not found.left_out:
        return ""
    cells = "1 cell is" if found.left_out == 1 else f"{found.left_out} cells are"
    return f"{cells} left out: not proven to train the reference's model"


def fastest(summary: Summary) -> list[str]:
    """Return, for each worker count, the cell with the highest throughput.

    This is a ranking of point estimates, not a verdict.
    """
    return [_fastest(found) for found in fastest_cells(summary)]


def _fastest(found: Fastest) -> str:
    best, aside = found.cell, left_out(found)
    if best is None:
        return f"none with {words.workers(found.workers)} ({aside})"
    told = (
        f"{words.rate(best)} with {words.workers(found.workers)} by {best.candidate} {best.execution} "
        f"{best.precision}{words.batch(best)}"
    )
    return f"{told} ({aside})" if aside else told
