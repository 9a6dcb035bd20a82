"""Provide the tables that reports share: headings, and rows of text whose first value names the row."""

from stepmark.analysis.breakdown import Breakdown
from stepmark.analysis.cells import CellResult
from stepmark.analysis.feeding import Feeding
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.learning import LearningSummary
from stepmark.analysis.summary import Summary
from stepmark.analysis.utilization import Utilization
from stepmark.report import sentences, words
from stepmark.report.words import UNKNOWN, milliseconds_of, percent, share
from stepmark.results.certificate import Certificate, Stage

SPLIT_HEADINGS = ("cell", "launches", "cell's step", "step of the split", *sentences.SPLIT_NAMES, "overlap", "bus GB/s")
FEEDING_HEADINGS = (
    "cell", "fed by", "arrays copied", "MB/s", "waits for input", "samples/s", "feed alone, samples/s",
    "alone / trained",
)  # fmt: skip
UTILIZATION_HEADINGS = (
    "cell", "model GFLOP/s", "MFU", "of a matrix product", "joules per sample", "cost per million samples",
)  # fmt: skip
PARITY_HEADINGS = (
    "cell", "reference", "stage", "forward", "loss", "gradient", "worst tensor", "weights", "ranks agree", "result",
)  # fmt: skip


def cell_headings(summary: Summary) -> list[str]:
    """Return the headings of `cell_rows`."""
    return [
        "cell", "workers", "engine", "batch per worker", "launches", "median step ms [95 %]", "mean step ms [95 %]",
        "first ten dropped",
        "p5 / p95 / p99 ms", "samples/s", words.speedup_name(summary.mode), "efficiency", "peak MiB", "parity",
        "verdict",
    ]  # fmt: skip


def cell_rows(summary: Summary) -> list[list[str]]:
    """Return a row for every cell with its main figures."""
    return [_cell(cell) for cell in summary.cells]


def _cell(cell: CellResult) -> list[str]:
    return [
        words.cell_name(cell),
        str(cell.workers),
        words.strategy(cell),
        str(cell.batch_per_worker),
        str(cell.launches),
        words.step_time(cell),
        words.mean_step_time(cell),
        words.dropped_first(cell),
        words.percentiles(cell),
        words.rate(cell),
        words.speedup(cell),
        words.efficiency(cell),
        words.memory(cell),
        words.parity(cell),
        cell.verdict,
    ]


def scaling_headings(summary: Summary) -> list[str]:
    """Return the headings of `scaling_rows`. Gustafson's fraction belongs to weak scaling alone."""
    weak = ["scaled serial fraction"] if summary.mode == "weak" else []
    return ["cell", "workers", words.speedup_name(summary.mode), "efficiency", "Karp-Flatt serial fraction", *weak]


def scaling_rows(summary: Summary) -> list[list[str]]:
    """Return a row for every cell of more than one worker that has a one-worker cell."""
    return [_scaling(cell, summary) for cell in summary.cells if cell.scaling is not None and cell.workers > 1]


def _scaling(cell: CellResult, summary: Summary) -> list[str]:
    weak = [words.scaled_serial_fraction(cell)] if summary.mode == "weak" else []
    figures = [words.speedup(cell), words.efficiency(cell), words.karp_flatt(cell), *weak]
    return [words.cell_name(cell), str(cell.workers), *figures]


def split_rows(summary: Summary) -> list[list[str]]:
    """Return the parts of a step in ms with their intervals, beside the cell's own step time."""
    return [
        [cell.key, str(cell.time_split.launches), words.step_time(cell), *_split(cell.time_split)]
        for cell in summary.cells
        if cell.time_split is not None
    ]


def _split(split: Breakdown) -> list[str]:
    bus = UNKNOWN if split.bus_bytes_per_second is None else f"{split.bus_bytes_per_second.value / 1e9:.2f}"
    parts = [milliseconds_of(part) for _, part in sentences.split_parts(split)]
    return [milliseconds_of(split.step_seconds), *parts, share(split.overlap), bus]


def feeding_rows(summary: Summary) -> list[list[str]]:
    """Return a row for every cell whose steps are fed from the host."""
    return [_feeding(cell, cell.feeding) for cell in summary.cells if cell.feeding is not None]


def _feeding(cell: CellResult, fed: Feeding) -> list[str]:
    rate, ceiling = cell.samples_per_second, fed.ceiling_samples_per_second
    return [
        cell.key,
        fed.way,
        UNKNOWN if fed.copied is None else "yes" if fed.copied else "no",
        _number(fed.bytes_per_second / 1e6, 1),
        share(fed.wait_ratio, 1),
        words.rate(cell),
        _per_second(ceiling),
        UNKNOWN if ceiling is None or rate is None else f"{ceiling.value / rate.median:.2f}",
    ]


def _per_second(estimate: Estimate | None) -> str:
    if estimate is None:
        return UNKNOWN
    value = f"{estimate.value:,.0f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{estimate.low:,.0f}, {estimate.high:,.0f}]"


def utilization_rows(summary: Summary) -> list[list[str]]:
    """Return a row for every cell's utilization.

    What is unknown is a dash: a processor without a vendor's peak has no MFU.
    """
    return [[cell.key, *_use(cell.utilization)] for cell in summary.cells if cell.utilization is not None]


def _use(used: Utilization) -> list[str]:
    model = None if used.model_flops_per_second is None else used.model_flops_per_second / 1e9
    return [
        _number(model, 1),
        percent(used.mfu),
        percent(used.matmul_utilization),
        _number(used.joules_per_sample, 4),
        _number(used.cost_per_million_samples, 4),
    ]


def _number(value: float | None, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:,.{digits}f}"


def parity_rows(summary: Summary | LearningSummary) -> list[list[str]]:
    """Return a row for every stage of every certificate; a certificate without stages says why."""
    return [row for certificate in summary.certificates for row in _certificate(certificate)]


def _certificate(certificate: Certificate) -> list[list[str]]:
    rows = [[certificate.cell, *_stage(stage)] for stage in certificate.stages]
    return rows or [[certificate.cell, *[UNKNOWN] * 8, certificate.text]]


def _stage(stage: Stage) -> list[str]:
    f = stage.figures
    forward, loss, gradient, weights = map(words.error, (f.forward, f.loss, f.gradient, f.weights))
    agreed, result = words.agreement(stage), stage.problem or "passed"
    tensor = words.worst_tensor(stage)
    return [stage.reference_engine, stage.name, forward, loss, gradient, tensor, weights, agreed, result]
