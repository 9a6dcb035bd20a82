"""Define what an engine is: a file in this folder with `SUPPORT`, `import_framework` and `Engine`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stepmark.engines._device import CPU, Device, Memory
from stepmark.engines._feed import Feed
from stepmark.engines._support import Support
from stepmark.terms import ExecutionLevel, OptimizerName, Option, Precision, Transform
from stepmark.workloads._batches import Batch
from stepmark.workloads._protocol import Workload

Weights = dict[str, NDArray[np.floating[Any]]]

LOSS_SCALE = 2.0**15  # The dynamic scale of float16 starts here. It is Keras' default; torch's is 2**16.

PartName = Literal["step_without_update", "input", "all_reduce", "matmul"]


@dataclass(frozen=True)
class Operations:
    """Hold the floating-point operations of forward and backward per sample, and what counted them."""

    flops_per_sample: int
    source: str


@dataclass(frozen=True)
class Recompilations:
    """Hold what a framework counted of tracing and compiling the step anew. None is unknown.

    `recompiles` is how often the step was traced or compiled again after the first time, `graph_breaks` where a graph
    had to end, and `compile_seconds` what all compilations took.
    """

    recompiles: int
    graph_breaks: int | None = None
    compile_seconds: float | None = None


@dataclass(frozen=True)
class RankContext:
    """Hold what an engine needs to know of one rank of one launch.

    `addresses` holds the host:port of each rank, agreed anew for every launch. `threads` is the number of cores that
    this rank may use. `collective_timeout_seconds` limits every collective. `seed` is the scenario's, from which
    weights and data come; `launch_seed` differs between launches and is the same on all ranks. `replicas` is the number
    of workers inside this process, and `accumulate` the number of micro-batches of a step, of equal size. The model and
    its batches are placed on `device`, of which a process with several `replicas` has as many, counted from 0. With
    `feed_each_step` samples stay on the host, and each step is fed with its own after the `transform`.
    `message_bytes` is the size of a collective's message, and None where a model is trained.
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
    transform: Transform = "none"
    replicas: int = 1
    accumulate: int = 1
    clip_global_norm: float | None = None
    optimizer: OptimizerName = "sgd"
    options: tuple[Option, ...] = ()
    device: Device = CPU
    message_bytes: int | None = None

    @property
    def distributed(self) -> bool:
        """Return whether the strategy is any other than `single`."""
        return self.strategy != "single"


class Engine(Protocol):
    """Train one model on one rank. The constructor only keeps the context.

    `asynchronous` says that `step` may return before the device has made it, so that the time of a single step cannot
    be read on the host: the loop then stamps stretches of steps, each ended by `drain` (docs/measuring.md). Such an
    engine bounds how far the host runs ahead, or leaves it to the stretch. It is read when the model is built.
    """

    asynchronous: bool
    feed: Feed | None
    """It brings each step its samples from the host. It is None where they stay on the device."""

    def __init__(self, context: RankContext) -> None: ...

    def join_group(self) -> None:
        """Join the process group of `context.addresses`."""

    def build(self, workload: Workload, params: Any, batches: list[Batch], learning_rate: float) -> None:
        """Make the model, its loss and its optimiser (`_optimizers`), and place this rank's batches."""

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
        product of square matrices of random normals, whose side is `_device.matmul_side`. On a GPU, zeros or ones would
        be multiplied faster, since they draw less power. `input` takes one batch from the feed, where there is one.
        """

    def forward(self, index: int) -> NDArray[Any]:
        """Return the logits of this rank's samples of batch `index`, in training mode and in the samples' order."""

    def layer_outputs(self, index: int) -> list[tuple[str, NDArray[Any]]]:
        """Return what goes into each layer with weights, and what comes out, for this rank's samples of a batch.

        The names end in '/input' and '/output', and are in the order of calls; those of a layer's second call begin
        with 'LAYER#2' (`_calls.Calls`). The list is empty where the layers of the model cannot be seen.
        """

    def operations(self) -> Operations | None:
        """Return the operations of the model that was built, or None where nothing here can count them all.

        All ranks must call this together. It makes one forward and one backward pass, and changes no weights.
        """

    def synchronize(self) -> float:
        """Wait for the device, and return the last loss: the mean over this rank's samples, or over all."""

    def drain(self) -> None:
        """Return when the device has made every step that was begun."""

    def mark_window(self, steps: int) -> None:
        """Time the next `steps` steps on the device itself, the first from now on, where the device has a clock.

        It is called on a drained device, just before a measured window. Whatever must be prepared is, before the
        device's first time is taken.
        """

    def device_step_nanoseconds(self) -> list[int] | None:
        """Return the time of each step since `mark_window` by the device's own clock, or None where it has none."""

    def device_memory(self) -> Memory | None:
        """Return the most device memory that was used since the last `mark_window`, or since the process began.

        It is None on CPU cores.
        """

    def compilations(self) -> int | None:
        """Return how often the step was traced or compiled so far, or None where nothing is."""

    def recompilations(self) -> Recompilations | None:
        """Return what was traced or compiled again so far, or None where nothing is compiled."""

    def weights(self) -> Weights:
        """Return copies of all trainable weights, in torch's names and layouts."""

    def load_weights(self, weights: Weights) -> None:
        """Set all trainable weights from torch's names and layouts, given in any float type."""

    def restart(self, weights: Weights, learning_rate: float) -> None:
        """Start training again from these weights: the optimiser's memory and its loss scale are reset.

        Nothing is built, traced or compiled again: it is the same step at another learning rate. SGD's own count of
        steps goes on, so that an effect of that count is seen. AdamW's is part of its memory, and starts again.
        """

    def first_moments(self) -> Weights | None:
        """Return copies of AdamW's running means of gradients, named as `weights`; None where SGD trains."""

    def flags(self) -> dict[str, str]:
        """Return versions and settings that change speed or numbers, as they are in this process."""

    def close(self) -> None:
        """Leave the group, in a process that goes on. The process of a launch ends instead."""


def interleaved(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Undo `_batches.shard`: sample i of part p becomes sample i * len(parts) + p."""
    whole = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    for index, part in enumerate(parts):
        whole[index :: len(parts)] = part
    return whole


class EngineModule(Protocol):
    """Describe the module of an engine, as `catalog.load_engine` returns it.

    A module may have other classes than `Engine`, with the same methods: `Workload.engine_class` names the one that a
    workload runs on. A module whose engine has the option `fit` has a class `Fit`, which trains with the framework's
    own loop and is a `launch.fit_window.FitLoop` too.
    """

    SUPPORT: Support
    Engine: type[Engine]

    @staticmethod
    def import_framework() -> None:
        """Import the framework and do nothing else: start no operation, thread pool or device context.

        A zygote does only this.
        """
