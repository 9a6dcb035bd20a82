"""The whole result of a run as one model: what `summary.json` holds and every report shows."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from stepmark.analysis import compare, scaling
from stepmark.analysis.intervals import Estimate, geometric_mean
from stepmark.analysis.launch import LaunchSummary, invalid, summarize
from stepmark.plan.cells import Cell
from stepmark.results.certificate import Certificate
from stepmark.results.environment import Environment
from stepmark.results.record import LaunchRecord, StartupSeconds
from stepmark.results.store import Run

CellVerdict = Literal["steady", "drifting", "slowdown", "no steady state", "failed", "unsupported", "not measured"]


class SummaryModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StepSeconds(SummaryModel):
    """`median`: geometric mean of the launch medians, with its 95 % interval over blocks.

    Percentiles are of all steady steps of all launches.
    """

    median: float
    low: float | None
    high: float | None
    p5: float
    p95: float
    p99: float


class Rate(SummaryModel):
    """Geometric mean over launches of samples / time, over all workers, with its 95 % interval over blocks."""

    median: float
    low: float | None
    high: float | None


class CellResult(SummaryModel):
    """One cell. Figures are None where nothing valid was measured."""

    key: str
    candidate: str
    engine: str
    strategy: str
    variant: str | None
    execution: str
    levels: tuple[str, ...]
    precision: str
    options: tuple[str, ...]
    workers: int
    processes: int
    batch_per_worker: int
    global_batch: int
    launches: int
    launches_failed: int
    verdict: CellVerdict
    reason: str
    parity: str | None
    step_seconds: StepSeconds | None = None
    samples_per_second: Rate | None = None
    speedup: Estimate | None = None
    efficiency: Estimate | None = None
    peak_memory_bytes: int | None = None
    startup_seconds: StartupSeconds | None = None


class Summary(SummaryModel):
    """Everything that may be said of a run. `parity` says whether it was required, reported or skipped.

    Schema history
        1  first version
        2  parity, options, processes
    """

    schema_version: Literal[2] = 2
    scenario: str
    scenario_digest: str
    stepmark_version: str
    seed: int
    launcher: Literal["ray", "bare"]
    forked: bool
    blocks: int
    cells: tuple[CellResult, ...]
    comparisons: tuple[compare.Comparison, ...]
    parity: Literal["required", "reported", "skipped"]
    certificates: tuple[Certificate, ...]
    environment: Environment

    @property
    def failed(self) -> bool:
        """Whether anything that was to be measured was not, or failed."""
        return any(cell.launches_failed or cell.verdict in ("failed", "not measured") for cell in self.cells)


def summarize_run(
    run: Run, cells: tuple[Cell, ...], records: Iterable[LaunchRecord], certificates: Mapping[str, Certificate]
) -> Summary:
    """Derive everything from the raw records. Pure: the same records give the same summary."""
    by_cell: dict[str, list[LaunchRecord]] = defaultdict(list)
    for record in records:
        by_cell[record.header.cell.key].append(record)
    good = {key: _good(group) for key, group in by_cell.items()}
    scenario = run.parsed_scenario()
    measured = [_cell_result(cell, by_cell[cell.key], good.get(cell.key, []), certificates) for cell in cells]
    return Summary(
        scenario=scenario.name,
        scenario_digest=run.scenario_digest,
        stepmark_version=run.stepmark_version,
        seed=scenario.spec.measurement.seed,
        launcher=run.launcher,
        forked=run.forked,
        blocks=len({record.header.block for group in by_cell.values() for record in group}),
        cells=tuple(_with_scaling(result, cells, good) for result in measured),
        comparisons=tuple(
            compare.comparisons(scenario, cells, {k: _medians(v) for k, v in good.items()}, certificates)
        ),
        parity=scenario.spec.parity,
        certificates=tuple(certificates[cell.key] for cell in cells if cell.key in certificates),
        environment=run.environment,
    )


def precise_enough(cells: Iterable[Cell], records: Iterable[LaunchRecord], relative_precision: float) -> bool:
    """Whether every measurable cell's interval is as narrow as asked for. Cells without good launches do not count."""
    by_cell: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if record.ok and invalid(record) is None:
            by_cell[record.header.cell.key].append(summarize(record).median_step_seconds)
    widths = [geometric_mean(np.array(by_cell[cell.key])).relative_half_width for cell in cells if by_cell[cell.key]]
    return all(width is not None and width <= relative_precision for width in widths)


