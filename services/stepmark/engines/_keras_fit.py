"""Train with Keras' own loop, `model.compile` and `model.fit`, in place of the written-out one.

A window is one call of `fit` with one epoch, over the batches that are already made, and a single step is a call over
one batch. Both run the same train function of Keras, so what parity and proof look at is what was timed.
"""

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from functools import reduce
from typing import TYPE_CHECKING, Any

from stepmark.engines import _fit_arguments, _keras_parts, _losses, _tensorflow_device
from stepmark.engines._keras_weights import KerasWeights
from stepmark.engines._protocol import PartName
from stepmark.engines._support import Refusal
from stepmark.workloads._batches import Batch
from stepmark.workloads._protocol import Workload

if TYPE_CHECKING:
    import jax
    import tensorflow as tf

STEPS_PER_EXECUTION = 16
"""What `compile` gets as `steps_per_execution` with the option of that name."""
WHOLE_STEPS = "fit makes whole steps alone, so no step runs without its exchange or its update"
OPTIONS: dict[str, str | None] = {"fit": None, "steps-per-execution": None}
REFUSALS = (
    Refusal(
        "steps-per-execution: it is a setting of fit, so give the candidate the option fit too",
        options=("steps-per-execution",),
        without_options=("fit",),
    ),
    Refusal(
        "fit: it is given batches that are made before; set data.source to synthetic",
        options=("fit",),
        sources=("host",),
    ),
    Refusal(
        "fit: Keras accumulates over several batches of fit (gradient_accumulation_steps), so its batch is no step",
        options=("fit",),
        accumulation=True,
    ),
    Refusal(
        "fit: it fails under MultiWorkerMirroredStrategy (keras-team/keras#20585)",
        forms=("multi-worker-mirrored",),
        options=("fit",),
    ),
    Refusal(
        "steps-per-execution: it fails under MirroredStrategy (TensorFlow 2.21 feeds its loop no value, on CPU cores)",
        forms=("mirrored",),
        options=("steps-per-execution",),
    ),
    Refusal(
        "fit: on torch it trains in one process (Keras 3.15); for DDP, Keras' guide has a written-out loop",
        forms=("ddp",),
        options=("fit",),
    ),
    *(
        Refusal(f"{name}: it is a setting of torch's optimisers, and fit needs Keras' own", all_options=("fit", name))
        for name in ("fused-optimizer", "foreach-optimizer")
    ),
    Refusal("cuda-graphs: fit calls torch.compile without a mode", all_options=("fit", "cuda-graphs")),
)


class KerasFit(KerasWeights):
    """Give an engine of Keras the loop of `fit`. The engine makes the model, the optimiser and the batches."""

    asynchronous: bool
    drain: Callable[[], None]
    _batches: list[Any]
    execution_steps = 1
    _logs: dict[str, Any] | None = None

    def _compile(self, workload: Workload, params: Any) -> None:
        """Compile the model that was just built, as its users do."""
        context = self._context
        self.execution_steps = STEPS_PER_EXECUTION if "steps-per-execution" in context.options else 1
        self._model.compile(
            self._optimizer,
            _losses.keras_mean(workload, workload.input(params), context.replicas),
            run_eagerly=context.execution == "eager",
            jit_compile=context.execution == "compiled",
            steps_per_execution=self.execution_steps,
        )

    def _data(self, first: int, steps: int) -> Any:
        """Return `steps` batches for `fit`, from batch `first` modulo their number on."""
        raise NotImplementedError

    def _wait(self, logs: dict[str, Any]) -> None:
        """Return when the step with these logs has ended, where `fit` would run ahead without bound."""

    def run_loop(self, first: int, steps: int, begun: Callable[[], None], ended: Callable[[], None]) -> None:
        """Make steps as `launch.fit_window.FitLoop` says."""

        def keep(logs: dict[str, Any]) -> None:
            self._logs = logs
            self._wait(logs)
            ended()

        callbacks = _fit_arguments.told_callbacks(self._model, steps, begun, keep)
        self._model.fit(self._data(first, steps), epochs=1, verbose=0, shuffle=False, callbacks=callbacks)

    def step(self, index: int) -> None:
        self.run_loop(index, 1, _nothing, _nothing)

    def synchronize(self) -> float:
        """Wait for the device, and return what `fit` calls the loss: the mean over the steps of its last call."""
        from keras import ops

        if self.asynchronous:
            self.drain()
        return float("nan") if self._logs is None else float(ops.convert_to_numpy(self._logs["loss"]))

    def step_without_reduce(self, index: int) -> None:
        raise NotImplementedError(WHOLE_STEPS)

    def parts(self) -> dict[PartName, Callable[[int], None]]:
        found: dict[PartName, Callable[[int], None]] = super().parts()  # type: ignore[misc]
        return {name: call for name, call in found.items() if name == "matmul"}

    def _compiled_function(self, name: str) -> Any:
        """Return a compiled function that Keras' train function calls, by Keras' own name of it; None before it is."""
        train_function = self._model.train_function
        return None if train_function is None else inspect.getclosurevars(train_function).nonlocals[name]

    def flags(self) -> dict[str, str]:
        found: dict[str, str] = super().flags()  # type: ignore[misc]
        return found | {"loop": "fit", "steps_per_execution": str(self._model.steps_per_execution)}


