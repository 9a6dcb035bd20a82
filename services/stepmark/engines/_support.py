"""Declare as data what an engine can do, what it refuses, and how it departs from its framework's defaults."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stepmark.terms import REAL_SOURCES, DataSource, DeviceKind, ExecutionLevel, OptimizerName, Option


@dataclass(frozen=True)
class Strategy:
    """Describe one way to spread the work over workers.

    `max_workers` is None where there is no limit. The first of `variants` is the default. `one_process` says whether
    all workers are replicas in a single process, on one node.
    """

    max_workers: int | None = None
    variants: tuple[str, ...] = ()
    one_process: bool = False


@dataclass(frozen=True)
class Refusal:
    """Refuse a combination that an engine does not have, or that its framework computes wrongly.

    An empty field matches everything.
    """

    reason: str
    forms: tuple[str, ...] = ()
    """The refusal holds for these strategies and variants."""
    executions: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    """The refusal holds for candidates that have one of these."""
    all_options: tuple[str, ...] = ()
    """The refusal holds for candidates that have all of these."""
    without_options: tuple[str, ...] = ()
    """The refusal holds for candidates that have none of these."""
    accumulation: bool = False
    """The refusal holds only where gradients are accumulated over micro-batches."""
    clipping: bool = False
    """The refusal holds only where gradients are clipped."""
    devices: tuple[DeviceKind, ...] = ()
    sources: tuple[DataSource, ...] = ()
    """The refusal holds for samples from these sources."""
    workloads: tuple[str, ...] = ()
    """The refusal holds for these models."""
    params: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    """The refusal holds where each of these parameters of the model has one of its values."""
    capability_below: tuple[int, int] | None = None
    """The refusal holds for GPUs whose compute capability is known and below this one."""
    capability_from: tuple[int, int] | None = None
    """The refusal holds for GPUs whose compute capability is known and at least this one."""

    def matches(
        self,
        strategy: str,
        variant: str | None,
        execution: str,
        precision: str,
        options: Iterable[str],
        capability: tuple[int, int] | None,
    ) -> bool:
        """Return whether these conditions are met. Device, samples, workload and training are left to the caller.

        `capability` is the GPU's compute capability, or None where it is unknown and on CPU cores.
        """
        below, start = self.capability_below, self.capability_from
        met = (
            below is None or (capability is not None and capability < below),
            start is None or (capability is not None and capability >= start),
            not self.forms or strategy in self.forms or variant in self.forms,
            not self.executions or execution in self.executions,
            not self.precisions or precision in self.precisions,
            not self.options or not set(self.options).isdisjoint(options),
            set(self.all_options) <= set(options),
            set(self.without_options).isdisjoint(options),
        )
        return all(met)


@dataclass(frozen=True)
class Departure:
    """Declare a setting that differs from what a framework's users get without asking.

    It holds for every cell that matches, and an empty field matches everything. `ours` and `usual` are the setting's
    two values, and `why` is the reason. A test compares departures with what the engine really sets, where that can be
    read back.
    """

    knob: str
    ours: str
    usual: str
    why: str
    forms: tuple[str, ...] = ()
    """The departure holds for these strategies and variants."""
    executions: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    devices: tuple[DeviceKind, ...] = ()
    optimizers: tuple[OptimizerName, ...] = ()
    options: tuple[str, ...] = ()
    """The departure holds for candidates that have one of these."""
    without_options: tuple[str, ...] = ()
    """The departure holds for candidates that have none of these."""

    def holds(
        self,
        strategy: str,
        variant: str | None,
        execution: str,
        precision: str,
        device: DeviceKind,
        optimizer: OptimizerName,
        options: Iterable[str],
    ) -> bool:
        """Return whether a cell of this kind departs."""
        return (
            (not self.forms or strategy in self.forms or variant in self.forms)
            and (not self.executions or execution in self.executions)
            and (not self.precisions or precision in self.precisions)
            and (not self.devices or device in self.devices)
            and (not self.optimizers or optimizer in self.optimizers)
            and (not self.options or not set(self.options).isdisjoint(options))
            and set(self.without_options).isdisjoint(options)
        )


_NVIDIA_ONLY = "this is a mode of NVIDIA GPUs, and this cell runs on CPU cores"
NVIDIA_MODES = (
    Refusal(f"tf32: {_NVIDIA_ONLY}", precisions=("tf32",), devices=("cpu",)),
    Refusal(f"cudnn-autotune: {_NVIDIA_ONLY}", options=("cudnn-autotune",), devices=("cpu",)),
    Refusal("tf32: GPUs have it from compute capability 8.0 on", precisions=("tf32",), capability_below=(8, 0)),
    Refusal("bfloat16: GPUs have it from compute capability 8.0 on", precisions=("bfloat16",), capability_below=(8, 0)),
)
"""These refusals hold for every framework."""
LENGTHS: Mapping[str, str | None] = {"bucketed": None, "dynamic-length": None}
"""These options pad batches before an engine gets them, so every engine that trains has them."""
WAYS_TO_FEED: tuple[Option, ...] = ("dataloader", "tf-data", "py-dataset")
"""These options say how steps are fed. Without one of them, NumPy arrays are converted in each step."""
FEEDING = (
    *(
        Refusal(
            f"{way}: it feeds each step from the host, and these samples stay on the device; set data.source to host",
            options=(way,),
            sources=("synthetic", *REAL_SOURCES),
        )
        for way in WAYS_TO_FEED
    ),
    *(
        Refusal(f"{first} and {second}: steps are fed in one way; choose one of them", all_options=(first, second))
        for first, second in itertools.combinations(WAYS_TO_FEED, 2)
    ),
)
"""These refusals hold for every framework."""
OPTIMIZERS: Mapping[str, str | None] = {"sgd": None, "adamw": None}
"""Engines that have every optimiser support these."""
NO_GPU_YET = "stepmark trains this engine on CPU cores only"


@dataclass(frozen=True)
class Support:
    """Declare as data what an engine can do, so that the plan can reject a cell before a process is started."""

    framework: str
    """This is the F of a workload's `F_model`."""
    strategies: Mapping[str, Strategy]
    executions: Mapping[str, str | None]
    """Each level maps to None where the engine has it, or to the reason why not."""
    default_execution: ExecutionLevel
    """The engine's users get this level without asking."""
    precisions: Mapping[str, str | None]
    """Each precision maps as in `executions`.

    float32 always has TF32 off. bfloat16 and float16 are the framework's mixed precision.
    """
    optimizers: Mapping[str, str | None] = field(default_factory=lambda: {"sgd": None})
    """Each optimiser maps as in `executions`."""
    options: Mapping[str, str | None] = field(default_factory=dict)
    """Each setting that a candidate may ask for maps to None, or to the reason why this engine lacks it."""
    refusals: tuple[Refusal, ...] = ()
    """These combinations of the above are not possible."""
    departures: tuple[Departure, ...] = ()
    """These settings differ from the framework's own defaults, beside those in `environment`."""
    execution_needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Each level maps to the programs that it starts."""
    requires: tuple[str, ...] = ()
    """These modules must be installed. `extra` is the extra of stepmark that installs them."""
    extra: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """These variables are set before the framework is imported."""
    device_environment: Mapping[DeviceKind, Mapping[str, str]] = field(default_factory=dict)
    """These variables are set too, by the kind of device that the cell runs on."""
    no_gpu: str | None = NO_GPU_YET
    """This is the reason why the engine cannot train on a GPU, or None where it can."""
    machine_code: tuple[tuple[int, int], ...] = ()
    """The framework's own kernels are compiled for these compute capabilities; () where nobody has looked.

    For a GPU that none of them suits, the driver compiles each kernel when it is first used, for minutes on end.
    """

    def compiles_at_first_use(self, capability: tuple[int, int]) -> bool:
        """Return whether the driver must compile the framework's kernels for GPUs of this compute capability.

        Machine code suits GPUs of the same major version from its own minor version on.
        """
        suits = any(major == capability[0] and minor <= capability[1] for major, minor in self.machine_code)
        return bool(self.machine_code) and not suits

    def variants_of(self, strategy: str) -> tuple[str, ...]:
        """Return the variants of a strategy, the default first."""
        return self.strategies[strategy].variants

    def departures_of(
        self,
        strategy: str,
        variant: str | None,
        execution: str,
        precision: str,
        device: DeviceKind = "cpu",
        optimizer: OptimizerName = "sgd",
        options: tuple[str, ...] = (),
    ) -> tuple[Departure, ...]:
        """Return the departures of one kind of cell."""
        kind = (strategy, variant, execution, precision, device, optimizer, options)
        return tuple(one for one in self.departures if one.holds(*kind))
