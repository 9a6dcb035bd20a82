"""Plan the parity checks: which launches, against which references, in which order. None of them is timed.

On CPU cores the reference is the scenario's first engine in float32. On GPUs it is an engine in float64 on CPU cores,
which owes nothing to the GPU's rounding, libraries or settings: GPUs multiply float32 in TF32 if they are let.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from stepmark import catalog
from stepmark.plan.blocks import Launch, Plan, Probe
from stepmark.plan.cells import Cell
from stepmark.scenario.model import Scenario
from stepmark.terms import DeviceKind

StageName = Literal["float64", "float32", "as timed"]

# Samples per micro-batch: enough for BatchNorm's statistics, and few enough for one process to do all ranks' work.
SAMPLES = 8
PROBE_BLOCK = -1


@dataclass(frozen=True)
class Step:
    """Hold one comparison of a check: a launch, and the reference whose file it is compared with."""

    name: StageName
    launch: Launch
    reference: Launch


@dataclass(frozen=True)
class Check:
    """Hold the comparisons that prove a cell.

    They are of both models in float64, of a mixed-precision cell in float32, and then of the cell itself.
    """

    cell: Cell
    steps: tuple[Step, ...]


def wanted_checks(plan: Plan) -> tuple[Check, ...]:
    """Return the checks that the scenario asks for. There are none where parity is skipped."""
    return () if plan.scenario.spec.parity == "skipped" else checks(plan)


def with_layers(wanted: tuple[Check, ...]) -> tuple[Check, ...]:
    """Return the same checks, which also compare what goes into each layer and what comes out of it."""

    def of(launch: Launch) -> Launch:
        assert launch.probe is not None
        return replace(launch, probe=replace(launch.probe, layers=True))

    return tuple(
        replace(check, steps=tuple(Step(s.name, of(s.launch), of(s.reference)) for s in check.steps))
        for check in wanted
    )


def checks(plan: Plan) -> tuple[Check, ...]:
    """Return one check for each measurable cell, or none where the workload has no weights to compare."""
    if not _has_weights(plan.scenario):
        return ()
    return tuple(Check(cell, tuple(_steps(plan.scenario, cell))) for cell in plan.measurable)


def launches(wanted: tuple[Check, ...]) -> tuple[Launch, ...]:
    """Return all launches of these checks, each once, references first."""
    steps = [step for check in wanted for step in check.steps]
    ordered = (*(step.reference for step in steps), *(step.launch for step in steps))
    return tuple({launch.id: launch for launch in ordered}.values())


def timed_references(scenario: Scenario, cells: Iterable[Cell]) -> tuple[Launch, ...]:
    """Return the references that the timed launches of these cells are compared with after their windows, each once."""
    found = (timed_reference(scenario, cell) for cell in cells)
    return tuple({launch.id: launch for launch in found if launch is not None}.values())


def timed_reference(scenario: Scenario, cell: Cell) -> Launch | None:
    """Return a launch in which one process does all of the cell's work on the timed batches.

    It is None where nothing is to be proven. It runs on the cell's own kind of device: on CPU cores a GPU's whole batch
    would take minutes, and what the GPU computes is certified by the cell's check.
    """
    if scenario.spec.parity == "skipped" or not _has_weights(scenario):
        return None
    precision, samples = _reference_precision(cell), cell.batch_per_worker
    return _alone(scenario, cell, _first(scenario), precision, samples, logits=False, device=cell.device)


def samples_per_worker(scenario: Scenario, cell: Cell) -> int:
    """Return the samples per worker in a check: all that the batch has, up to SAMPLES in each micro-batch."""
    parts = scenario.spec.training.gradient_accumulation
    return parts * min(cell.batch_per_worker // parts, SAMPLES)


def _has_weights(scenario: Scenario) -> bool:
    model = scenario.spec.workload.model
    return catalog.is_foreign(model) or catalog.load_workload(model).has_weights


def _first(scenario: Scenario) -> str:
    return str(scenario.spec.candidates[0].engine)


def _reference_precision(cell: Cell) -> str:
    return "float64" if cell.precision == "float64" else "float32"


def _steps(scenario: Scenario, cell: Cell) -> Iterator[Step]:
    return _steps_on_gpu(scenario, cell) if cell.device == "gpu" else _steps_on_cpu(scenario, cell)


def _steps_on_gpu(scenario: Scenario, cell: Cell) -> Iterator[Step]:
    few, exact = samples_per_worker(scenario, cell), _float64_engine(scenario, cell.engine)
    engine, precision = _reference_on_cpu(scenario)
    if exact is not None and precision == "float64" and cell.precision != "float64":
        one = cell.model_copy(update={"workers": 1})
        written = _alone(scenario, one, engine, precision, few)
        model = _alone(scenario, one, exact, "float64", few, device="gpu")
        yield Step("float64", _compared(scenario, model.cell, written), written)
    reference = _alone(scenario, cell, engine, precision, few)
    if cell.precision not in ("float32", "float64"):
        exactly = cell.model_copy(update={"precision": "float32"})
        yield Step("float32", _compared(scenario, exactly, reference), reference)
    yield Step("as timed", _compared(scenario, cell, reference), reference)


def _reference_on_cpu(scenario: Scenario) -> tuple[str, str]:
    """Return the first engine that has float64, and that precision; where none has it, the first engine in float32."""
    for candidate in scenario.spec.candidates:
        if catalog.load_engine(candidate.engine).SUPPORT.precisions.get("float64", "") is None:
            return str(candidate.engine), "float64"
    return _first(scenario), "float32"


def _steps_on_cpu(scenario: Scenario, cell: Cell) -> Iterator[Step]:
    first, precision, few = _first(scenario), _reference_precision(cell), samples_per_worker(scenario, cell)
    reference = _alone(scenario, cell, first, precision, few)
    exact, base = _float64_engine(scenario, cell.engine), _float64_engine(scenario, first)
    if exact and base and exact != base and precision != "float64":
        one = cell.model_copy(update={"workers": 1})
        written = _alone(scenario, one, base, "float64", few)
        model = _alone(scenario, one, exact, "float64", few)
        yield Step("float64", _compared(scenario, model.cell, written), written)
    if cell.precision != precision:
        # The limits of mixed precision are too wide to show, for instance, which samples BatchNorm's statistics are of.
        exactly = cell.model_copy(update={"precision": precision})
        yield Step("float32", _compared(scenario, exactly, reference), reference)
    yield Step("as timed", _compared(scenario, cell, reference), reference)


def _alone(
    scenario: Scenario,
    cell: Cell,
    engine: str,
    precision: str,
    samples: int,
    logits: bool = True,
    device: DeviceKind = "cpu",
) -> Launch:
    """Return a launch of one process that does all of the cell's work, with `samples` samples for each worker.

    It accumulates over the workers' shares. So it needs the memory of one worker, and BatchNorm has statistics of each
    worker's own samples.
    """
    name = engine.replace("/", ".")  # It is the name of a file too.
    alone = Cell(
        candidate=f"{name}-{cell.workers}x{samples}{'' if logits else '-timed'}{'-gpu' if device == 'gpu' else ''}",
        engine=engine,
        strategy="single",
        variant=None,
        execution=catalog.load_engine(engine).SUPPORT.default_execution,
        levels=("default",),
        precision=precision,
        workers=1,
        processes=1,
        batch_per_worker=samples * cell.workers,
        device=device,
    )
    parts = scenario.spec.training.gradient_accumulation * cell.workers
    return Launch(alone, PROBE_BLOCK, 0, 0, Probe(f"{alone.key}.npz", writes=True, accumulate=parts, logits=logits))


def _compared(scenario: Scenario, cell: Cell, reference: Launch) -> Launch:
    """Return a launch of the cell itself, with the samples of its check, that is compared with the reference's file."""
    assert reference.probe is not None
    few = cell.model_copy(update={"batch_per_worker": samples_per_worker(scenario, cell)})
    parts = scenario.spec.training.gradient_accumulation
    return Launch(few, PROBE_BLOCK, 0, 0, Probe(reference.probe.file, writes=False, accumulate=parts))


def _float64_engine(scenario: Scenario, engine: str) -> str | None:
    """Return the engine itself if it has float64, or else the first candidate's of its framework that has, or None."""
    framework = catalog.load_engine(engine).SUPPORT.framework
    for name in (engine, *(str(candidate.engine) for candidate in scenario.spec.candidates)):
        support = catalog.load_engine(name).SUPPORT
        if support.framework == framework and support.precisions.get("float64", "") is None:
            return name
    return None