class TensorFlowFit(KerasFit):
    """Fit on TensorFlow, over a tf.data pipeline that holds the batches."""

    _strategy: "tf.distribute.Strategy"
    _replicated: bool
    _parts: Callable[[int], Any]

    def build(self, workload: Workload, params: Any, batches: list[Batch], learning_rate: float) -> None:
        import tensorflow as tf

        super().build(workload, params, batches, learning_rate)  # type: ignore[misc]
        with self._strategy.scope() if self._replicated else nullcontext():
            self._compile(workload, params)
        with tf.device("CPU:0"):
            self._elements = [tf.data.Dataset.from_tensors(self._whole(index)) for index in range(len(batches))]

    def _whole(self, index: int) -> tuple[Any, ...]:
        """Return a batch with the samples of all replicas, each replica's after another's, as fit cuts it again."""
        import tensorflow as tf

        [batch] = self._parts(index)
        if not self._replicated:
            return tuple(batch)
        return tuple(tf.concat(self._strategy.experimental_local_results(part), 0) for part in batch)

    def _data(self, first: int, steps: int) -> Any:
        import tensorflow as tf

        count = len(self._elements)
        in_turn = [self._elements[(first + index) % count] for index in range(count)]
        data = reduce(lambda before, after: before.concatenate(after), in_turn)
        return data.repeat().take(steps).prefetch(tf.data.AUTOTUNE)

    def drain(self) -> None:
        if self.asynchronous:
            _tensorflow_device.drain(self._context)

    def compilations(self) -> int | None:
        if self._context.execution == "eager":
            return None
        function = self._compiled_function("multi_step_on_iterator")
        return 0 if function is None else int(function.experimental_get_tracing_count())

    def flags(self) -> dict[str, str]:
        return super().flags() | {"input": "batches in memory, in tf.data, prefetched"}


class _FitOverPyDataset(KerasFit):
    """Fit over a PyDataset of batches in the backend's own arrays, or of the host's where the backend spreads them."""

    def build(self, workload: Workload, params: Any, batches: list[Batch], learning_rate: float) -> None:
        super().build(workload, params, batches, learning_rate)  # type: ignore[misc]
        self._compile(workload, params)
        self._fitted = [batch for [batch] in self._batches]
        if self._from_host():
            self._fitted = [_keras_parts.layout(self._context, workload, params, batch) for batch in batches]

    def _from_host(self) -> bool:
        """Return whether fit is given the host's arrays."""
        return False

    def _data(self, first: int, steps: int) -> Any:
        return _fit_arguments.batches_in_turn(self._fitted, first, steps)

    def flags(self) -> dict[str, str]:
        kept = "arrays of the host" if self._from_host() else "resident"
        return super().flags() | {"input": f"{kept}, in a PyDataset"}


class TorchFit(_FitOverPyDataset):
    """Fit on torch, with Keras' optimiser, which `fit` needs."""

    restart = KerasWeights.restart
    first_moments = KerasWeights.first_moments
    _device: Any
    _keras: Any

    def _compile(self, workload: Workload, params: Any) -> None:
        rate = self._optimizer.param_groups[0]["lr"]
        self._model, self._optimizer = self._keras, _keras_parts.optimizer(self._context, rate)
        self._optimizer.build(self._model.trainable_variables)
        super()._compile(workload, params)

    def mark_window(self, steps: int) -> None:
        self._device.begin_window()

    def device_step_nanoseconds(self) -> list[int] | None:
        return None


class JaxFit(_FitOverPyDataset):
    """Fit on JAX, under data-parallel with keras.distribution. Keras' variables hold the state between two calls."""

    _read_state = KerasWeights._read_state
    _write_state = KerasWeights._write_state
    _copied_state: Callable[[], Any]

    @property
    def _state(self) -> Any:
        """Return a copy of the state, for what runs beside `fit`."""
        return self._copied_state()

    def build(self, workload: Workload, params: Any, batches: list[Batch], learning_rate: float) -> None:
        import keras

        if self._context.distributed:  # Each process has its own samples already.
            keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
        super().build(workload, params, batches, learning_rate)

    def _place(self, batch: Batch) -> "tuple[jax.Array, jax.Array]":
        """Return arrays that are bound to no device, as Keras' variables are: a mixture would be compiled twice."""
        import jax

        if self._context.distributed:
            return super()._place(batch)  # type: ignore[misc]
        inputs, labels = (jax.device_put(part.copy()) for part in batch)
        return inputs, labels

    def _from_host(self) -> bool:
        return self._context.distributed

    def _wait(self, logs: dict[str, Any]) -> None:
        import jax

        if not self.asynchronous:
            jax.block_until_ready(logs)

    def drain(self) -> None:
        import jax

        jax.block_until_ready(self._logs)

    def compilations(self) -> int | None:
        if self._context.execution == "eager":
            return None
        function = self._compiled_function("step_function")
        return 0 if function is None else int(function._cache_size())


def _nothing() -> None:
    return None
