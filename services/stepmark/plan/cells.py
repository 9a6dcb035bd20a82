"""Turn a scenario into its cells: candidate x execution x precision x worker count x batch x message size."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stepmark import catalog
from stepmark.scenario.model import Candidate, Scenario, Spec
from stepmark.terms import DeviceKind, ExecutionLevel, Option, Precision, size_text

if TYPE_CHECKING:
    from stepmark.engines._support import Refusal, Support


Number = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]


class Cell(BaseModel):
    """Describe one row of the result table: a candidate at one execution, precision, worker count and message size.

    `levels` holds the execution levels of the scenario that this cell answers: 'default' and what it resolves to are
    one cell. `several_batches` says that the scenario has several batches per worker, so that the key names this one.
    `processes` is 1 where a strategy keeps all workers in one process, and otherwise equals `workers`.
    `device` is the kind of device that it trains on; records from before GPUs were all measured on CPU cores.
    `message_bytes` is the size of what a collective exchanges, and None where a model is trained.
    `unsupported` is the reason why the cell is not measured, or None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate: str
    engine: str
    strategy: str
    variant: str | None
    execution: ExecutionLevel
    levels: tuple[ExecutionLevel, ...]
    precision: Precision
    options: tuple[Option, ...] = ()
    workers: Number
    processes: Number
    batch_per_worker: Number
    several_batches: bool = False
    device: DeviceKind = "cpu"
    message_bytes: Number | None = None
    unsupported: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_schema_1(cls, data: Any) -> Any:
        """Set `processes` for records of schema 1, which lack it: each worker was one process then."""
        if isinstance(data, dict) and "processes" not in data and "workers" in data:
            return data | {"processes": data["workers"]}
        return data

    @property
    def key(self) -> str:
        """Return the cell's name within its scenario, which people, files and launches use."""
        batch = f".b{self.batch}" if self.batch else ""
        message = "" if self.message_bytes is None else f".{size_text(self.message_bytes)}"
        return f"{self.candidate}.{self.execution}.{self.precision}.w{self.workers}{batch}{message}"

    @property
    def batch(self) -> str:
        """Return the batch per worker where the scenario has several; otherwise an empty text."""
        return str(self.batch_per_worker) if self.several_batches else ""

    @property
    def replicas(self) -> int:
        """Return the number of workers inside each process."""
        return self.workers // self.processes

    @property
    def global_batch(self) -> int:
        """Return the number of samples in a step, over all workers."""
        return self.batch_per_worker * self.workers


