"""Train Keras 3 on TensorFlow, `single`, `mirrored` or `multi-worker-mirrored`, with a custom training loop.

`model.fit` fails under MultiWorkerMirroredStrategy (keras-team/keras#20585) and is an option elsewhere. The variant
`explicit` (default) of multi-worker-mirrored has plain local variables and uses the strategy only to exchange data. The
variant `ring` does the same on GPUs without NCCL. The variant `canonical`, and `mirrored` (all replicas in one
process), follow TensorFlow's guides: variables are made in `strategy.scope()` (`_tensorflow_steps.py`).
"""

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stepmark.engines import (
    _departures,
    _keras_fit,
    _keras_layers,
    _keras_parts,
    _losses,
    _tensorflow_collectives,
    _tensorflow_device,
    _tensorflow_input,
    _tensorflow_support,
)
from stepmark.engines._device import Memory
from stepmark.engines._feed import Feed
from stepmark.engines._keras_weights import KerasWeights
from stepmark.engines._protocol import Operations, PartName, RankContext, Recompilations, interleaved
from stepmark.engines._support import OPTIMIZERS, Strategy, Support
from stepmark.engines._tensorflow_steps import TensorFlowSteps
from stepmark.engines._tensorflow_strategies import mirrored, multi_worker, transport
from stepmark.workloads._batches import Batch, micro_batches
from stepmark.workloads._protocol import Workload

if TYPE_CHECKING:
    import tensorflow as tf

SUPPORT = Support(
    framework="keras",
    strategies={
        "single": Strategy(max_workers=1),
        "mirrored": Strategy(one_process=True),
        "multi-worker-mirrored": Strategy(variants=("explicit", "canonical", "ring")),
    },
    executions={"eager": None, "graph": None, "compiled": None},
    default_execution="graph",
    precisions={"float32": None, "tf32": None, "bfloat16": None, "float16": None, "float64": None},
    optimizers=OPTIMIZERS,
    options={**_tensorflow_support.OPTIONS, **_keras_fit.OPTIONS},
    departures=(*_departures.KERAS, *_departures.KERAS_ADAMW, *_departures.KERAS_TENSORFLOW),
    refusals=(*_tensorflow_support.REFUSALS, *_keras_fit.REFUSALS),
    requires=("tensorflow", "keras"),
    extra="keras",
    environment={"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2", "GRPC_VERBOSITY": "ERROR"},
    no_gpu=None,
    machine_code=((6, 0), (7, 0), (8, 0), (8, 9)),  # of the wheels of 2.21 (tf.sysconfig.get_build_info)
)


def import_framework() -> None:
    with _keras_parts.hidden("sklearn", "pandas", "torch", "jax"):
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


