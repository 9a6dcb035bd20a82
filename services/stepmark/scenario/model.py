"""The `Scenario` model: one model, its candidates, worker counts, and how to measure.

A scenario is immutable: one object is one run.
"""

import hashlib
import json
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from stepmark import catalog
from stepmark.scenario.data import Data
from stepmark.scenario.metadata import Metadata
from stepmark.scenario.scale import Scale
from stepmark.scenario.sweep import Sweep
from stepmark.scenario.target import Target
from stepmark.strict import EACH_ONCE, EachOnce, Name, Scalar, StrictModel, in_cel
from stepmark.terms import REAL_SOURCES, Compared, DeviceChoice, OptimizerName, Option

# This is not Kubernetes' list type `map`, for which CEL ignores the order: the first candidate is the reference.
_NAMES_ONCE = in_cel(("self.all(a, self.exists_one(b, a.name == b.name))", "each candidate under a name of its own"))
# These keys tell a cluster how to handle the run, not what is measured: a cancelled run's results stay its results.
_NOT_MEASURED = ("runPolicy", "cancel", "suspend")
# These keys of `measurement` are newer than stored results. With their defaults they leave the digest unchanged.
_YOUNGER = ("max_taken_share", "max_made_again")


def _one_of(names: tuple[str, ...], what: str) -> type[str]:
    """Return the type of stepmark's own names, and of PACKAGE/NAME whether it is installed here or not."""

    def check(value: str) -> str:
        if value not in names and not catalog.is_foreign(value):
            raise ValueError(f"one of {what}: {', '.join(names)}, or PACKAGE/NAME of an installed package")
        return value

    most = catalog.NAME_CHARACTERS_MOST
    pattern = f"^({'|'.join(names)}|{catalog.FOREIGN_PATTERN})$"
    schema = {"type": "string", "maxLength": most, "pattern": pattern, "examples": list(names)}
    return Annotated[str, Field(max_length=most), AfterValidator(check), WithJsonSchema(schema)]  # type: ignore[return-value]


EngineName = _one_of(catalog.engine_names(), "the engines")
ModelName = _one_of(catalog.workload_names(), "the models")


class WorkloadChoice(StrictModel):
    """The model that is trained."""

    model: ModelName  # type: ignore[valid-type]
    """Name of a workload: stepmark's own, or PACKAGE/NAME of one that an installed package brings."""
    params: dict[str, Scalar] = Field(default={}, max_length=32)
    """The model's own parameters, which are checked by the workload's `Params`."""


class Candidate(StrictModel):
    """One way to train the model. The first candidate is the reference that the others are compared with."""

    name: Name
    """Name of the candidate in tables and verdicts."""
    engine: EngineName  # type: ignore[valid-type]
    """Name of an engine: stepmark's own, or PACKAGE/NAME of one that an installed package brings."""
    strategy: Name = "single"
    """How the work is spread over workers; each engine lists its own strategies."""
    variant: Name | None = None
    """Another way of the same engine and strategy; absent: the engine's default way."""
    options: Annotated[tuple[Option, ...], Field(max_length=8, json_schema_extra=EACH_ONCE), EachOnce] = ()
    """Settings other than the framework's defaults; each engine lists its own. XLA is the execution `compiled`."""