def _good(records: list[LaunchRecord]) -> list[LaunchSummary]:
    return [summarize(record) for record in records if record.ok and invalid(record) is None]


def _medians(launches: list[LaunchSummary]) -> dict[int, float]:
    return {launch.block: launch.median_step_seconds for launch in launches}


def _rates(launches: list[LaunchSummary]) -> dict[int, float]:
    return {launch.block: launch.samples_per_second for launch in launches}


def _cell_result(
    cell: Cell, records: list[LaunchRecord], good: list[LaunchSummary], certificates: Mapping[str, Certificate]
) -> CellResult:
    verdict, reason = _verdict(cell, records, good)
    certificate = certificates.get(cell.key)
    result = CellResult(
        **cell.model_dump(exclude={"unsupported"}),
        key=cell.key,
        global_batch=cell.global_batch,
        launches=len(good),
        launches_failed=len(records) - len(good),
        verdict=verdict,
        reason=reason,
        parity=certificate.text if certificate else None,
    )
    if not good:
        return result
    rates = geometric_mean(np.array(list(_rates(good).values())))
    peaks = [launch.peak_memory_bytes for launch in good if launch.peak_memory_bytes is not None]
    figures = {
        "step_seconds": _step_seconds(good),
        "samples_per_second": Rate(median=rates.value, low=rates.low, high=rates.high),
        "peak_memory_bytes": max(peaks, default=None),
        "startup_seconds": _startup(records),
    }
    return result.model_copy(update=figures)


def _step_seconds(good: list[LaunchSummary]) -> StepSeconds:
    estimate = geometric_mean(np.array(list(_medians(good).values())))
    p5, p95, p99 = np.percentile(np.concatenate([launch.step_seconds for launch in good]), [5, 95, 99])
    return StepSeconds(median=estimate.value, low=estimate.low, high=estimate.high, p5=p5, p95=p95, p99=p99)


def _startup(records: list[LaunchRecord]) -> StartupSeconds:
    """Medians over launches of the slowest rank's seconds. Forked launches pay the import once per block."""

    def part(name: str) -> float:
        slowest = [
            max(getattr(r.startup_seconds, name) for r in record.header.ranks) for record in records if record.ok
        ]
        return float(np.median(slowest))

    return StartupSeconds(**{name: part(name) for name in StartupSeconds.model_fields})


def _verdict(cell: Cell, records: list[LaunchRecord], good: list[LaunchSummary]) -> tuple[CellVerdict, str]:
    if cell.unsupported is not None:
        return "unsupported", cell.unsupported
    if not records:
        return "not measured", "no launch of it has ended yet; --resume goes on"
    bad = [reason for record in records if (reason := _why_bad(record)) is not None]
    notes = [f"{len(bad)} of {len(records)} launches failed: {bad[0]}"] if bad else []
    if not good:
        return "failed", notes[0]
    unsteady = [launch for launch in good if launch.steady.verdict != "steady"]
    if unsteady:
        notes.append(f"{len(unsteady)} of {len(good)} launches not steady: {unsteady[0].steady.reason}")
    mostly = unsteady[0].steady.verdict if 2 * len(unsteady) > len(good) else "steady"
    return mostly, "; ".join(notes)


def _why_bad(record: LaunchRecord) -> str | None:
    failure = record.header.failure
    if failure is None:
        return invalid(record)
    return f"rank {failure.rank}: {failure.cause}" if failure.rank is not None else failure.cause


def _with_scaling(result: CellResult, cells: tuple[Cell, ...], good: dict[str, list[LaunchSummary]]) -> CellResult:
    baseline = scaling.baseline_key(result.key, cells)
    if baseline is None or not good.get(result.key) or not good.get(baseline):
        return result
    speedup = scaling.speedup(_rates(good[result.key]), _rates(good[baseline]))
    if speedup is None:
        return result
    efficiency = scaling.efficiency(speedup, result.workers)
    note = scaling.superlinear_note(efficiency)
    reason = "; ".join(part for part in (result.reason, note) if part)
    return result.model_copy(update={"speedup": speedup, "efficiency": efficiency, "reason": reason})
