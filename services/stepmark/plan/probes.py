"""The parity checks of a plan: which launches, against which references, in which order. Nothing of them is timed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from stepmark import catalog
from stepmark.plan.blocks import Launch, Plan, Probe
from stepmark.plan.cells import Cell

StageName = Literal["float64", "float32", "as timed"]

SAMPLES = 8  # per micro-batch: enough for BatchNorm's statistics, little enough for one process to redo all ranks' work
PROBE_BLOCK = -1


@dataclass(frozen=True)
class Step:
    """One comparison of a check: a launch, and the reference whose file it is compared with."""

    name: StageName
    launch: Launch
    reference: Launch


@dataclass(frozen=True)
class Check:
    """What proves a cell: both models in float64, a mixed-precision cell in float32, then the cell itself."""

    cell: Cell
    steps: tuple[Step, ...]


def wanted_checks(plan: Plan) -> tuple[Check, ...]:
    """The checks that the scenario asks for: none where parity is skipped."""
    return () if plan.scenario.spec.parity == "skipped" else checks(plan)


def checks(plan: Plan) -> tuple[Check, ...]:
    """One for each measurable cell. None where the workload has no weights to compare."""
    workload = catalog.load_workload(plan.scenario.spec.workload.model)
    params = workload.parse(plan.scenario.spec.workload.params)
    if workload.parameter_count(params) is None:
        return ()
    return tuple(Check(cell, tuple(_steps(plan, cell, workload.batch_norm))) for cell in plan.measurable)


def launches(wanted: tuple[Check, ...]) -> tuple[Launch, ...]:
    """All launches of these checks, each once, references first."""
    steps = [step for check in wanted for step in check.steps]
    ordered = (*(step.reference for step in steps), *(step.launch for step in steps))
    return tuple({launch.id: launch for launch in ordered}.values())


def samples_per_worker(plan: Plan, cell: Cell) -> int:
    """As many as the batch has, up to SAMPLES in each micro-batch."""
    parts = plan.scenario.spec.training.gradient_accumulation
    return parts * min(cell.batch_per_worker // parts, SAMPLES)


def _steps(plan: Plan, cell: Cell, batch_norm: bool) -> Iterator[Step]:
    first = str(plan.scenario.spec.candidates[0].engine)
    precision = "float64" if cell.precision == "float64" else "float32"
    reference = _alone(plan, cell, first, precision, batch_norm)
    exact, base = _float64_engine(plan, _framework(cell.engine)), _float64_engine(plan, _framework(first))
    if _framework(cell.engine) != _framework(first) and precision != "float64" and exact and base:
        one = cell.model_copy(update={"workers": 1})
        written = _alone(plan, one, base, "float64", batch_norm)
        model = _alone(plan, one, exact, "float64", batch_norm)
        yield Step("float64", _compared(plan, model.cell, written), written)
    if cell.precision != precision:
        # The limits of mixed precision are too wide to see, for instance, whose samples BatchNorm saw.
        yield Step("float32", _compared(plan, cell.model_copy(update={"precision": precision}), reference), reference)
    yield Step("as timed", _compared(plan, cell, reference), reference)


def _alone(plan: Plan, cell: Cell, engine: str, precision: str, batch_norm: bool) -> Launch:
    """One process that does all of the cell's work. Where BatchNorm has statistics of each worker's own samples, it
    accumulates over the workers' shares, which is the same arithmetic.
    """
    samples = samples_per_worker(plan, cell)
    alone = Cell(
        candidate=f"{engine}-{cell.workers}x{samples}",
        engine=engine,
        strategy="single",
        variant=None,
        execution=catalog.load_engine(engine).SUPPORT.default_execution,
        levels=("default",),
        precision=precision,
        workers=1,
        processes=1,
        batch_per_worker=samples * cell.workers,
    )
    parts = plan.scenario.spec.training.gradient_accumulation * (cell.workers if batch_norm else 1)
    return Launch(alone, PROBE_BLOCK, 0, 0, Probe(f"{alone.key}.npz", writes=True, accumulate=parts))


def _compared(plan: Plan, cell: Cell, reference: Launch) -> Launch:
    """The cell itself, with the samples of its check, against the reference's file."""
    assert reference.probe is not None
    few = cell.model_copy(update={"batch_per_worker": samples_per_worker(plan, cell)})
    parts = plan.scenario.spec.training.gradient_accumulation
    return Launch(few, PROBE_BLOCK, 0, 0, Probe(reference.probe.file, writes=False, accumulate=parts))


def _framework(engine: str) -> str:
    return catalog.load_engine(engine).SUPPORT.framework


def _float64_engine(plan: Plan, framework: str) -> str | None:
    """The first engine of this framework, in the scenario's order, that has float64."""
    for candidate in plan.scenario.spec.candidates:
        support = catalog.load_engine(candidate.engine).SUPPORT
        if support.framework == framework and support.precisions.get("float64", "") is None:
            return str(candidate.engine)
    return None
