"""Train Keras 3 on JAX, `single` or `data-parallel` over processes, with the stateless loop of Keras' guide.

Each process has one device. Under data-parallel each holds its share of a global array, and XLA puts the all-reduce
into the compiled step: gloo's on CPU cores, NCCL's on GPUs. So BatchNorm sees the global batch there, as SyncBatchNorm
does; in PyTorch and TensorFlow it sees each worker's own.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stepmark.engines import (
    _departures,
    _jax_collectives,
    _jax_device,
    _jax_support,
    _keras_fit,
    _keras_input,
    _keras_parts,
    _losses,
)
from stepmark.engines._device import STEPS_AHEAD, Memory
from stepmark.engines._feed import Feed, Source
from stepmark.engines._jax_inspection import JaxInspection
from stepmark.engines._keras_weights import KerasWeights
from stepmark.engines._protocol import PartName, RankContext, interleaved
from stepmark.engines._support import OPTIMIZERS, Strategy, Support
from stepmark.workloads._batches import Batch, micro_batches
from stepmark.workloads._protocol import Workload

if TYPE_CHECKING:
    import jax

SUPPORT = Support(
    framework="keras",
    strategies={"single": Strategy(max_workers=1), "data-parallel": Strategy()},
    executions={
        "eager": None,
        "graph": "jax.jit always compiles with XLA what it traces; use compiled",
        "compiled": None,
    },
    default_execution="compiled",
    precisions=_jax_support.PRECISIONS,
    optimizers=OPTIMIZERS,
    options=_jax_support.OPTIONS,
    departures=(*_departures.KERAS, *_departures.KERAS_ADAMW, *_departures.JAX),
    refusals=_jax_support.REFUSALS,
    requires=("jax", "keras"),
    extra="jax",
    environment={"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "2", "GRPC_VERBOSITY": "ERROR"},
    device_environment={"cpu": {"JAX_PLATFORMS": "cpu"}, "gpu": {"JAX_PLATFORMS": "cuda,cpu"}},
    no_gpu=None,
)

# The lists hold the trainable variables, the model's other variables and the optimiser's variables.
State = tuple[list[Any], list[Any], list[Any]]


def import_framework() -> None:
    with _keras_parts.hidden("sklearn", "pandas", "torch", "tensorflow"):
        import jax  # noqa: F401
        import keras  # noqa: F401


class Engine(JaxInspection, KerasWeights):
    """Train on one rank. The loss is a mean over the global batch, and so is its gradient."""

    def __init__(self, context: RankContext) -> None:
        self._context = context
        self.asynchronous = context.device.kind == "gpu"
        self.feed: Feed | None = None
        self._ahead = _jax_device.RunAhead(STEPS_AHEAD if self.asynchronous else 0)
        self._tf32_probe = ""
        self._loss: jax.Array | None = None
        self._jitted: list[Any] = []

    def join_group(self) -> None:
        import jax

        matmul = "tensorfloat32" if self._context.precision == "tf32" else "highest"
        jax.config.update("jax_default_matmul_precision", matmul)
        if self._context.distributed:
            _jax_device.join(self._context)
        if self.asynchronous:
            _jax_device.check_gpu(SUPPORT, self._context)
            self._tf32_probe = _keras_parts.probe_tf32()

    def build(self, workload: Workload, params: Any, batches: list[Batch], learning_rate: float) -> None:
        import jax
        from jax.sharding import Mesh, NamedSharding, PartitionSpec

        mesh = Mesh(np.array(jax.devices()), ("workers",))
        self._split, self._whole = NamedSharding(mesh, PartitionSpec("workers")), NamedSharding(mesh, PartitionSpec())
        self._jitted, self._workload = [], workload
        self._model = _keras_parts.make_model(self._context, workload, params)
        self._optimizer = _keras_parts.optimizer(self._context, learning_rate)
        self._optimizer.build(self._model.trainable_variables)
        spec = workload.input(params)
        self._summed_loss = _losses.keras_sum(workload, spec)
        # Labels are global arrays, so the parts of a step are its micro-batches only.
        self._labels_of = _losses.keras_labels(spec, batches, self._context.world_size, self._context.accumulate)
        self._read_state()
        host = [_keras_parts.layout(self._context, workload, params, batch) for batch in batches]
        parts = micro_batches(host, self._context.accumulate)
        if self._context.feed_each_step:
            source = Source(parts, self._context.transform, workload.input(params).kind == "image")
            self.feed = _keras_input.converted(self._context, source, "jax.device_put", self._place)
        else:
            self._batches = [[self._place(part) for part in batch] for batch in parts]
        self._step = self._jit(self._train_step, donate_argnums=0)
        self._logits = self._jit(self._logits_of)
        self._alone: State | None = None
        self._product: jax.Array | None = None

    def _read_state(self) -> None:
        self._state: State = self._copied_state()

    def _copied_state(self) -> State:
        """Return Keras' variables as arrays on all devices. They are copies because each step donates its state."""
        import jax

        groups = (self._model.trainable_variables, self._model.non_trainable_variables, self._optimizer.variables)
        values = [[np.array(variable.value) for variable in group] for group in groups]
        return jax.device_put(tuple(values), self._whole)

    def _write_state(self) -> None:
        groups = (self._model.trainable_variables, self._model.non_trainable_variables, self._optimizer.variables)
        for group, values in zip(groups, self._state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(np.array(value.addressable_data(0)))

    def _place(self, batch: Batch) -> tuple["jax.Array", "jax.Array"]:
        """Return global arrays, of which this process holds its own samples."""
        import jax

        inputs, labels = (jax.make_array_from_process_local_data(self._split, part.copy()) for part in batch)
        return inputs, labels

    def _jit(self, body: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        import jax

        if self._context.execution == "eager":
            return body
        jitted = jax.jit(body, **options)
        self._jitted.append(jitted)
        return jitted

    def _scaled_loss(self, trained: Any, others: Any, optimizer_state: Any, inputs: Any, labels: Any) -> Any:
        """Return the scaled loss for the gradient, and beside it the plain loss and the model's other variables."""
        import keras

        logits, others = self._model.stateless_call(trained, others, inputs, training=True)
        loss = self._summed_loss(labels, logits) / self._labels_of(labels)
        mapping = list(zip(self._optimizer.variables, optimizer_state, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return self._optimizer.scale_loss(loss), (loss, others)

    def _train_step(self, state: State, batches: list[Any]) -> tuple[State, "jax.Array"]:
        loss, gradients, others = self._gradients_of(state, batches)
        trained, optimizer_state = self._optimizer.stateless_apply(state[2], gradients, state[0])
        return (trained, others, optimizer_state), loss

    def _gradients_of(self, state: State, batches: list[Any]) -> tuple["jax.Array", Any, Any]:
        """Return the loss, the gradients, and the model's other variables."""
        import jax

        trained, others, optimizer_state = state
        gradient_of = jax.value_and_grad(self._scaled_loss, has_aux=True)
        loss: Any = 0.0
        gradients = None
        for batch in batches:
            (_, (part, others)), added = gradient_of(trained, others, optimizer_state, *batch)
            loss = loss + part
            gradients = added if gradients is None else jax.tree.map(lambda a, b: a + b, gradients, added)
        return loss, gradients, others

    def _logits_of(self, state: State, inputs: Any) -> Any:
        return self._model.stateless_call(state[0], state[1], inputs, training=True)[0]

    def _parts(self, index: int) -> Any:
        return self._batches[index % len(self._batches)] if self.feed is None else list(self.feed.take(index))

    def step(self, index: int) -> None:
        """Make one step, and on CPU cores wait for its end.

        JAX would run ahead without limit. That gains nothing where the cores are the device, and the stamps would then
        show when steps were begun. On a GPU a few steps may be unfinished (`_jax_device.RunAhead`).
        """
        self._state, self._loss = self._step(self._state, self._parts(index))
        self._ahead.began(self._loss)

    def step_without_reduce(self, index: int) -> None:
        """Make a step on this process's own device alone, with a copy of the weights; with one worker, the step."""
        if self._context.world_size == 1:
            self.step(index)
        else:
            self._alone, self._loss = self._step(self._own_state(), self._own(self._parts(index)))

    def _own_state(self) -> State:
        """Return the state of the step without exchange."""
        if self._context.world_size == 1:
            return self._state
        if self._alone is None:
            self._alone = self._own(self._state, copied=True)
        return self._alone

    def _own(self, arrays: Any, copied: bool = False) -> Any:
        """Return the part of global arrays that lies on this process's device."""
        import jax

        if self._context.world_size == 1:
            return arrays
        own = jax.tree.map(lambda array: array.addressable_data(0), arrays)
        return jax.tree.map(lambda array: array.copy(), own) if copied else own

    def _without_update(self) -> Callable[[int], None]:
        """Return the program of the step without exchange, ended before the update.

        Its gradients stay on the device.
        """
        import jax

        gradients_of = self._jit(self._gradients_of)

        def step(index: int) -> None:
            self._loss = jax.block_until_ready(gradients_of(self._own_state(), self._own(self._parts(index))))[0]

        return step

    def parts(self) -> dict[PartName, Callable[[int], None]]:
        import jax

        product = _keras_parts.matmul(self._context)  # CPU cores wait for it at once, a GPU in `drain`.
        found: dict[PartName, Callable[[int], None]] = {
            "step_without_update": self._without_update(),
            "matmul": lambda _: self._begun(product()),
        }
        if self.feed is not None:
            found["input"] = lambda index: jax.block_until_ready(self._parts(index))
        return found

    def _begun(self, product: "jax.Array") -> None:
        self._product = product if self.asynchronous else product.block_until_ready()

    def forward(self, index: int) -> NDArray[Any]:
        parts = [self._logits(self._state, inputs).addressable_data(0) for inputs, _ in self._parts(index)]
        return interleaved([np.array(part).astype(np.float64) for part in parts])

    def synchronize(self) -> float:
        if self.asynchronous:
            self.drain()
        return float(self._loss) if self._loss is not None else float("nan")

    def drain(self) -> None:
        import jax

        jax.block_until_ready((self._state, self._alone, self._loss, self._product))
        self._ahead.drained()

    def mark_window(self, steps: int) -> None:
        return None

    def device_step_nanoseconds(self) -> list[int] | None:
        return None

    def device_memory(self) -> Memory | None:
        return _jax_device.memory() if self.asynchronous else None

    def flags(self) -> dict[str, str]:
        import jax

        flags = _keras_parts.flags(self._context) | {
            "jax": jax.__version__,
            "threads": str(self._context.threads),
            "transport": _jax_device.transport(self._context),
            **({"input": "resident"} if self.feed is None else self.feed.flags(_jax_device.inputs)),
            "tf32": "on" if self._context.precision == "tf32" else "off",
            "matmul_precision": str(jax.config.values["jax_default_matmul_precision"]),
        }
        return flags | {"tf32_probe": self._tf32_probe, **_jax_device.gpu_flags()} if self.asynchronous else flags

    def close(self) -> None:
        import jax

        if self._context.distributed:
            jax.distributed.shutdown()


class Fit(_keras_fit.JaxFit, Engine):  # type: ignore[override]
    """Train with Keras' own loop."""


class Collectives(_jax_collectives.JaxCollectives, Engine):
    """Exchange messages between ranks, in one compiled program."""
