"""The Scenario: one model, some candidates, worker counts, and how to measure. Immutable: one object is one run."""

import hashlib
import json
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from stepmark import catalog
from stepmark.scenario.metadata import Metadata
from stepmark.strict import EACH_ONCE, EachOnce, Name, Scalar, StrictModel, in_cel
from stepmark.terms import DataSource, ExecutionLevel, Option, Precision

# Not Kubernetes' list type `map`: to CEL, candidates in another order are the same, and the first is the reference.
_NAMES_ONCE = in_cel(("self.all(a, self.exists_one(b, a.name == b.name))", "each candidate under a name of its own"))
# What a cluster is told about the run beside what is measured: a cancelled run's results are still its results.
_NOT_MEASURED = ("runPolicy", "cancel", "suspend")
# Keys of `measurement` that are younger than kept results: with their defaults they leave the digest as it was.
_YOUNGER = ("max_taken_share", "max_made_again")


def _one_of(names: tuple[str, ...], what: str) -> type[str]:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"one of {what}: {', '.join(names)}")
        return value

    schema = {"type": "string", "enum": list(names)}
    return Annotated[str, Field(max_length=40), AfterValidator(check), WithJsonSchema(schema)]  # type: ignore[return-value]


EngineName = _one_of(catalog.engine_names(), "the engines")
ModelName = _one_of(catalog.workload_names(), "the models")


class WorkloadChoice(StrictModel):
    """Which model is trained."""

    model: ModelName  # type: ignore[valid-type]
    """Name of a workload: a file in stepmark/workloads."""
    params: dict[str, Scalar] = Field(default={}, max_length=32)
    """The model's own parameters, checked by that workload's `Params`."""


class Candidate(StrictModel):
    """One way to train the model. The first candidate is the reference that the others are compared with."""

    name: Name
    """How tables and verdicts call it."""
    engine: EngineName  # type: ignore[valid-type]
    """Name of an engine: a file in stepmark/engines."""
    strategy: Name = "single"
    """How the work is spread over workers; each engine lists its own."""
    variant: Name | None = None
    """Another way of the same engine and strategy; absent is the engine's default way."""
    options: Annotated[tuple[Option, ...], Field(max_length=8, json_schema_extra=EACH_ONCE), EachOnce] = ()
    """Settings beyond the framework's defaults; each engine lists which it has. XLA is the execution `compiled`."""


class Sweep(StrictModel):
    """Levels that every candidate is measured at."""

    execution: Annotated[
        tuple[ExecutionLevel, ...], Field(min_length=1, max_length=4, json_schema_extra=EACH_ONCE), EachOnce
    ] = ("default",)
    """eager: no graph; graph: traced; compiled: torch.compile or XLA; default: what an engine's users get unasked."""
    precision: Annotated[
        tuple[Precision, ...], Field(min_length=1, max_length=5, json_schema_extra=EACH_ONCE), EachOnce
    ] = ("float32",)
    """float32 (TF32 off), tf32, float64, or the framework's mixed precision: bfloat16, float16 with loss scaling."""


