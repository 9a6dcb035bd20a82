"""Write figures as a person reads them. What is unknown is an en dash, never 0."""

from stepmark.analysis.cells import CellResult
from stepmark.analysis.compare import Comparison, FamilyFacts
from stepmark.analysis.economics import startup_total_seconds
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.scaling import Mode
from stepmark.analysis.summary import Summary
from stepmark.results.certificate import Stage
from stepmark.results.environment import Environment
from stepmark.terms import size_text

UNKNOWN = "–"


def milliseconds(seconds: float | None) -> str:
    """Return seconds as milliseconds."""
    return UNKNOWN if seconds is None else f"{seconds * 1e3:.2f}"


def milliseconds_of(estimate: Estimate | None) -> str:
    """Return an estimate in milliseconds, with its interval where it has one."""
    if estimate is None or estimate.low is None:
        return milliseconds(None if estimate is None else estimate.value)
    return f"{milliseconds(estimate.value)} [{milliseconds(estimate.low)}, {milliseconds(estimate.high)}]"


def step_time(cell: CellResult) -> str:
    """Return the median step and its interval in ms."""
    step = cell.step_seconds
    if step is None:
        return UNKNOWN
    return f"{milliseconds(step.median)} [{milliseconds(step.low)}, {milliseconds(step.high)}]"


def mean_step_time(cell: CellResult) -> str:
    """Return the mean step and its interval in ms, slow steps included."""
    if cell.step_seconds is None:
        return UNKNOWN
    mean = cell.step_seconds.mean
    return f"{milliseconds(mean.value)} [{milliseconds(mean.low)}, {milliseconds(mean.high)}]"


def dropped_first(cell: CellResult) -> str:
    """Return what dropping the first ten steps of each window would have given, in ms."""
    return UNKNOWN if cell.step_seconds is None else milliseconds(cell.step_seconds.median_after_first)


def percentiles(cell: CellResult) -> str:
    """Return the 5th, 95th and 99th percentile in ms, which are unknown where single steps were not timed."""
    step = cell.step_seconds
    return (
        UNKNOWN
        if step is None or step.percentiles is None
        else " / ".join(map(milliseconds, (step.p5, step.p95, step.p99)))
    )


def speedup_name(mode: Mode) -> str:
    """Return the name of the speed-up.

    Weak and strong speed-ups are different quantities, so the mode goes wherever the figure goes.
    """
    return "scaled speed-up (weak)" if mode == "weak" else "speed-up (strong)"


def speedup(cell: CellResult) -> str:
    """Return the speed-up with its interval."""
    return UNKNOWN if cell.scaling is None else ratio(cell.scaling.speedup)


def efficiency(cell: CellResult) -> str:
    """Return the efficiency in per cent, with its interval."""
    return UNKNOWN if cell.scaling is None else share(cell.scaling.efficiency)


def karp_flatt(cell: CellResult) -> str:
    """Return Karp-Flatt's serial fraction in per cent, with its interval."""
    return UNKNOWN if cell.scaling is None else share(cell.scaling.karp_flatt, 1)


def scaled_serial_fraction(cell: CellResult) -> str:
    """Return the scaled serial fraction in per cent, with its interval."""
    return UNKNOWN if cell.scaling is None else share(cell.scaling.scaled_serial_fraction, 1)


def rate(cell: CellResult) -> str:
    """Return the samples per second of a typical launch."""
    return UNKNOWN if cell.samples_per_second is None else f"{cell.samples_per_second.median:,.0f}"


def rate_interval(cell: CellResult) -> str:
    """Return the interval of the samples per second alone; empty where there is none."""
    found = cell.samples_per_second
    if found is None or found.low is None or found.high is None:
        return ""
    return f"[{found.low:,.0f}, {found.high:,.0f}]"


def share(estimate: Estimate | None, digits: int = 0) -> str:
    """Return an estimate in per cent with its interval, with so many digits after the point."""
    if estimate is None:
        return UNKNOWN
    value = percent(estimate.value, digits)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{percent(estimate.low, digits)}, {percent(estimate.high, digits)}]"


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in per cent, with so many digits after the point."""
    return UNKNOWN if value is None else f"{value:.{digits}%}"


def ratio(estimate: Estimate | None) -> str:
    """Return a ratio with its interval."""
    if estimate is None:
        return UNKNOWN
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def memory(cell: CellResult) -> str:
    """Return the peak memory in MiB."""
    return UNKNOWN if cell.peak_memory_bytes is None else f"{cell.peak_memory_bytes / 2**20:,.0f}"


def execution(cell: CellResult) -> str:
    """Return the execution, marked where `default` resolved to it."""
    return f"{cell.execution} (default)" if "default" in cell.levels else cell.execution


def cell_name(cell: CellResult) -> str:
    """Return the cell's name for a person; the number of workers stands beside it."""
    sizes = f"{batch(cell)}{message(cell.message_bytes)}"
    return f"{cell.candidate} {execution(cell)} {cell.precision}{options(cell)}{sizes}"


def batch(cell: CellResult) -> str:
    """Return the cell's batch per worker where the run has several; otherwise an empty text."""
    return f", batch {cell.batch_per_worker}" if cell.several_batches else ""


def message(size: int | None) -> str:
    """Return the size of a collective's message, after a space; empty where a model is trained."""
    return "" if size is None else f" {size_text(size)}"


def strategy(cell: CellResult) -> str:
    """Return engine, strategy and variant."""
    variant = f" ({cell.variant})" if cell.variant else ""
    return f"{cell.engine} {cell.strategy}{variant}"


