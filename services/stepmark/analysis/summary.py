"""The whole result of a run as one model: what `summary.json` holds and every report shows."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from stepmark.analysis import compare, scaling, stopping
from stepmark.analysis.intervals import Estimate, geometric_mean
from stepmark.analysis.launch import LaunchSummary, invalid, summarize
from stepmark.analysis.steady import MATERIAL, pooled_change_below
from stepmark.plan.cells import Cell
from stepmark.results.certificate import Certificate
from stepmark.results.environment import Environment
from stepmark.results.record import LaunchRecord, StartupSeconds
from stepmark.results.store import Run

CellVerdict = Literal[
    "steady", "undecided", "drifting", "slowdown", "no steady state", "failed", "unsupported", "not measured"
]


class SummaryModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


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
    level = stopping.confidence(scenario.spec.measurement.launches, scenario.spec.measurement.max_launches)
    measured = [_cell_result(cell, by_cell[cell.key], good.get(cell.key, []), certificates, level) for cell in cells]
    return Summary(
        scenario=scenario.name,
        scenario_digest=run.scenario_digest,
        stepmark_version=run.stepmark_version,
        seed=scenario.spec.measurement.seed,
        launcher=run.launcher,
        forked=run.forked,
        blocks=len({record.header.block for group in by_cell.values() for record in group}),
        cells=tuple(_with_scaling(result, cells, good, level) for result in measured),
        comparisons=tuple(
            compare.comparisons(scenario, cells, {k: _medians(v) for k, v in good.items()}, certificates)
        ),
        parity=scenario.spec.parity,
        certificates=tuple(certificates[cell.key] for cell in cells if cell.key in certificates),
        environment=run.environment,
    )


def precise_enough(cells: Iterable[Cell], records: Iterable[LaunchRecord], relative_precision: float) -> bool:
    """Whether every measurable cell's interval is as narrow as asked for. Cells without good launches do not count."""
    by_cell: dict[str, dict[int, float]] = defaultdict(dict)
    for record in records:
        if record.ok and invalid(record) is None:
            by_cell[record.header.cell.key][record.header.block] = summarize(record).median_step_seconds
    measured = [by_cell[cell.key] for cell in cells if by_cell[cell.key]]
    return all(stopping.enough([by_block[b] for b in sorted(by_block)], relative_precision) for by_block in measured)


def _good(records: list[LaunchRecord]) -> list[LaunchSummary]:
    return [summarize(record) for record in records if record.ok and invalid(record) is None]


def _medians(launches: list[LaunchSummary]) -> dict[int, float]:
    return {launch.block: launch.median_step_seconds for launch in launches}


def _rates(launches: list[LaunchSummary]) -> dict[int, float]:
    return {launch.block: launch.samples_per_second for launch in launches}


def _cell_result(
    cell: Cell,
    records: list[LaunchRecord],
    good: list[LaunchSummary],
    certificates: Mapping[str, Certificate],
    level: float,
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
    rates = geometric_mean(np.array(list(_rates(good).values())), level)
    peaks = [launch.peak_memory_bytes for launch in good if launch.peak_memory_bytes is not None]
    figures = {
        "step_seconds": _step_seconds(good, level),
        "samples_per_second": Rate(median=rates.value, low=rates.low, high=rates.high),
        "peak_memory_bytes": max(peaks, default=None),
        "startup_seconds": _startup(records),
    }
    return result.model_copy(update=figures)


def _step_seconds(good: list[LaunchSummary], level: float) -> StepSeconds:
    estimate = geometric_mean(np.array(list(_medians(good).values())), level)
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
    unsteady = [launch.steady for launch in good if launch.steady.verdict not in ("steady", "undecided")]
    if unsteady:
        notes.append(f"{len(unsteady)} of {len(good)} launches not steady: {unsteady[0].reason}")
    if 2 * len(unsteady) > len(good):
        return Counter(state.verdict for state in unsteady).most_common(1)[0][0], "; ".join(notes)
    below = pooled_change_below([launch.steady for launch in good])
    if all(launch.steady.verdict == "steady" for launch in good) or (below is not None and below <= MATERIAL):
        return "steady", "; ".join(notes)
    unseen = "" if below is None else f": a change of {below:.1%} over the window would not show"
    return "undecided", "; ".join([*notes, f"windows too short for this noise{unseen}; raise minSteps or minSeconds"])


def _why_bad(record: LaunchRecord) -> str | None:
    failure = record.header.failure
    if failure is None:
        return invalid(record)
    return f"rank {failure.rank}: {failure.cause}" if failure.rank is not None else failure.cause


def _with_scaling(
    result: CellResult, cells: tuple[Cell, ...], good: dict[str, list[LaunchSummary]], level: float
) -> CellResult:
    baseline = scaling.baseline_key(result.key, cells)
    if baseline is None or not good.get(result.key) or not good.get(baseline):
        return result
    speedup = scaling.speedup(_rates(good[result.key]), _rates(good[baseline]), level)
    if speedup is None:
        return result
    efficiency = scaling.efficiency(speedup, result.workers)
    note = scaling.superlinear_note(efficiency)
    reason = "; ".join(part for part in (result.reason, note) if part)
    return result.model_copy(update={"speedup": speedup, "efficiency": efficiency, "reason": reason})
