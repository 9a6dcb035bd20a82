"""Provide what every report says in whole sentences, and the parts of a step. Unknown is said, never shown as 0."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from stepmark.analysis.breakdown import Breakdown
from stepmark.analysis.cells import CellResult
from stepmark.analysis.gate_report import named
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.stragglers import DETECTION_POWER, Straggler, StragglerReport
from stepmark.analysis.summary import Summary
from stepmark.report import machine
from stepmark.report.words import percent
from stepmark.results.record import Departure, StartupSeconds

RANKING = (
    "A ranking of what was measured, not a verdict: neighbours whose intervals overlap may change places. Cells not "
    "proven to train the reference's model do not compete."
)
RATIOS = (
    "The candidate's time per step over the reference's, slow steps included, with its interval over blocks: left of 1 "
    "it is faster. The shaded range is the minimum effect."
)
STEPS = (
    "All steady steps of all launches. Beside the median stands the median without the first ten steps of every "
    "window, for comparison with benchmarks that drop them."
)
NO_CURVE = "No candidate was measured at more than one number of workers."
NOTHING_MEASURED = "Nothing valid was measured."
PARITY = (
    "Before timing, each cell was run from the same weights and samples as the reference, and logits, loss, gradients "
    "and the weights after a few steps were compared. Figures are relative errors, explained in docs/parity.md."
)
PARITY_SKIPPED = "Not checked: the scenario says parity: skipped."
STARTUP = (
    "Spawn + import + group + build + first step, medians over launches of the slowest rank. Where launches are "
    "forked, the import is paid once per block."
)
BREAK_EVEN = "The number of steps after which the side that starts later has caught up; its import is counted."
SPLIT = (
    "Means over ranks and launches, with 95 % intervals over blocks, of steps timed one by one after the windows: each "
    "part is a step less the same step without it. Exposed communication is the smallest difference over the ranks "
    "between a step with and without its exchange; what is left of a rank's own is waiting for slow ranks. A negative "
    "part says that the noise is larger than the part."
)
FEEDING = (
    "Steps are fed from the host. What they wait for input is the share of the measured windows in which their process "
    "waited for its batch: took it from a pipeline, or made and converted it itself. After the windows the same feed "
    "was taken from without training: that rate is its ceiling on these cores, which training then does not use."
)
STRAGGLERS = (
    "Slow ranks are sought in the steps without exchange, in which no rank waits for another. A rank counts as slow "
    "where its launches together establish it. The detectable slowness is that of a rank that is slow in every launch."
)
UTILIZATION = (
    "The model's FLOPs (3 x forward, matrix products only) x samples per second, over the vendor's dense peak (MFU) "
    "and over what a product of two large matrices reached on the same workers."
)
VERDICTS = {
    "steady": "a change of 2 % or more over the steady part is excluded",
    "undecided": "the windows are too short for this noise, which is no error; raise minSteps or minSeconds",
    "drifting": "steps changed over the steady part",
    "slowdown": "steps became slower and stayed so",
    "no steady state": "the last level holds too little of the window",
    "failed": "no launch of the cell gave valid figures",
    "unsupported": "the engine does not support this, which is a result too",
    "not measured": "no launch of the cell has ended yet, or others disturbed them all",
    "faster": "the interval excludes 1, and the effect is at least the minimum effect",
    "slower": "the interval excludes 1, and the effect is at least the minimum effect",
    "no measurable difference": "the whole interval lies within the minimum effect",
    "inconclusive": "the measurements allow no claim, for the reason that is given",
}


def facts(summary: Summary) -> list[tuple[str, str]]:
    """Return what a reader wants to know before reading on, as names and values."""
    s = summary
    return [
        ("model", s.workload),
        ("scaling", f"{s.mode}"),
        ("cells", str(len(s.cells))),
        ("blocks", str(s.blocks)),
        ("parity", s.parity),
        ("host", s.environment.host),
        ("processor", s.environment.cpu_model or "unknown"),
        ("cores", str(s.environment.cpu_count)),
        ("taken by others, at most", machine.worst(s)),
    ]


def speedup_explained(summary: Summary) -> str:
    """Return what the speed-up and the serial fractions of this run mean."""
    if summary.mode == "weak":
        return (
            "Weak scaling: the batch per worker is constant, so the work grows with the workers. The scaled speed-up "
            "is samples per second over those of one worker, paired within blocks. Karp-Flatt's serial fraction of the "
            "scaled problem falls as 1/n where the cost per step is constant; the scaled serial fraction is the share "
            "of the time on n workers that does not shrink."
        )
    return (
        "Strong scaling: the global batch is constant. The speed-up is samples per second over those of one worker, "
        "paired within blocks. Karp-Flatt's serial fraction growing with the workers means overhead, constant it means "
        "serial work."
    )


SPLIT_NAMES = ("input", "compute", "exposed communication", "waiting", "update")


def split_parts(split: Breakdown) -> list[tuple[str, Estimate | None]]:
    """Return name and seconds of every part, in the order of a step."""
    seconds = (
        split.input_seconds,
        split.compute_seconds,
        split.exposed_communication_seconds,
        split.wait_seconds,
        split.update_seconds,
    )
    return list(zip(SPLIT_NAMES, seconds, strict=True))


DEPARTURES = (
    "Settings of these cells that are not what the framework's users get without asking. Parity, the time split or a "
    "fair start needs them."
)


def departures(summary: Summary) -> list[tuple[str, list[str]]]:
    """Return each departure from a framework's defaults once, with the cells that it holds for."""
    cells_of: dict[Departure, list[str]] = defaultdict(list)
    for cell in summary.cells:
        for one in cell.departures:
            cells_of[one].append(cell.key)
    return [(_departure(one), cells) for one, cells in cells_of.items()]