class Training(StrictModel):
    """What a step computes beside the model: the same for every candidate. The optimiser is SGD with momentum 0.875."""

    gradient_accumulation: Annotated[int, Field(ge=1, le=1024)] = 1
    """Micro-batches of a step: each worker's batch is cut into so many equal parts, and their gradients are summed."""
    clip_global_norm: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Gradients longer than this, over all tensors and workers together, are scaled down to it; absent: never."""


class Scale(StrictModel):
    """Worker counts, and what stays constant while they grow."""

    model_config = ConfigDict(
        json_schema_extra=in_cel(
            (
                "self.mode == 'weak' ? has(self.batchPerWorker) && !has(self.globalBatch)"
                " : has(self.globalBatch) && !has(self.batchPerWorker)",
                "batchPerWorker alone where mode is weak, globalBatch alone where it is strong",
            ),
            (
                "!has(self.globalBatch) || self.workers.all(n, self.globalBatch % n == 0)",
                "globalBatch to be a multiple of every worker count",
            ),
        )
    )

    workers: Annotated[
        tuple[Annotated[int, Field(ge=1, le=4096)], ...],
        Field(min_length=1, max_length=16, json_schema_extra=EACH_ONCE),
        EachOnce,
    ] = (1,)
    """Numbers of data-parallel workers, one process each."""
    mode: Literal["weak", "strong"] = "weak"
    """weak: batchPerWorker is constant; strong: globalBatch is."""
    batch_per_worker: Annotated[int, Field(ge=1, le=65536)] | None = None
    """Samples per worker and step (weak scaling)."""
    global_batch: Annotated[int, Field(ge=1, le=16777216)] | None = None
    """Samples per step over all workers (strong scaling)."""

    @model_validator(mode="after")
    def _batch_fits_mode(self) -> Self:
        wanted, other = ("batchPerWorker", "globalBatch") if self.mode == "weak" else ("globalBatch", "batchPerWorker")
        values = {"batchPerWorker": self.batch_per_worker, "globalBatch": self.global_batch}
        if values[wanted] is None or values[other] is not None:
            raise ValueError(f"{wanted} alone, since mode is {self.mode}")
        if self.global_batch is not None and any(self.global_batch % n for n in self.workers):
            raise ValueError(f"globalBatch to be a multiple of every worker count in {list(self.workers)}")
        return self

    def batch_of(self, workers: int) -> int:
        """Samples per worker and step at this number of workers."""
        return self.batch_per_worker if self.batch_per_worker is not None else (self.global_batch or 0) // workers


class Data(StrictModel):
    """Where the samples come from."""

    source: DataSource = "synthetic"
    """synthetic: random, resident on the device; host: the same, fed each step; digits: real images, resident."""


class Measurement(StrictModel):
    """How much is measured, and when it is enough."""

    model_config = ConfigDict(
        json_schema_extra=in_cel(
            ("self.maxSteps >= self.minSteps", "maxSteps of at least minSteps"),
            ("!has(self.maxLaunches) || self.maxLaunches >= self.launches", "maxLaunches of at least launches"),
        )
    )

    launches: Annotated[int, Field(ge=2, le=100)] = 9
    """Launches per cell, each in a block of its own with fresh zygotes. Intervals stand on this number, and nothing is
    claimed with fewer than five."""
    max_launches: Annotated[int, Field(ge=2, le=100)] | None = None
    """Blocks are added up to this number until relativePrecision is reached; absent: launches, none are added."""
    min_steps: Annotated[int, Field(ge=1, le=5000)] = 50
    """Steps in the measured window, at least."""
    max_steps: Annotated[int, Field(ge=1, le=5000)] = 5000
    """Steps in the measured window, at most: it wins over minSeconds."""
    min_seconds: Annotated[float, Field(ge=0, le=3600)] = 1.5
    """Length of the measured window, at least."""
    warmup_steps: Annotated[int, Field(ge=1, le=1000)] = 10
    """Steps before the window, at least. They are kept and marked. More are made while steps become faster."""
    warmup_seconds: Annotated[float, Field(ge=0, le=600)] = 1.0
    """Time before the window, at least."""
    relative_precision: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Half-width of a cell's 95 % interval, relative to its median, that is precise enough."""
    minimum_effect: Annotated[float, Field(ge=0, le=1)] = 0.01
    """A difference smaller than this is never claimed."""
    budget_seconds: Annotated[int, Field(ge=1, le=604800)] | None = None
    """No block beyond `launches` is started after this time; absent: no such limit."""
    launch_timeout_seconds: Annotated[int, Field(ge=1, le=86400)] = 600
    """A launch that takes longer is killed and counts as failed."""
    step_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """A launch that makes no step for this long is killed and counts as failed."""
    memory_limit_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 50)] | None = None
    """Address space that one worker process may use beyond what its framework's import took; absent: no limit."""
    max_taken_share: Annotated[float, Field(ge=0, le=1)] = 0.2
    """A launch is disturbed, and does not count, where others took more than this share of a rank's cores."""
    max_made_again: Annotated[int, Field(ge=0, le=10000)] | None = None
    """Launches that may be made again since they were disturbed; absent: half as many as are planned."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Orders the blocks and draws weights and data. The same file and seed give the same plan."""

    @model_validator(mode="after")
    def _bounds_agree(self) -> Self:
        if self.max_steps < self.min_steps:
            raise ValueError(f"maxSteps of at least minSteps, {self.min_steps}")
        if self.max_launches is not None and self.max_launches < self.launches:
            raise ValueError(f"maxLaunches of at least launches, {self.launches}")
        return self