class Machine(BaseModel):
    """Describe what a machine or cluster offers, as far as it decides which cells can be measured.

    `places` is the number of workers it has room for: one GPU for each, or one core. `programs` names those of the
    programs in `PROGRAMS` that it has. `device` is what all cells of the run train on. `gpu_name` and
    `compute_capability` are those of its GPUs; they are None on CPU cores, and in a cluster, whose head has no GPU.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    places: Number
    programs: tuple[str, ...]
    device: DeviceKind = "cpu"
    gpu_name: str | None = None
    compute_capability: tuple[int, int] | None = None


# Each program that an engine may need at run time is listed with what to do where it is missing.
PROGRAMS = {"c++": "install a C++ compiler (g++ or clang++), or set CXX"}


def cells(scenario: Scenario, machine: Machine, unavailable: Mapping[str, str] | None = None) -> tuple[Cell, ...]:
    """Return all cells, in the document's order.

    `unavailable` holds, for each engine that cannot load the workload of another package or a file, why not.
    """
    spec = scenario.spec
    found: dict[str, Cell] = {}
    sizes = [
        (workers, batch, message)
        for workers in spec.scale.workers
        for batch in spec.scale.batches_of(workers)
        for message in spec.sweep.message_bytes or (None,)
    ]
    for candidate, level, precision, size in product(
        spec.candidates, spec.sweep.execution, spec.sweep.precision, sizes
    ):
        cell = _cell(scenario, candidate, level, precision, size, machine)
        levels = (*found[cell.key].levels, level) if cell.key in found else (level,)
        why = (unavailable or {}).get(cell.engine, cell.unsupported)
        found[cell.key] = cell.model_copy(update={"levels": tuple(dict.fromkeys(levels)), "unsupported": why})
    return tuple(found.values())


def _cell(
    scenario: Scenario,
    candidate: Candidate,
    level: ExecutionLevel,
    precision: Precision,
    size: tuple[int, int, int | None],
    machine: Machine,
) -> Cell:
    """Return one cell. `size` holds its number of workers, its batch per worker and the size of its message."""
    workers, batch, message_bytes = size
    support = catalog.load_engine(candidate.engine).SUPPORT
    variants = support.variants_of(candidate.strategy)
    cell = Cell(
        candidate=candidate.name,
        engine=candidate.engine,
        strategy=candidate.strategy,
        variant=candidate.variant or (variants[0] if variants else None),
        execution=support.default_execution if level == "default" else level,
        levels=(level,),
        precision=precision,
        options=tuple(sorted(candidate.options)),
        workers=workers,
        processes=1 if support.strategies[candidate.strategy].one_process else workers,
        batch_per_worker=batch,
        several_batches=scenario.spec.scale.batches_per_worker is not None,
        device=machine.device,
        message_bytes=message_bytes,
    )
    return cell.model_copy(update={"unsupported": next(_reasons(cell, scenario.spec, machine), None)})


def _reasons(cell: Cell, spec: Spec, machine: Machine) -> Iterator[str]:
    support = catalog.load_engine(cell.engine).SUPPORT
    if cell.device == "gpu":
        yield from _reasons_of_gpu(support, spec)
    for known, asked in (
        (support.executions, [cell.execution]),
        (support.precisions, [cell.precision]),
        (support.optimizers, [spec.training.optimizer]),
        (support.options, cell.options),
    ):
        for name in asked:
            reason = known.get(name, f"{cell.engine} does not support it")
            if reason is not None:
                yield f"{name}: {reason}"
    yield from _reasons_of_lengths(cell, spec)
    yield from (refusal.reason for refusal in support.refusals if _refuses(refusal, cell, spec, machine))
    most = support.strategies[cell.strategy].max_workers
    if most is not None and cell.workers > most:
        yield f"{cell.engine} {cell.strategy} runs at most {most} worker, and the scenario asks for {cell.workers}"
    if cell.workers > machine.places:
        yield f"the cell needs {cell.workers} workers, and only {machine.places} fit here ({_EACH[cell.device]} each)"
    for program in support.execution_needs.get(cell.execution, ()):
        if program not in machine.programs:
            yield f"{cell.execution} needs {program} on this machine, and none was found: {PROGRAMS[program]}"


_EACH = {"cpu": "one core", "gpu": "one GPU"}


_PADDINGS: tuple[Option, ...] = ("bucketed", "dynamic-length")


def _reasons_of_lengths(cell: Cell, spec: Spec) -> Iterator[str]:
    asked = [option for option in _PADDINGS if option in cell.options]
    if asked and spec.data.lengths is None:
        yield f"{asked[0]}: the samples have one length; give spec.data.lengths"
    if len(asked) > 1:
        yield f"a batch is padded in one way, and the candidate asks for {' and '.join(asked)}"
    if spec.data.lengths is not None and "fit" in cell.options:
        yield "fit: its windows have batches of one shape; leave out spec.data.lengths"


def _reasons_of_gpu(support: "Support", spec: Spec) -> Iterator[str]:
    if support.no_gpu is not None:
        yield f"device gpu: {support.no_gpu}"
    if spec.measurement.memory_limit_bytes is not None:
        yield (
            "measurement.memoryLimitBytes limits the address space, of which CUDA reserves more than a machine has "
            "memory: leave it out on GPUs"
        )


def _refuses(refusal: "Refusal", cell: Cell, spec: Spec, machine: Machine) -> bool:
    """Return whether every condition of the refusal is met."""
    training, capability = spec.training, machine.compute_capability if cell.device == "gpu" else None
    met = (
        not refusal.devices or cell.device in refusal.devices,
        not refusal.sources or spec.data.source in refusal.sources,
        not refusal.workloads or spec.workload.model in refusal.workloads,
        not refusal.params or _has_params(spec, refusal),
        refusal.matches(cell.strategy, cell.variant, cell.execution, cell.precision, cell.options, capability),
        not refusal.accumulation or training.gradient_accumulation > 1,
        not refusal.clipping or training.clip_global_norm is not None,
    )
    return all(met)


def _has_params(spec: Spec, refusal: "Refusal") -> bool:
    if spec.workload.model not in refusal.workloads:
        return False
    params = catalog.load_workload(spec.workload.model).parse(spec.workload.params)
    return all(getattr(params, name) in values for name, values in refusal.params.items())
