"""Define what an engine is: a file in this folder with `SUPPORT`, `import_framework` and `Engine`."""

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
    accumulation: bool = False
    """The refusal holds only where gradients are accumulated over micro-batches."""
    clipping: bool = False
    """The refusal holds only where gradients are clipped."""


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

    def holds(self, strategy: str, variant: str | None, execution: str, precision: str) -> bool:
        """Return whether a cell of this kind departs."""
        return (
            (not self.forms or strategy in self.forms or variant in self.forms)
            and (not self.executions or execution in self.executions)
            and (not self.precisions or precision in self.precisions)
        )


# All engines train with this momentum. It is exactly representable, since Keras keeps it in float32, where 0.9 would
# cause an error of 1e-9 in float64.
MOMENTUM = 0.875
LOSS_SCALE = 2.0**15  # The dynamic scale of float16 starts here. It is Keras' default; torch's is 2**16.

PartName = Literal["step_without_update", "input", "all_reduce", "matmul"]
MATMUL_SIDE = 512  # This is large enough for a few cores to come near their peak. A GPU would need 8192.

NVIDIA_ONLY = "this is a mode of NVIDIA GPUs, and this version measures on CPU cores only"


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

    def variants_of(self, strategy: str) -> tuple[str, ...]:
        """Return the variants of a strategy, the default first."""
        return self.strategies[strategy].variants

    def departures_of(
        self, strategy: str, variant: str | None, execution: str, precision: str
    ) -> tuple[Departure, ...]:
        """Return the departures of one kind of cell."""
        return tuple(one for one in self.departures if one.holds(strategy, variant, execution, precision))


@dataclass(frozen=True)
class RankContext:
    """Hold what an engine needs to know of one rank of one launch.

    `addresses` holds the host:port of each rank, agreed anew for every launch. `threads` is the number of cores that
    this rank may use. `collective_timeout_seconds` limits every collective. `seed` is the scenario's, from which
    weights and data come; `launch_seed` differs between launches and is the same on all ranks. `replicas` is the number
    of workers inside this process, and `accumulate` the number of micro-batches of a step, of equal size. The model and
    its batches are placed on `device`.
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
        """Return whether the strategy is any other than `single`."""
        return self.strategy != "single"


class Engine(Protocol):
    """Train one model on one rank. The constructor only keeps the context."""

    def __init__(self, context: RankContext) -> None: ...

    def join_group(self) -> None:
        """Join the process group of `context.addresses`."""

    def build(self, workload: Workload, params: Any, batches: list[Batch], learning_rate: float) -> None:
        """Make the model, its loss and its optimiser (SGD, momentum 0.875), and place this rank's batches."""

    def step(self, index: int) -> None:
        """Make one optimiser step on batch `index` modulo their number.

        It may return before the device has finished.
        """

    def step_without_reduce(self, index: int) -> None:
        """Make the same step without exchanging gradients, so that the ranks' weights drift apart.

        Raises:
            NotImplementedError: the strategy cannot leave out the exchange.
        """

    def parts(self) -> "dict[PartName, Callable[[int], None]]":
        """Return the parts of a step that can run alone, by the names of `results.record.Parts`.

        The whole steps are not among them. Each function takes the index of a batch, returns when the device is done,
        and may leave the weights changed. `step_without_update` is `step_without_reduce` in the same form (traced,
        compiled, fed) without its update, so that their difference is the update. An update that is called by itself
        also pays for the call and its arguments, which for 29 tensors took twice as long as the update. `matmul` is one
        product of two square matrices of side `MATMUL_SIDE`.
        """

    def forward(self, index: int) -> NDArray[Any]:
        """Return the logits of this rank's samples of batch `index`, in training mode and in the samples' order."""

    def synchronize(self) -> float:
        """Wait for the device, and return the last loss: the mean over this rank's samples, or over all."""

    def compilations(self) -> int | None:
        """Return how often the step was traced or compiled so far, or None where nothing is."""

    def weights(self) -> Weights:
        """Return copies of all trainable weights, in torch's names and layouts."""

    def load_weights(self, weights: Weights) -> None:
        """Set all trainable weights from torch's names and layouts, given in any float type."""

    def restart(self, weights: Weights, learning_rate: float) -> None:
        """Start training again from these weights: the optimiser's memory and its loss scale are reset.

        Nothing is built, traced or compiled again: it is the same step at another learning rate. The optimiser's own
        count of steps goes on, so that an effect of that count is seen.
        """

    def flags(self) -> dict[str, str]:
        """Return versions and settings that change speed or numbers, as they are in this process."""

    def close(self) -> None:
        """Leave the group, in a process that goes on. The process of a launch ends instead."""


def matmul_flops() -> int:
    """Return the floating-point operations of the part `matmul`, where a multiply-add counts 2."""
    return 2 * MATMUL_SIDE**3


def interleaved(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Undo `_batches.shard`: sample i of part p becomes sample i * len(parts) + p."""
    whole = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    for index, part in enumerate(parts):
        whole[index :: len(parts)] = part
    return whole


class EngineModule(Protocol):
    """Describe the module of an engine, as `catalog.load_engine` returns it."""

    SUPPORT: Support
    Engine: type[Engine]

    @staticmethod
    def import_framework() -> None:
        """Import the framework and do nothing else: start no operation, thread pool or device context.

        A zygote does only this.
        """