class RunPolicy(StrictModel):
    """What a cluster does to get the run done. It changes nothing of what is measured."""

    max_attempts: Annotated[int, Field(ge=1, le=5)] = 2
    """Attempts, each on a Ray cluster of its own: another one follows where the infrastructure failed."""
    start_timeout_seconds: Annotated[int, Field(ge=10, le=86400)] = 1800
    """An attempt whose workers are not all there after this time ends. Time in a queue does not count."""
    active_deadline_seconds: Annotated[int, Field(ge=60, le=2592000)] = 86400
    """An attempt that takes longer, from the first start of its pods, is ended for good."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31536000)] | None = None
    """How long after its end the Scenario itself stays; absent: for ever. The hub keeps the results."""


class Spec(StrictModel):
    """What is compared, at which scale, and how it is measured. On a cluster only `cancel` and `suspend` can change."""

    model_config = ConfigDict(
        json_schema_extra=in_cel(
            (
                "self.scale.workers.all(n, (has(self.scale.batchPerWorker) ? self.scale.batchPerWorker"
                " : has(self.scale.globalBatch) ? self.scale.globalBatch / n : 0)"
                " % self.training.gradientAccumulation == 0)",
                "gradientAccumulation to divide the batch per worker at every worker count",
            ),
        )
    )

    profile: Name = "local"
    """Admin-owned settings of a cluster; 'local' is built in."""
    workload: WorkloadChoice
    """The model that all candidates train."""
    candidates: Annotated[tuple[Candidate, ...], Field(min_length=1, max_length=16, json_schema_extra=_NAMES_ONCE)]
    """What is compared; the first one is the reference."""
    sweep: Sweep = Sweep()
    """Execution levels and precisions, for every candidate."""
    training: Training = Training()
    """What a step computes beside the model."""
    scale: Scale
    """Worker counts and batch."""
    data: Data = Data()
    """The samples."""
    measurement: Measurement = Measurement()
    """How much, and when it is enough."""
    parity: Literal["required", "reported", "skipped"] = "required"
    """required: no verdict without certificates that both sides train the same model; reported: certificates, and
    verdicts all the same; skipped: no check."""
    run_policy: RunPolicy = RunPolicy()
    """Attempts and deadlines, on a cluster."""
    cancel: bool = False
    """True ends the run, on a cluster. It stays true."""
    suspend: bool = False
    """True holds the next attempt back, on a cluster, until it is false again. What measures already goes on."""

    @model_validator(mode="after")
    def _batches_can_be_cut(self) -> Self:
        parts = self.training.gradient_accumulation
        uneven = [n for n in self.scale.workers if self.scale.batch_of(n) % parts]
        if uneven:
            raise ValueError(f"gradientAccumulation, {parts}, to divide the batch per worker at {uneven[0]} workers")
        return self


class Scenario(StrictModel):
    """A scenario file, which is also a Kubernetes object of the same text."""

    api_version: Literal["stepmark.dev/v1alpha1"]
    """Version of this document's grammar."""
    kind: Literal["Scenario"]
    """Always this."""
    metadata: Metadata
    """The name."""
    spec: Spec
    """What is measured."""

    @property
    def name(self) -> str:
        """How results call it: the same for every object that one file with a generateName became."""
        prefix = self.metadata.generate_name
        return prefix.rstrip("-") if prefix is not None else self.metadata.name

    def canonical_json(self) -> str:
        """What is measured, with defaults written out and keys in order: equal text is an equal scenario.

        Younger keys are left out where they have their defaults.
        """
        document = self.model_dump(mode="json", by_alias=True)
        document["metadata"] = {"name": self.name}
        for key in _NOT_MEASURED:
            del document["spec"][key]
        for name in _YOUNGER:
            field = Measurement.model_fields[name]
            if getattr(self.spec.measurement, name) == field.default:
                del document["spec"]["measurement"][field.alias or name]
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """SHA-256 of `canonical_json`, in hexadecimal."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()
