"""What an engine is. A file in this folder with `SUPPORT`, `import_framework` and `Engine` is one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stepmark.engines._device import CPU, Device
from stepmark.terms import ExecutionLevel, Option, Precision
from stepmark.workloads._batches import Batch
from stepmark.workloads._protocol import Workload

Weights = dict[str, NDArray[np.floating[Any]]]


@dataclass(frozen=True)
class Strategy:
    """A way to spread the work. `max_workers` None: no limit. The first variant is the default.

    `one_process`: all workers are replicas in a single process, on one node.
    """

    max_workers: int | None = None
    variants: tuple[str, ...] = ()
    one_process: bool = False


@dataclass(frozen=True)
class Refusal:
    """A combination that an engine does not have, or that its framework computes wrongly. Empty matches everything."""

    reason: str
    forms: tuple[str, ...] = ()
    """Strategies or variants."""
    executions: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    accumulation: bool = False
    """Only where gradients are accumulated over micro-batches."""
    clipping: bool = False
    """Only where gradients are clipped."""


@dataclass(frozen=True)
class Departure:
    """A setting that is not what a framework's users get unasked, wherever a cell matches; empty matches everything.

    `ours` and `usual` are its values, `why` the reason. A test compares them with what the engine really sets, where
    that can be read back.
    """

    knob: str
    ours: str
    usual: str
    why: str
    forms: tuple[str, ...] = ()
    """Strategies or variants."""
    executions: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()

    def holds(self, strategy: str, variant: str | None, execution: str, precision: str) -> bool:
        """Whether a cell of this kind departs."""
        return (
            (not self.forms or strategy in self.forms or variant in self.forms)
            and (not self.executions or execution in self.executions)
            and (not self.precisions or precision in self.precisions)
        )


# Of the optimiser that all engines train with. Exactly representable: Keras keeps it in float32, where 0.9 would cost
# 1e-9 in float64.
MOMENTUM = 0.875
LOSS_SCALE = 2.0**15  # where float16's dynamic scale begins: Keras' default; torch's own is 2**16

PartName = Literal["step_without_update", "input", "all_reduce", "matmul"]
MATMUL_SIDE = 512  # large enough for a few cores to come near their peak; a GPU would need 8192

NVIDIA_ONLY = "it is a mode of NVIDIA GPUs, and this version measures on CPU cores"


@dataclass(frozen=True)
class Support:
    """What an engine can do, as data: the plan rejects a cell from it before a process or GPU is asked for."""

    framework: str
    """The F of a workload's `F_model`."""
    strategies: Mapping[str, Strategy]
    executions: Mapping[str, str | None]
    """Each level -> None (the engine has it), or the reason why not."""
    default_execution: ExecutionLevel
    """What the engine's users get without asking."""
    precisions: Mapping[str, str | None]
    """As `executions`. float32 has TF32 off, always; bfloat16 and float16 are the framework's mixed precision."""
    options: Mapping[str, str | None] = field(default_factory=dict)
    """Settings that a candidate may ask for -> None, or the reason why not here."""
    refusals: tuple[Refusal, ...] = ()
    """What of the above cannot be had together."""
    departures: tuple[Departure, ...] = ()
    """What differs from the framework's own defaults, beside what `environment` says."""
    execution_needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Level -> programs that it starts."""
    requires: tuple[str, ...] = ()
    """Modules that must be installed; `extra` is the extra of stepmark that brings them."""
    extra: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """Set before the framework is imported."""

    def variants_of(self, strategy: str) -> tuple[str, ...]:
        return self.strategies[strategy].variants

    def departures_of(
        self, strategy: str, variant: str | None, execution: str, precision: str
    ) -> tuple[Departure, ...]:
        """Those of one kind of cell."""
        return tuple(one for one in self.departures if one.holds(strategy, variant, execution, precision))


@dataclass(frozen=True)
class RankContext:
    """One rank of one launch, as an engine needs it.

    `addresses` holds host:port of each rank, agreed anew for every launch; `threads` is the number of cores that
    this rank may use; `collective_timeout_seconds` bounds every collective. `seed` is the scenario's: weights and data
    come from it. `launch_seed` differs from launch to launch and is the same on all ranks. `replicas` is the number of
    workers inside this process; `accumulate` the number of micro-batches of a step, of equal size. `device` is what the
    model and its batches are placed on.
    """

    rank: int
    world_size: int
    strategy: str
    variant: str | None
    execution: ExecutionLevel
    precision: Precision
    addresses: tuple[str, ...]
    threads: int
    seed: int
    launch_seed: int
    block: int
    collective_timeout_seconds: int
    feed_each_step: bool = False
    replicas: int = 1
    accumulate: int = 1
    clip_global_norm: float | None = None
    options: tuple[Option, ...] = ()
    device: Device = CPU

    @property
    def distributed(self) -> bool:
        return self.strategy != "single"


class Engine(Protocol):
    """One model in training, on one rank. Construction does nothing but keep the context."""

    def __init__(self, context: RankContext) -> None: ...

    def join_group(self) -> None:
        """Join the process group of `context.addresses`."""

    def build(self, workload: Workload, params: Any, batches: list[Batch], learning_rate: float) -> None:
        """Make model, loss and optimiser (SGD, momentum 0.875) and place the batches of this rank."""

    def step(self, index: int) -> None:
        """One optimiser step on batch `index` modulo their number. May return before the device has finished."""

    def step_without_reduce(self, index: int) -> None:
        """The same step without exchanging gradients; the ranks' weights drift apart.

        Raises:
            NotImplementedError: the strategy cannot do without.
        """

    def parts(self) -> "dict[PartName, Callable[[int], None]]":
        """What of a step can run alone, by the names of `results.record.Parts` but the whole steps.

        Each returns when the device is done, takes the index of a batch, and may leave the weights changed.
        `step_without_update` is `step_without_reduce` in the same form (traced, compiled, fed) without its update, so
        that their difference is the update: an update called by itself pays for the call and its arguments, which of
        29 tensors took twice as long as their update. `matmul` is one product of two square matrices of side
        `MATMUL_SIDE`.
        """

    def forward(self, index: int) -> NDArray[Any]:
        """Logits of this rank's samples of batch `index`, in training mode and in the samples' order."""

    def synchronize(self) -> float:
        """Wait for the device and fetch the last loss to the host: the mean over this rank's samples, or over all."""

    def compilations(self) -> int | None:
        """How often the step was traced or compiled so far; None where nothing is."""

    def weights(self) -> Weights:
        """Copies of all trainable weights, in torch's names and layouts."""

    def load_weights(self, weights: Weights) -> None:
        """Set all trainable weights from torch's names and layouts, given in any float type."""

    def restart(self, weights: Weights, learning_rate: float) -> None:
        """Train on from these weights, as if nothing had been learnt: the optimiser's memory and loss scale begin anew.

        Nothing is built, traced or compiled again: it is the same step, at another rate. The optimiser's own count of
        steps goes on, so that what depends on it shows.
        """

    def flags(self) -> dict[str, str]:
        """Versions and settings that change speed or numbers, as they are in this process."""

    def close(self) -> None:
        """Leave the group, in a process that goes on. A launch's process ends instead."""


def matmul_flops() -> int:
    """Of the part `matmul`; a multiply-add counts 2."""
    return 2 * MATMUL_SIDE**3


def interleaved(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Undo `_batches.shard`: sample i of part p becomes sample i * len(parts) + p."""
    whole = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    for index, part in enumerate(parts):
        whole[index :: len(parts)] = part
    return whole


class EngineModule(Protocol):
    """The module of an engine, as `catalog.load_engine` returns it."""

    SUPPORT: Support
    Engine: type[Engine]

    @staticmethod
    def import_framework() -> None:
        """Import the framework and do nothing else: no op, no thread pool, no device context.

        It is a zygote's whole work.
        """