class Training(StrictModel):
    """What a step computes besides the model, for every candidate alike."""

    optimizer: OptimizerName = "sgd"
    """sgd: SGD with momentum 0.875; adamw: AdamW with decoupled weight decay, its settings are in docs/measuring.md."""
    gradient_accumulation: Annotated[int, Field(ge=1, le=1024)] = 1
    """Micro-batches per step: each worker's batch is cut into this many equal parts, whose gradients are summed."""
    clip_global_norm: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Gradients whose norm over all tensors and workers exceeds this are scaled down to it; absent: no clipping."""


class Measurement(StrictModel):
    """How much is measured, and when it is enough."""

    model_config = ConfigDict(
        json_schema_extra=in_cel(
            ("self.maxSteps >= self.minSteps", "maxSteps of at least minSteps"),
            ("!has(self.maxLaunches) || self.maxLaunches >= self.launches", "maxLaunches of at least launches"),
        )
    )

    launches: Annotated[int, Field(ge=2, le=100)] = 9
    """Launches per cell, each in a block of its own with fresh zygotes. Every interval is computed from this many
    values, and with fewer than five nothing is claimed."""
    max_launches: Annotated[int, Field(ge=2, le=100)] | None = None
    """Blocks are added up to this number until relativePrecision is reached; absent: no blocks are added."""
    min_steps: Annotated[int, Field(ge=1, le=5000)] = 50
    """Minimum number of steps in the measured window."""
    max_steps: Annotated[int, Field(ge=1, le=5000)] = 5000
    """Maximum number of steps in the measured window. It takes precedence over minSeconds."""
    min_seconds: Annotated[float, Field(ge=0, le=3600)] = 1.5
    """Minimum length of the measured window."""
    warmup_steps: Annotated[int, Field(ge=1, le=1000)] = 10
    """Minimum number of warm-up steps. They are kept and marked, and more are made while steps become faster."""
    warmup_seconds: Annotated[float, Field(ge=0, le=600)] = 1.0
    """Minimum length of the warm-up."""
    relative_precision: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Half-width of a cell's 95 % interval, relative to its median, at which it is precise enough."""
    minimum_effect: Annotated[float, Field(ge=0, le=1)] = 0.01
    """A difference smaller than this is never claimed."""
    budget_seconds: Annotated[int, Field(ge=1, le=604800)] | None = None
    """After this time no block beyond `launches` is started; absent: no limit."""
    launch_timeout_seconds: Annotated[int, Field(ge=1, le=86400)] = 600
    """A launch that takes longer than this is killed and counts as failed."""
    step_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """A launch that makes no step for this long is killed and counts as failed."""
    memory_limit_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 50)] | None = None
    """Address space that one worker process may use beyond what importing its framework took; absent: no limit."""
    max_taken_share: Annotated[float, Field(ge=0, le=1)] = 0.2
    """A launch is disturbed, and does not count, if others used more than this share of a rank's cores."""
    max_made_again: Annotated[int, Field(ge=0, le=10000)] | None = None
    """Maximum number of disturbed launches that are made again; absent: half of the planned launches."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of the block order and of the random weights and data. The same file and seed give the same plan."""

    @model_validator(mode="after")
    def _bounds_agree(self) -> Self:
        if self.max_steps < self.min_steps:
            raise ValueError(f"maxSteps of at least minSteps, {self.min_steps}")
        if self.max_launches is not None and self.max_launches < self.launches:
            raise ValueError(f"maxLaunches of at least launches, {self.launches}")
        return self


