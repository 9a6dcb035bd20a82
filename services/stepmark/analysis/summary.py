"""Define the whole result of a run as one model: what `summary.json` holds and every report shows."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from stepmark.analysis import compare, model_facts, scaling, stopping
from stepmark.analysis.bandwidth import bandwidth_of
from stepmark.analysis.cells import CellResult, Facts, cell_result, figures_of, rates, with_scaling
from stepmark.analysis.disturbance import counting
from stepmark.analysis.economics import BreakEven, break_even, startup_estimate
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.launch import Launch, reduced
from stepmark.analysis.link_limits import common_limit
from stepmark.analysis.many import reduced_rows
from stepmark.analysis.pairs import Measured, pairs
from stepmark.analysis.proven import proven
from stepmark.analysis.step_times import SummaryModel
from stepmark.plan.cells import Cell
from stepmark.results.certificate import Certificate
from stepmark.results.environment import Environment
from stepmark.results.record import LaunchRecord, ModelFacts
from stepmark.results.store import Row, Run
from stepmark.scenario.model import Measurement, Scenario


class Summary(SummaryModel):
    """Store everything that may be said about a run. `parity` says whether it was required, reported or skipped.

    `family` says how the comparisons were corrected together; None where none has blocks enough for a claim.
    `model` says how large the model is; None where that is not known. `started_at` is when the first launch started,
    in UTC as ISO 8601, or None where none has.
    `break_evens` has one for each pair of measured cells that is compared; they name cells.

    Schema history
        1  first version
        2  parity, options, processes
        3  scaling with its mode, time split, stragglers, utilization, break-evens, percentiles, measurement
        4  families of verdicts, mean and median, others on the cores, proof of the timed run, when it was measured
    """

    schema_version: Literal[4] = 4
    scenario: str
    scenario_digest: str
    stepmark_version: str
    started_at: str | None = None
    seed: int
    launcher: Literal["ray", "bare"]
    forked: bool
    blocks: int
    workload: str
    model: ModelFacts | None = None
    mode: scaling.Mode
    measurement: Measurement
    cells: tuple[CellResult, ...]
    comparisons: tuple[compare.Comparison, ...]
    family: compare.FamilyFacts | None = None
    break_evens: tuple[BreakEven, ...]
    parity: Literal["required", "reported", "skipped"]
    certificates: tuple[Certificate, ...]
    environment: Environment

    @property
    def failed(self) -> bool:
        """Return whether anything that was to be measured was not, or failed."""
        return any(cell.launches_failed or cell.verdict in ("failed", "not measured") for cell in self.cells)


def summarize_run(
    run: Run,
    cells: tuple[Cell, ...],
    rows: Iterable[Row],
    certificates: Mapping[str, Certificate],
    price_per_worker_hour: float | None = None,
) -> Summary:
    """Derive everything from the raw records, which are read once and not kept.

    The same records give the same summary. `rows` come from `SqliteStore.rows`.
    """
    scenario = run.parsed_scenario
    every, model = _launches_by_cell(run, rows)
    facts = _facts(scenario, model, price_per_worker_hour)
    by_cell = defaultdict(list, {key: counting(launches) for key, launches in every.items()})
    certificates = proven(certificates, by_cell)
    good = {key: figures_of(launches) for key, launches in by_cell.items()}
    throughput = {key: rates(figures) for key, figures in good.items()}
    mode = scenario.spec.scale.mode
    results = []
    for cell in cells:
        result = cell_result(cell, every[cell.key], certificates.get(cell.key), facts)
        baseline = scaling.baseline_of(cell, cells)
        result = with_scaling(result, cell, baseline, mode, throughput, facts.level)
        limit = common_limit([launch.link_limit for launch in by_cell[cell.key] if launch.figures is not None])
        moved = bandwidth_of(scenario.spec.workload, cell, result.step_seconds, limit)
        results.append(result.model_copy(update={"bandwidth": moved}))
    measured = {key: Measured.of(figures) for key, figures in good.items()}
    comparisons, family = compare.comparisons(scenario, cells, measured, certificates)
    return Summary(
        scenario=scenario.name,
        scenario_digest=run.scenario_digest,
        stepmark_version=run.stepmark_version,
        started_at=_started_at(every),
        seed=scenario.spec.measurement.seed,
        launcher=run.launcher,
        forked=run.forked,
        blocks=len({launch.block for launches in every.values() for launch in launches}),
        workload=scenario.spec.workload.model,
        model=model,
        mode=mode,
        measurement=scenario.spec.measurement,
        cells=tuple(results),
        comparisons=tuple(comparisons),
        family=family,
        break_evens=tuple(_break_evens(scenario, cells, by_cell, {result.key: result for result in results})),
        parity=scenario.spec.parity,
        certificates=tuple(certificates[cell.key] for cell in cells if cell.key in certificates),
        environment=run.environment,
    )


def precise_enough(cells: Iterable[Cell], records: Iterable[LaunchRecord], relative_precision: float) -> bool:
    """Return whether every measurable cell's interval is as narrow as asked for.

    Cells without good launches do not count.
    """
    by_cell: dict[str, dict[int, float]] = defaultdict(dict)
    for record in records:
        launch = reduced(record, None)
        if launch.figures is not None:
            by_cell[launch.cell][launch.block] = launch.figures.mean_step_seconds
    measured = [by_cell[cell.key] for cell in cells if by_cell[cell.key]]
    return all(stopping.enough([by_block[b] for b in sorted(by_block)], relative_precision) for by_block in measured)


def _launches_by_cell(run: Run, rows: Iterable[Row]) -> tuple[dict[str, list[Launch]], ModelFacts | None]:
    """Return all launches of each cell, and what is known of the model: by formula, or else as the launches counted."""
    model = model_facts.by_formula(run)
    every: dict[str, list[Launch]] = defaultdict(list)
    for launch in reduced_rows(rows, None if model is None else model.flops_per_sample):
        every[launch.cell].append(launch)
    if model is None:
        model = model_facts.counted(launch.model for launches in every.values() for launch in launches)
    return every, model


def _started_at(every: Mapping[str, list[Launch]]) -> str | None:
    return min((one.started_at for launches in every.values() for one in launches if one.started_at), default=None)


def _facts(scenario: Scenario, model: ModelFacts | None, price_per_worker_hour: float | None) -> Facts:
    spec = scenario.spec
    return Facts(
        level=stopping.confidence(spec.measurement.launches, spec.measurement.max_launches),
        flops_per_sample=None if model is None else model.flops_per_sample,
        price_per_worker_hour=price_per_worker_hour,
    )


def _break_evens(
    scenario: Scenario, cells: tuple[Cell, ...], by_cell: Mapping[str, list[Launch]], results: Mapping[str, CellResult]
) -> Iterator[BreakEven]:
    """Yield the break-even of every pair that is compared.

    A cell that is compared at two executions has one break-even.
    """
    for cell, base in dict.fromkeys((pair.cell, pair.base) for pair in pairs(scenario, cells)):
        sides = [_start_and_step(by_cell[side.key], results[side.key]) for side in (base, cell)]
        if sides[0] is not None and sides[1] is not None:
            yield break_even(base.key, *sides[0], cell.key, *sides[1])


def _start_and_step(launches: list[Launch], result: CellResult) -> tuple[Estimate, Estimate] | None:
    step = result.step_seconds
    start = startup_estimate({x.block: x.startup_seconds for x in launches if x.startup_seconds is not None})
    if step is None or start is None:
        return None
    return start, step.estimate
