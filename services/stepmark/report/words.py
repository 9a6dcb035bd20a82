"""Figures as a person reads them. What is unknown is an en dash, never 0."""

from stepmark.analysis.cells import CellResult
from stepmark.analysis.compare import Comparison
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.summary import Summary
from stepmark.results.certificate import Stage

UNKNOWN = "–"


def milliseconds(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else f"{seconds * 1e3:.2f}"


def step_time(cell: CellResult) -> str:
    """Median and interval in ms."""
    step = cell.step_seconds
    if step is None:
        return UNKNOWN
    return f"{milliseconds(step.median)} [{milliseconds(step.low)}, {milliseconds(step.high)}]"


def speedup(cell: CellResult) -> str:
    return UNKNOWN if cell.scaling is None else ratio(cell.scaling.speedup)


def efficiency(cell: CellResult) -> str:
    return UNKNOWN if cell.scaling is None else share(cell.scaling.efficiency)


def rate(cell: CellResult) -> str:
    return UNKNOWN if cell.samples_per_second is None else f"{cell.samples_per_second.median:,.0f}"


def share(estimate: Estimate | None) -> str:
    if estimate is None:
        return UNKNOWN
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.0%}"
    return f"{estimate.value:.0%} [{estimate.low:.0%}, {estimate.high:.0%}]"


def ratio(estimate: Estimate | None) -> str:
    if estimate is None:
        return UNKNOWN
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def memory(cell: CellResult) -> str:
    return UNKNOWN if cell.peak_memory_bytes is None else f"{cell.peak_memory_bytes / 2**20:,.0f}"


def execution(cell: CellResult) -> str:
    """The level, and what `default` resolved to."""
    return f"{cell.execution} (default)" if "default" in cell.levels else cell.execution


def parity(cell: CellResult) -> str:
    """The certificate's badge; the reason of one that failed stands in the notes."""
    if cell.parity is None:
        return UNKNOWN
    return "not comparable" if cell.parity.startswith("not comparable") else cell.parity


def error(value: float) -> str:
    """A relative error."""
    return f"{value:.1e}"


def worst_tensor(stage: Stage) -> str:
    """The tensor whose gradient is furthest off."""
    tensors = stage.figures.tensors
    return f"{tensors[0].tensor} {error(tensors[0].error)}" if tensors else UNKNOWN


def agreement(stage: Stage) -> str:
    """Whether all ranks ended with the same weights."""
    return UNKNOWN if stage.ranks_agree is None else ("yes" if stage.ranks_agree else "no")


def parity_notes(summary: Summary) -> list[str]:
    """One line for each cell that may not be compared, with the reason."""
    return [f"{c.cell}: {c.text}" for c in summary.certificates if not c.comparable]


def options(cell: CellResult) -> str:
    """The candidate's options, in brackets; empty without."""
    return f" [{', '.join(cell.options)}]" if cell.options else ""


def startup(cell: CellResult) -> str:
    """Spawn, import, group, build and first step, in seconds."""
    s = cell.startup_seconds
    return (
        UNKNOWN if s is None else " + ".join(f"{v:.2f}" for v in (s.spawn, s.import_, s.group, s.build, s.first_step))
    )


def sentence(comparison: Comparison) -> str:
    """A comparison in words: the verdict first."""
    c = comparison
    levels = (
        c.candidate_execution
        if c.candidate_execution == c.reference_execution
        else (f"{c.candidate_execution} against {c.reference_execution}")
    )
    what = f"{c.candidate} against {c.reference}, {c.execution} ({levels}), {c.precision}, {workers(c.workers)}"
    if c.ratio is None:
        return f"{what}: {c.verdict} ({c.reason})"
    times = f"step time x {ratio(c.ratio)}, {c.blocks} blocks"
    if c.verdict in ("faster", "slower"):
        return f"{what}: {c.candidate} is {c.verdict}, {times}"
    return f"{what}: {c.verdict}, {times} ({c.reason})"


def workers(count: int) -> str:
    return f"{count} worker" if count == 1 else f"{count} workers"


def fastest(summary: Summary) -> list[str]:
    """For each worker count, the cell with the highest throughput. A ranking of point estimates, not a verdict."""
    lines = []
    for count in dict.fromkeys(cell.workers for cell in summary.cells):
        measured = [c for c in summary.cells if c.workers == count and c.samples_per_second is not None]
        if measured:
            best = max(measured, key=lambda c: c.samples_per_second.median if c.samples_per_second else 0.0)
            lines.append(
                f"{workers(count)}: highest measured throughput is {best.candidate} {best.execution} "
                f"{best.precision}, {rate(best)} samples/s"
            )
    return lines