class Engine(TensorFlowSteps, KerasWeights):
    """Train on one rank.

    Gradients are summed over ranks and divided by the number of labels in the global batch, so each is a mean over it.
    """

    _support = SUPPORT

    def __init__(self, context: RankContext) -> None:
        super().__init__(context)
        self.asynchronous = context.device.kind == "gpu"
        self._loss: tf.Tensor | None = None
        self.feed: Feed | None = None
        self._tf32_probe = ""

    def join_group(self) -> None:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(self._context.threads)
        tf.config.threading.set_inter_op_parallelism_threads(self._context.threads)
        tf.config.experimental.enable_tensor_float_32_execution(self._context.precision == "tf32")
        _tensorflow_device.take_devices(self._support, self._context)
        if self._context.strategy == "mirrored":
            self._strategy = mirrored(self._context)
        elif self._context.distributed:
            self._strategy = multi_worker(self._context)
        if self.asynchronous:
            self._tf32_probe = _keras_parts.probe_tf32()

    def build(self, workload: Workload, params: Any, batches: list[Batch], learning_rate: float) -> None:
        self._workload = workload
        with self._strategy.scope() if self._replicated else nullcontext():
            self._model = _keras_parts.make_model(self._context, workload, params)
            self._optimizer = _keras_parts.optimizer(self._context, learning_rate)
            self._optimizer.build(self._model.trainable_variables)
        spec, context = workload.input(params), self._context
        self._summed_loss = _losses.keras_sum(workload, spec)
        parts = context.world_size * context.replicas * context.accumulate
        self._labels_of = _losses.keras_labels(spec, batches, context.world_size, parts)
        host = [_keras_parts.layout(self._context, workload, params, batch) for batch in batches]
        micro = micro_batches(host, self._context.accumulate)
        if self._context.feed_each_step:
            images, strategy = workload.input(params).kind == "image", self._strategy if self._replicated else None
            self.feed = _tensorflow_input.host_feed(self._context, micro, images, self._place, strategy)
        else:
            self._batches = [[self._place(part) for part in batch] for batch in micro]
        self._make_functions()
        if self.asynchronous:
            _tensorflow_device.check_placement(self._placed())

    def _place(self, batch: Batch) -> Any:
        """Return the batch as tensors; under `mirrored`, as each replica's share of the samples."""
        import tensorflow as tf

        def place(samples: Batch, part: int, replica: int) -> "tf.Tensor":
            with _tensorflow_device.placed_on(self._context, replica):
                return tf.convert_to_tensor(samples[part])

        if self._context.replicas == 1:
            return tuple(place(batch, part, 0) for part in range(2))
        [shares] = micro_batches([batch], self._context.replicas)
        spread = self._strategy.experimental_distribute_values_from_function
        return tuple(
            spread(lambda c, part=part: place(shares[c.replica_id_in_sync_group], part, c.replica_id_in_sync_group))
            for part in range(2)
        )

    def _placed(self) -> Iterator[tuple[str, str]]:
        """Yield, for every array of floats that was made and every batch, what it is and where it is.

        Counters of steps are integers, which TensorFlow may keep on the host.
        """
        local = self._strategy.experimental_local_results if self._replicated else lambda value: (value,)
        for variable in (*self._model.variables, *self._optimizer.variables):
            held = self._held(variable)
            for own in local(held) if held.dtype.is_floating else ():
                yield variable.path, own.device
        count = len(self._batches) if self.feed is None else self.feed.batches
        for parts in [self._parts(index) for index in range(count)]:
            for tensor in (own for part in parts for value in part for own in local(value)):
                yield "a batch", tensor.device

    def _held(self, variable: Any) -> Any:
        """Return TensorFlow's variable, which a variable of Keras 3 holds."""
        return variable.value

    def step(self, index: int) -> None:
        self._loss = self._step(*self._parts(index))

    def _parts(self, index: int) -> Any:
        """Return the micro-batches of batch `index` modulo their number."""
        return self._batches[index % len(self._batches)] if self.feed is None else list(self.feed.take(index))

    def step_without_reduce(self, index: int) -> None:
        if self._replicated:
            raise NotImplementedError(
                "mirrored variables are updated on all replicas, so no step runs without exchange"
            )
        if self._step_alone is None:  # A single worker exchanges nothing.
            self._step_alone = self._make_step(reduce=False) if self._context.world_size > 1 else self._step
        self._loss = self._step_alone(*self._parts(index))

    def parts(self) -> dict[PartName, Callable[[int], None]]:
        product = _keras_parts.matmul(self._context)
        found: dict[PartName, Callable[[int], None]] = {"matmul": lambda _: product()}
        if self.feed is not None:
            found["input"] = self.feed.discard
        if not self._replicated:
            found["step_without_update"] = self._without_update()
            if self._context.distributed:
                found["all_reduce"] = self._exchange_alone()
        return found

    def _inputs(self, batch: Any) -> NDArray[Any]:
        """Return the inputs of a batch as NumPy; where several workers are in this process, those of the first."""
        return np.asarray(batch[0].values[0] if hasattr(batch[0], "values") else batch[0])

    def _without_update(self) -> Callable[[int], None]:
        gradients_only = self._make_gradients_only()

        def step(index: int) -> None:
            self._loss, _ = gradients_only(*self._parts(index))

        return step

    def forward(self, index: int) -> NDArray[Any]:
        return interleaved([self._forward_part(*part) for part in self._parts(index)])

    def _forward_part(self, inputs: Any, _: Any) -> NDArray[Any]:
        if not self._replicated:
            return np.asarray(self._logits(inputs)).astype(np.float64)
        results = self._strategy.experimental_local_results(self._strategy.run(self._logits, args=(inputs,)))
        return interleaved([np.asarray(result).astype(np.float64) for result in results])

    def layer_outputs(self, index: int) -> list[tuple[str, NDArray[Any]]]:
        if self._replicated:
            return []
        forwards = [partial(self._logits_of, inputs) for inputs, _ in self._parts(index)]
        return _keras_layers.recorded(self._model, self._workload, forwards)

    def operations(self) -> Operations | None:
        return None  # TensorFlow gives its users no count of XLA's.

    def synchronize(self) -> float:
        """Return the mean loss over this rank's own samples, as torch's engine does."""
        if self.asynchronous:
            _tensorflow_device.drain(self._context)  # The loss is there before the update has ended.
        return float(self._loss.numpy()) * self._context.world_size if self._loss is not None else float("nan")

    def drain(self) -> None:
        self.synchronize()

    def mark_window(self, steps: int) -> None:
        if self.asynchronous:
            _tensorflow_device.reset_memory(self._context)

    def device_step_nanoseconds(self) -> list[int] | None:
        return None

    def device_memory(self) -> Memory | None:
        return _tensorflow_device.memory(self._context) if self.asynchronous else None

    def compilations(self) -> int | None:
        if not self._functions:
            return None
        return sum(function.experimental_get_tracing_count() for function in self._functions)

    def recompilations(self) -> Recompilations | None:
        if not self._functions:
            return None
        step: Any = self._step
        return Recompilations(recompiles=max(step.experimental_get_tracing_count() - 1, 0))

    def flags(self) -> dict[str, str]:
        import tensorflow as tf

        flags = _keras_parts.flags(self._context) | {
            "tensorflow": tf.__version__,
            "threads": str(tf.config.threading.get_intra_op_parallelism_threads()),
            "transport": transport(self._context),
            **({"input": "resident"} if self.feed is None else self.feed.flags(self._inputs)),
            "tf32": "on" if tf.config.experimental.tensor_float_32_execution_enabled() else "off",
            "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        }
        if not self.asynchronous:
            return flags
        return flags | {"tf32_probe": self._tf32_probe, **_tensorflow_device.gpu_flags(self._model)}

    def close(self) -> None:
        return None


class Fit(_keras_fit.TensorFlowFit, Engine):
    """Train with Keras' own loop."""


class Collectives(_tensorflow_collectives.TensorFlowCollectives, Engine):
    """Exchange messages between ranks, with the strategy that trains."""