def parity(cell: CellResult) -> str:
    """Return the result of the parity checks; the reason of one that failed stands in the notes."""
    return "not comparable" if cell.refused_by_parity else cell.parity or UNKNOWN


def error(value: float | None) -> str:
    """Return a relative error."""
    return UNKNOWN if value is None else f"{value:.1e}"


def worst_tensor(stage: Stage) -> str:
    """Return the tensor whose gradient is furthest off."""
    tensors = stage.figures.tensors
    return f"{tensors[0].tensor} {error(tensors[0].error)}" if tensors else UNKNOWN


def agreement(stage: Stage) -> str:
    """Return whether all ranks ended with the same weights."""
    return UNKNOWN if stage.ranks_agree is None else ("yes" if stage.ranks_agree else "no")


def parity_notes(summary: Summary) -> list[str]:
    """Return one line for each cell that may not be compared, with the reason."""
    return [f"{c.cell}: {c.text}" for c in summary.certificates if not c.comparable]


def options(cell: CellResult) -> str:
    """Return the candidate's options in brackets; empty without options."""
    return f" [{', '.join(cell.options)}]" if cell.options else ""


def startup(cell: CellResult) -> str:
    """Return spawn, import, group, build and first step, in seconds."""
    s = cell.startup_seconds
    return (
        UNKNOWN if s is None else " + ".join(f"{v:.2f}" for v in (s.spawn, s.import_, s.group, s.build, s.first_step))
    )


def startup_total(cell: CellResult) -> str:
    """Return the seconds from the start of a process to the end of its first step, its import counted."""
    return UNKNOWN if cell.startup_seconds is None else f"{startup_total_seconds(cell.startup_seconds):.1f}"


def sentence(comparison: Comparison) -> str:
    """Return a comparison in words, the verdict first."""
    c = comparison
    what = f"{' against '.join(sides(c))}, {setting(c)}"
    if c.ratio is None:
        return f"{what}: {c.verdict} ({c.reason})"
    times = f"{step_ratio(c)}, {c.blocks} blocks"
    if c.verdict in ("faster", "slower"):
        return f"{what}: {claim(c)}, {times}"
    return f"{what}: {c.verdict}, {times} ({c.reason})"


def setting(comparison: Comparison) -> str:
    """Return at which execution, precision and number of workers two candidates were compared."""
    c = comparison
    same = c.candidate_execution == c.reference_execution
    levels = c.candidate_execution if same else f"{c.candidate_execution} against {c.reference_execution}"
    precision = c.precision if c.reference_precision is None else f"{c.precision} against {c.reference_precision}"
    sizes = f"{message(c.message_bytes)}, {workers(c.workers)}{compared_batch(c)}"
    return f"{c.execution} ({levels}), {precision}{sizes}"


def compared_batch(comparison: Comparison) -> str:
    """Return the batch per worker of both sides where the run has several; otherwise an empty text."""
    return "" if comparison.batch_per_worker is None else f", batch {comparison.batch_per_worker}"


def sides(comparison: Comparison) -> tuple[str, str]:
    """Return names that tell the two sides apart: the candidates, with what differs if they are the same."""
    c = comparison
    if c.candidate != c.reference:
        return c.candidate, c.reference
    if c.reference_precision is not None:
        return f"{c.candidate} {c.precision}", f"{c.reference} {c.reference_precision}"
    return f"{c.candidate} {c.candidate_execution}", f"{c.reference} {c.reference_execution}"


def claim(comparison: Comparison) -> str:
    """Return what may be claimed of a comparison."""
    c = comparison
    return f"{sides(c)[0]} is {c.verdict}" if c.verdict in ("faster", "slower") else c.verdict


def comparison_parity(comparison: Comparison) -> str:
    """Return what is proven of both sides."""
    return f"parity: {comparison.parity}"


def step_ratio(comparison: Comparison) -> str:
    """Return the ratio of mean steps.

    The ratio of median steps stands beside it where slow steps make a difference that matters.
    """
    c = comparison
    medians = f" (median step x {c.median_ratio.value:.3f})" if c.slow_steps_matter and c.median_ratio else ""
    return f"step time x {ratio(c.ratio)}{medians}"


def family(facts: FamilyFacts | None) -> str:
    """Return how the verdicts of a run were corrected; empty where none was."""
    if facts is None:
        return ""
    together = "1 comparison" if facts.size == 1 else f"{facts.size} comparisons, corrected together (Holm)"
    return (
        f"{together}: at most {facts.error:.0%} of such runs claim a difference that is not there; "
        f"intervals at {facts.interval_level:.1%}"
    )


def gain(estimate: Estimate | None) -> str:
    """Return a ratio of step times as less or more time per step, with its interval."""
    if estimate is None:
        return UNKNOWN
    value, word = estimate.value - 1, "less" if estimate.value < 1 else "more"
    text = f"{abs(value):.1%} {word} time per step"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{estimate.low - 1:+.1%}, {estimate.high - 1:+.1%}]"


def workers(count: int) -> str:
    """Return a number of workers in words."""
    return f"{count} worker" if count == 1 else f"{count} workers"


def environment(found: Environment) -> list[tuple[str, str]]:
    """Return the facts of an environment as names and values; sizes are in GiB."""
    facts = found.model_dump()
    packages = facts.pop("packages")
    return [(name.removesuffix("_bytes").replace("_", " "), _fact(name, value)) for name, value in facts.items()] + [
        (str(name), str(version)) for name, version in packages.items()
    ]


def _fact(name: str, value: object) -> str:
    if isinstance(value, int) and name.endswith("_bytes"):
        return f"{value / 2**30:,.1f} GiB"
    return UNKNOWN if value is None else str(value)
