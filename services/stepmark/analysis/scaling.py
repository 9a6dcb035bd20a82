"""Speed-up and efficiency against the one-worker cell of the same candidate in the same campaign."""

from stepmark.analysis.intervals import Estimate, paired_ratio
from stepmark.plan.cells import Cell

_SUPERLINEAR = 1.05


def baseline_key(key: str, cells: tuple[Cell, ...]) -> str | None:
    """The one-worker cell that a cell's speed-up refers to; None if it was not asked for.

    It uses the same strategy, so the base is one process of it, not a plain loop (Hoefler and Belli, SC'15, rule 1).
    """
    cell = next(cell for cell in cells if cell.key == key)
    alike = cell.model_dump(include={"candidate", "execution", "precision"})
    for other in cells:
        if other.workers == 1 and other.model_dump(include={"candidate", "execution", "precision"}) == alike:
            return other.key
    return None


def speedup(samples_per_second: dict[int, float], baseline: dict[int, float]) -> Estimate | None:
    """Ratio of throughputs, paired by block: weak and strong scaling alike, since both compare samples per second."""
    return paired_ratio(samples_per_second, baseline)


def efficiency(speedup: Estimate, workers: int) -> Estimate:
    """Speed-up divided by the number of workers."""

    def share(value: float | None) -> float | None:
        return None if value is None else value / workers

    return Estimate(value=speedup.value / workers, low=share(speedup.low), high=share(speedup.high))


def superlinear_note(efficiency: Estimate) -> str:
    """A warning for an efficiency that ought not to be, or nothing."""
    if efficiency.value <= _SUPERLINEAR:
        return ""
    return f"efficiency {efficiency.value:.0%} is above 105 %: look at caches, input and the one-worker cell"
