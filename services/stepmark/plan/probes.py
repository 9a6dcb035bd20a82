"""The parity checks of a plan: which launches, against which references, in which order. Nothing of them is timed."""

from dataclasses import dataclass

from stepmark import catalog
from stepmark.plan.blocks import Launch, Plan, Probe
from stepmark.plan.cells import Cell

SAMPLES = 8  # per micro-batch: enough for BatchNorm's statistics, little enough for one process to redo all ranks' work
PROBE_BLOCK = -1


@dataclass(frozen=True)
class Check:
    """A cell's check, and those it needs: its reference, and the same for both frameworks' models in float64."""

    cell: Cell
    launch: Launch
    reference: Launch
    float64: Launch | None
    float64_reference: Launch | None


def checks(plan: Plan) -> tuple[Check, ...]:
    """One for each measurable cell. None where the workload has no weights to compare."""
    workload = catalog.load_workload(plan.scenario.spec.workload.model)
    params = workload.parse(plan.scenario.spec.workload.params)
    if workload.parameter_count(params) is None:
        return ()
    return tuple(_check(plan, cell, workload.batch_norm) for cell in plan.measurable)


def launches(wanted: tuple[Check, ...]) -> tuple[Launch, ...]:
    """All launches of these checks, each once, references first."""
    first = [launch for c in wanted for launch in (c.float64_reference, c.reference) if launch is not None]
    then = [launch for c in wanted for launch in (c.float64, c.launch) if launch is not None]
    return tuple({launch.id: launch for launch in (*first, *then)}.values())


def samples_per_worker(plan: Plan, cell: Cell) -> int:
    """As many as the batch has, up to SAMPLES in each micro-batch."""
    parts = plan.scenario.spec.training.gradient_accumulation
    return parts * min(cell.batch_per_worker // parts, SAMPLES)


def _check(plan: Plan, cell: Cell, batch_norm: bool) -> Check:
    precision = "float64" if cell.precision == "float64" else "float32"
    first = str(plan.scenario.spec.candidates[0].engine)
    reference = _alone(plan, cell, first, precision, batch_norm)
    check = _compared(plan, cell, reference)
    ours, theirs = _framework(cell.engine), _framework(first)
    exact, base = _float64_engine(plan, ours), _float64_engine(plan, theirs)
    if ours == theirs or precision == "float64" or exact is None or base is None:
        return Check(cell, check, reference, None, None)
    one = cell.model_copy(update={"workers": 1})
    model_reference = _alone(plan, one, base, "float64", batch_norm)
    model = _alone(plan, one, exact, "float64", batch_norm)
    return Check(cell, check, reference, _compared(plan, model.cell, model_reference), model_reference)


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