class RunPolicy(StrictModel):
    """How a cluster handles the run. It does not change what is measured."""

    max_attempts: Annotated[int, Field(ge=1, le=5)] = 2
    """Maximum number of attempts, each on its own Ray cluster. Another one follows if the infrastructure failed."""
    start_timeout_seconds: Annotated[int, Field(ge=10, le=86400)] = 1800
    """An attempt whose workers are not all ready after this time ends. Time in a queue does not count."""
    active_deadline_seconds: Annotated[int, Field(ge=60, le=2592000)] = 86400
    """An attempt that takes longer than this from the first start of its pods is ended, and no other follows."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31536000)] | None = None
    """How long the Scenario object stays after its end; absent: for ever. The hub keeps the results."""


class Spec(StrictModel):
    """What is compared, at which scale, and how it is measured. On a cluster only `cancel` and `suspend` can change."""

    model_config = ConfigDict(
        json_schema_extra=in_cel(
            (
                "self.scale.workers.all(n, (has(self.scale.batchPerWorker) ? self.scale.batchPerWorker"
                " : has(self.scale.globalBatch) ? self.scale.globalBatch / n : 0)"
                " % self.training.gradientAccumulation == 0) && (!has(self.scale.batchesPerWorker)"
                " || self.scale.batchesPerWorker.all(b, b % self.training.gradientAccumulation == 0))",
                "gradientAccumulation to divide the batch per worker at every worker count",
            ),
            (
                "(self.compare != 'executions' || self.sweep.execution.size() > 1)"
                " && (self.compare != 'precisions' || self.sweep.precision.size() > 1)",
                "two values or more in the list of sweep that is compared",
            ),
            (
                "!has(self.target.accuracy) || self.data.source in ['digits', 'python-docs']",
                "data.source digits or python-docs where target.accuracy is set, since random labels cannot be learnt",
            ),
        )
    )

    profile: Name = "local"
    """Name of a profile: settings that the cluster's owner decides. 'local' is built in."""
    workload: WorkloadChoice
    """The model that all candidates train."""
    candidates: Annotated[tuple[Candidate, ...], Field(min_length=1, max_length=16, json_schema_extra=_NAMES_ONCE)]
    """The candidates to compare; the first one is the reference."""
    sweep: Sweep = Sweep()
    """Executions and precisions of every candidate."""
    compare: Compared = "candidates"
    """candidates: each with the first one; options: each with the first one of its engine, strategy and variant;
    executions, precisions: each candidate at every other one with itself at the first one in `sweep`."""
    training: Training = Training()
    """What a step computes besides the model."""
    scale: Scale
    """Worker counts and batch size."""
    data: Data = Data()
    """Source of the samples."""
    device: DeviceChoice = "auto"
    """gpu: one GPU for each worker, refused where there is none; cpu: CPU cores, GPUs are left alone; auto: GPUs where
    the machine or the profile has them and the installed packages can use them."""
    measurement: Measurement = Measurement()
    """How many launches and steps are measured, and when the figures are precise enough."""
    target: Target = Target()
    """The accuracy that `stepmark time-to-accuracy` trains to."""
    parity: Literal["required", "reported", "skipped"] = "required"
    """required: no verdict without certificates that both sides train the same model; reported: certificates are shown,
    but verdicts do not depend on them; skipped: no parity checks."""
    run_policy: RunPolicy = RunPolicy()
    """Attempts and deadlines on a cluster."""
    cancel: bool = False
    """On a cluster, true ends the run. It cannot become false again."""
    suspend: bool = False
    """On a cluster, true holds back the next attempt until it is false again. A running attempt goes on."""

    @model_validator(mode="after")
    def _batches_can_be_cut(self) -> Self:
        parts = self.training.gradient_accumulation
        uneven = [n for n in self.scale.workers if any(batch % parts for batch in self.scale.batches_of(n))]
        if uneven:
            raise ValueError(f"gradientAccumulation, {parts}, to divide the batch per worker at {uneven[0]} workers")
        return self

    @model_validator(mode="after")
    def _has_what_it_compares(self) -> Self:
        swept = {"executions": self.sweep.execution, "precisions": self.sweep.precision}.get(self.compare)
        if swept is not None and len(swept) < 2:
            raise ValueError(f"two {self.compare} or more in sweep, since they are compared")
        return self

    @model_validator(mode="after")
    def _can_be_learnt(self) -> Self:
        if self.target.accuracy is not None and self.data.source not in REAL_SOURCES:
            known = " or ".join(REAL_SOURCES)
            raise ValueError(f"data.source {known} where target.accuracy is set, since random labels cannot be learnt")
        return self


class Scenario(StrictModel):
    """A scenario file, which is also a Kubernetes object with the same text."""

    api_version: Literal["stepmark.dev/v1alpha1"]
    """Version of this document's grammar."""
    kind: Literal["Scenario"]
    """Always `Scenario`."""
    metadata: Metadata
    """Name of the run, and Kubernetes metadata."""
    spec: Spec
    """What is measured, and how."""

    @property
    def name(self) -> str:
        """The name in results: the same for every object that was created from one file with a generateName."""
        prefix = self.metadata.generate_name
        return prefix.rstrip("-") if prefix is not None else self.metadata.name

    def canonical_json(self) -> str:
        """Return what is measured, with defaults written out and keys in order: equal texts mean equal scenarios.

        Keys that are newer than stored results are left out where they have their defaults.
        """
        document = self.model_dump(mode="json", by_alias=True)
        document["metadata"] = {"name": self.name}
        for key in _NOT_MEASURED:
            del document["spec"][key]
        if self.spec.device == "auto":
            del document["spec"]["device"]
        if self.spec.scale.batches_per_worker is None:
            del document["spec"]["scale"]["batchesPerWorker"]
        if self.spec.compare == "candidates":
            del document["spec"]["compare"]
        if not self.spec.sweep.message_bytes:
            del document["spec"]["sweep"]["messageBytes"]
        if self.spec.target == Target():
            del document["spec"]["target"]
        if self.spec.data.transform == "none":
            del document["spec"]["data"]["transform"]
        if self.spec.training.optimizer == "sgd":
            del document["spec"]["training"]["optimizer"]
        if self.spec.data.lengths is None:
            del document["spec"]["data"]["lengths"]
        for name in _YOUNGER:
            field = Measurement.model_fields[name]
            if getattr(self.spec.measurement, name) == field.default:
                del document["spec"]["measurement"][field.alias or name]
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """Return the SHA-256 of `canonical_json` in hexadecimal."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()