def _departure(one: Departure) -> str:
    return f"{one.knob}: {one.ours}; users get {one.usual}; {one.why}"


def split_missing(cells: Iterable[CellResult]) -> list[str]:
    """Return why measured cells have no time split, each reason once with its cells."""
    cells_of: dict[str, list[str]] = defaultdict(list)
    for cell in cells:
        if cell.step_seconds is not None and cell.time_split is None:
            cells_of[cell.time_split_missing or "unknown"].append(cell.key)
    return [f"{reason} ({named(keys)})" for reason, keys in cells_of.items()]


def straggler_lines(summary: Summary, slow: bool) -> list[tuple[str, str]]:
    """Return cell and sentence, of the cells with slow ranks if `slow`, otherwise of the others."""
    found = [(cell.key, cell.stragglers) for cell in summary.cells if cell.stragglers is not None]
    return [(key, stragglers(report)) for key, report in found if bool(report.slow) == slow]


def stragglers(report: StragglerReport) -> str:
    """Return which ranks are slow and by how much, or that none is seen to be, and what would not have been seen."""
    if report.reason:
        return f"not tested: {report.reason}"
    slow = [_slow_rank(one) for one in report.slow]
    hosts = [f"most ranks of {host} are slow: look at the node" for host in report.slow_hosts]
    found = [*(slow or [f"none of {report.ranks} ranks is seen to be slow"]), *hosts]
    return "; ".join([*found, _seen(report), *_spread(report)])


def _slow_rank(one: Straggler) -> str:
    name = f"rank {one.rank}{f' on {one.host}' if one.host else ''}"
    size = f"{one.slower:.1%} slower [{one.low:.1%}, {one.high:.1%}]"
    if one.block is not None:
        return f"{name} was {size} in block {one.block} than in its other launches"
    return f"{name} is {size}, the last in {one.slowest_share:.0%} of the steps"


def _seen(report: StragglerReport) -> str:
    """Return the smallest slowness that would have been seen, and from how many steps."""
    basis = f"{report.steps} steps of {report.launches} launch{'es' if report.launches > 1 else ''}"
    if report.detectable is None:
        return f"{basis} are too few for this noise: a rank that takes twice as long might not have been seen"
    size = f"a rank that is {report.detectable:.1%} slower or more"
    return f"{size} would have been seen in {DETECTION_POWER:.0%} of runs, from {basis}"


def _spread(report: StragglerReport) -> Iterator[str]:
    if report.spread_mean is not None:
        expected = percent(report.spread_expected) if report.spread_expected is not None else "unknown"
        yield f"the slowest is {report.spread_mean:.1%} above the median rank ({expected} expected of jitter alone)"


def utilization_notes(summary: Summary) -> list[str]:
    """Return how large the model is and what counted it, and the sources of the vendor's peaks."""
    size = model_size(summary)
    return [*([size] if size else []), *_peak_sources(summary.cells)]


def _peak_sources(cells: Iterable[CellResult]) -> list[str]:
    """Return the sources of the vendor's peaks, or that no device of the run is in the table."""
    found = dict.fromkeys(c.utilization.peak_source for c in cells if c.utilization and c.utilization.peak_source)
    return [f"vendor's peak: {source}" for source in found] or [
        "vendor's peak: unknown for these devices, so there is no MFU"
    ]


STARTUP_NAMES = ("spawn", "import", "group", "build", "first step")


def startup_parts(startup: StartupSeconds) -> list[tuple[str, float]]:
    """Return name and seconds of every part of the start-up, in their order."""
    s = startup
    return list(zip(STARTUP_NAMES, (s.spawn, s.import_, s.group, s.build, s.first_step), strict=True))


def measured(summary: Summary) -> str:
    """Return how the figures were measured, in a paragraph."""
    s = summary
    process = "forked from zygotes that are new in every block" if s.forked else "a fresh process with its own import"
    more = s.measurement.max_launches is not None and s.measurement.max_launches > s.measurement.launches
    level = " (drawn at 96 %, which cover 95 % where precision decides on more blocks)" if more else ""
    return (
        f"{s.blocks} randomised blocks (seed {s.seed}), each with one launch per cell, {process}; launcher "
        f"{s.launcher}. A step ends when its last rank has ended it. A cell's step time is that of the median steady "
        f"step; throughput and comparisons are of the mean, which slow steps are part of. Intervals are 95 % "
        f"t-intervals on the logarithms of the per-block figures{level}; comparisons are paired within blocks and "
        f"corrected together. A difference below {s.measurement.minimum_effect:.1%} is never claimed."
    )


def settings(summary: Summary) -> list[tuple[str, str]]:
    """Return the measurement as the scenario's document names it, without limits that are not set."""
    found = summary.measurement.model_dump(by_alias=True, exclude_none=True)
    return [(name, str(value)) for name, value in found.items()]


def model_size(summary: Summary) -> str:
    """Return how large the model is and what counted its operations; empty where nothing is known."""
    model = summary.model
    if model is None:
        return ""
    if model.flops_per_sample is None:
        return f"The model has {model.parameters:,} trained weights. Its operations are unknown."
    return (
        f"The model has {model.parameters:,} trained weights, and takes {model.flops_per_sample / 1e9:,.4g} GFLOP per "
        f"sample and step, by {model.flops_source}."
    )
