"""Compute speed-up, efficiency and serial fraction against the one-worker cell of the same candidate and campaign."""

from collections.abc import Callable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from stepmark.analysis.intervals import CONFIDENCE, Estimate, paired_ratio
from stepmark.plan.cells import Cell

Mode = Literal["weak", "strong"]

_SUPERLINEAR = 1.05
_CAUSES = {
    "weak": (
        "input fed faster to several processes than to one",
        "a one-worker cell at lower clocks, with fewer threads or beside a neighbour",
        "a launch of the one-worker cell that was not steady",
    ),
    "strong": (
        "the smaller batch per worker fits a cache that the whole batch does not",
        "another kernel or algorithm is chosen for the smaller batch",
        "the one-worker cell pages memory, or ran at lower clocks",
    ),
}


class Scaling(BaseModel):
    """Store how one cell compares with one worker, as ratios with 95 % intervals, None below two common blocks.

    `speedup` is samples per second over those of one worker, paired within blocks. In strong scaling the global batch
    is constant, so it is t(1) / t(n); in weak scaling the batch grows with the workers, and it is the scaled speed-up n
    t(1) / t(n) (Gustafson, CACM 1988). The two are different quantities, so `mode` goes wherever the figure goes.
    `efficiency` is speed-up / workers.
    `karp_flatt` is the serial fraction (1/S - 1/n) / (1 - 1/n) (Karp and Flatt, CACM 1990). A fraction that grows with
    n means overhead, and a constant one means serial work. In weak scaling it is that of the scaled problem, where a
    constant cost per step makes it fall as 1/n.
    `scaled_serial_fraction` is for weak scaling only: (n - S) / (n - 1), Gustafson's law solved for the share of the
    time *on n workers* that does not shrink. It is None for one worker, and negative where the speed-up is superlinear,
    since nothing is clamped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode
    workers: int
    speedup: Estimate
    efficiency: Estimate
    karp_flatt: Estimate | None
    scaled_serial_fraction: Estimate | None
    note: str


def baseline_of(cell: Cell, cells: tuple[Cell, ...]) -> Cell | None:
    """Return the one-worker cell that a cell's speed-up refers to; None if it was not asked for.

    It uses the same strategy, so the base is one process of it, not a plain loop (Hoefler and Belli, SC'15, rule 1).
    """
    batch = {"batch_per_worker"} if cell.several_batches else set()
    same = {"candidate", "execution", "precision", "message_bytes", *batch}
    alike = cell.model_dump(include=same)
    for other in cells:
        if other.workers == 1 and other.model_dump(include=same) == alike:
            return other
    return None


def scaling_of(
    cell: Cell,
    baseline: Cell,
    mode: Mode,
    samples_per_second: Mapping[int, float],
    baseline_samples_per_second: Mapping[int, float],
    confidence: float = CONFIDENCE,
) -> Scaling | None:
    """Return the scaling of one cell. The mappings are block -> samples per second of the whole job.

    The result is None if no block has both, or if the batches do not belong to `mode`: weak and strong are never mixed.
    """
    if not _belongs(cell, baseline, mode):
        return None
    found = speedup(dict(samples_per_second), dict(baseline_samples_per_second), confidence)
    if found is None:
        return None
    share = efficiency(found, cell.workers)
    return Scaling(
        mode=mode,
        workers=cell.workers,
        speedup=found,
        efficiency=share,
        karp_flatt=karp_flatt(found, cell.workers),
        scaled_serial_fraction=scaled_serial_fraction(found, cell.workers) if mode == "weak" else None,
        note=superlinear_note(share, mode),
    )


def _belongs(cell: Cell, baseline: Cell, mode: Mode) -> bool:
    if mode == "weak":
        return cell.batch_per_worker == baseline.batch_per_worker
    return cell.global_batch == baseline.global_batch


def speedup(
    samples_per_second: dict[int, float], baseline: dict[int, float], confidence: float = CONFIDENCE
) -> Estimate | None:
    """Return the ratio of throughputs, paired by block; None if no block has both.

    It is the same for weak and strong scaling, since both compare samples per second.
    """
    return paired_ratio(samples_per_second, baseline, confidence)


def efficiency(speedup: Estimate, workers: int) -> Estimate:
    """Return the speed-up divided by the number of workers."""
    return _through(speedup, lambda value: value / workers)


def karp_flatt(speedup: Estimate, workers: int) -> Estimate | None:
    """Return the experimentally determined serial fraction (Karp and Flatt, CACM 33(5), 1990); None for one worker.

    It falls as the speed-up grows, so the interval's ends are those of the speed-up, swapped.
    """
    if workers == 1:
        return None
    return _through(speedup, lambda value: (1 / value - 1 / workers) / (1 - 1 / workers))


def scaled_serial_fraction(speedup: Estimate, workers: int) -> Estimate | None:
    """Return (n - S) / (n - 1) of a scaled speed-up S (Gustafson, CACM 31(5), 1988); None for one worker."""
    return None if workers == 1 else _through(speedup, lambda value: (workers - value) / (workers - 1))


def _through(estimate: Estimate, function: Callable[[float], float]) -> Estimate:
    """Apply a monotone function to an estimate, which carries the interval's ends along exactly."""
    if estimate.low is None or estimate.high is None:
        return Estimate(value=function(estimate.value), low=None, high=None)
    low, high = sorted((function(estimate.low), function(estimate.high)))
    return Estimate(value=function(estimate.value), low=low, high=high)


def superlinear_note(efficiency: Estimate, mode: Mode | None = None) -> str:
    """Return a warning for an efficiency above 105 %, with its likely causes; empty otherwise."""
    if efficiency.value <= _SUPERLINEAR:
        return ""
    causes = _CAUSES[mode] if mode else ("caches", "input", "the one-worker cell")
    sure = "" if efficiency.low is not None and efficiency.low > 1 else ", though the interval allows 100 %"
    return f"efficiency {efficiency.value:.0%} is above 105 %{sure}: look at {'; '.join(causes)}"
