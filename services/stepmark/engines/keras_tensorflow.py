"""Train Keras 3 on TensorFlow, `single`, `mirrored` or `multi-worker-mirrored`, with a custom training loop.

`model.fit` does not work under MultiWorkerMirroredStrategy (keras-team/keras#20585), so the loop is written out. The
variant `explicit` (default) of multi-worker-mirrored has plain local variables and uses the strategy only to exchange
data, in three phases: forward and backward, all-reduce, update. The variant `canonical`, and `mirrored` (all replicas
in one process), follow TensorFlow's guides: variables are made in `strategy.scope()`, and the whole step runs in
`strategy.run`. XLA compiles forward with backward, and the update where it is a phase of its own; its CPU backend has
no collectives.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stepmark.engines import _departures, _keras_parts
from stepmark.engines._device import Memory
from stepmark.engines._protocol import PartName, RankContext, Weights, interleaved
from stepmark.engines._support import NVIDIA_MODES, Refusal, Strategy, Support
from stepmark.engines._tensorflow_strategies import mirrored, multi_worker
from stepmark.workloads._batches import Batch, micro_batches
from stepmark.workloads._protocol import Workload

if TYPE_CHECKING:
    import tensorflow as tf

SUPPORT = Support(
    framework="keras",
    strategies={
        "single": Strategy(max_workers=1),
        "mirrored": Strategy(one_process=True),
        "multi-worker-mirrored": Strategy(variants=("explicit", "canonical")),
    },
    executions={"eager": None, "graph": None, "compiled": None},
    default_execution="graph",
    precisions={"float32": None, "tf32": None, "bfloat16": None, "float16": None, "float64": None},
    options={
        "channels-last": None,  # Keras' own layout
        "fused-optimizer": "TensorFlow has no fused optimizer; XLA fuses the update at the level compiled",
        "cudnn-autotune": None,
    },
    departures=(*_departures.KERAS, *_departures.TENSORFLOW),
    refusals=(
        *NVIDIA_MODES,
        Refusal(
            "Keras clips each replica's gradient before the sum, which is another algorithm (weights off by 1e-3 after "
            "5 steps); use multi-worker-mirrored with the variant explicit, which clips after the sum",
            forms=("mirrored", "canonical"),
            clipping=True,
        ),
        Refusal("XLA cannot reach the variables of another logical CPU", forms=("mirrored",), executions=("compiled",)),
    ),
    requires=("tensorflow", "keras"),
    extra="keras",
    environment={"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2", "GRPC_VERBOSITY": "ERROR"},
)


def import_framework() -> None:
    with _keras_parts.hidden("sklearn", "pandas", "torch", "jax"):
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


class Engine:
    """Train with SGD on one rank.

    Gradients are summed over ranks and divided by the number of labels in the global batch, so each is a mean over it.
    """

    asynchronous = False

    def __init__(self, context: RankContext) -> None:
        self._context = context
        self._replicated = context.strategy == "mirrored" or context.variant == "canonical"
        self._loss: tf.Tensor | None = None
        self._functions: list[Any] = []

    def join_group(self) -> None:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(self._context.threads)
        tf.config.threading.set_inter_op_parallelism_threads(self._context.threads)
        tf.config.experimental.enable_tensor_float_32_execution(self._context.precision == "tf32")
        if self._context.strategy == "mirrored":
            self._strategy = mirrored(self._context.replicas)
        elif self._context.distributed:
            self._strategy = multi_worker(self._context)

    def build(self, workload: Workload, params: Any, batches: list[Batch], learning_rate: float) -> None:
        self._functions = []
        with self._strategy.scope() if self._replicated else nullcontext():
            self._model = _keras_parts.make_model(self._context, workload, params)
            self._optimizer = _keras_parts.optimizer(self._context, learning_rate)
            self._optimizer.build(self._model.trainable_variables)
        self._summed_loss = _keras_parts.summed_loss()
        self._labels = float(batches[0][1].size * self._context.world_size)
        host = [_keras_parts.layout(self._context, workload, params, batch) for batch in batches]
        parts = micro_batches(host, self._context.accumulate)
        feed = self._context.feed_each_step
        self._batches: list[Any] = parts if feed else [[self._place(part) for part in batch] for batch in parts]
        self._gradients = self._function(self._forward_backward, xla=True)
        self._update = self._function(self._apply, xla=True)
        self._step = self._make_step(reduce=self._context.distributed)
        self._step_alone: Callable[..., Any] | None = None
        self._logits = self._function(self._logits_of, xla=True)

    def _place(self, batch: Batch) -> Any:
        """Return the batch as tensors; under `mirrored`, as each replica's share of the samples."""
        import tensorflow as tf

        if self._context.replicas == 1:
            return tuple(tf.convert_to_tensor(part) for part in batch)
        [shares] = micro_batches([batch], self._context.replicas)
        spread = self._strategy.experimental_distribute_values_from_function
        return tuple(
            spread(lambda c, part=part: tf.convert_to_tensor(shares[c.replica_id_in_sync_group][part]))
            for part in range(2)
        )

    def _function(self, body: Callable[..., Any], xla: bool) -> Callable[..., Any]:
        """Return the body at this execution level. `xla` is true for a body that XLA can compile."""
        import tensorflow as tf

        if self._context.execution == "eager":
            return body
        compiled = tf.function(body, jit_compile=xla and self._context.execution == "compiled", autograph=False)
        self._functions.append(compiled)
        return compiled

    def _logits_of(self, inputs: "tf.Tensor") -> "tf.Tensor":
        return self._model(inputs, training=True)

    def _forward_backward(self, inputs: "tf.Tensor", labels: "tf.Tensor") -> tuple["tf.Tensor", list["tf.Tensor"]]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = self._summed_loss(labels, self._model(inputs, training=True)) / self._labels
            scaled = self._optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self._model.trainable_variables)
        # Gradients are dense, as DDP's are. An embedding's IndexedSlices would be exchanged in another way.
        return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]

    def _make_step(self, reduce: bool) -> Callable[..., Any]:
        return self._replicated_step() if self._replicated else self._explicit_step(reduce)

    def _explicit_step(self, reduce: bool) -> Callable[..., Any]:
        def step(*batches: tuple["tf.Tensor", "tf.Tensor"]) -> "tf.Tensor":
            loss, gradients = _summed(self._gradients, batches)
            self._update(*(self._all_reduced(gradients) if reduce else gradients))
            return loss

        return self._function(step, xla=False)

    def _all_reduced(self, gradients: list["tf.Tensor"]) -> Any:
        import tensorflow as tf

        def all_reduce(*gradients: "tf.Tensor") -> Any:
            context = tf.distribute.get_replica_context()
            # Without the identity TensorFlow fails with "destinations can not be empty".
            return context.all_reduce(tf.distribute.ReduceOp.SUM, [tf.identity(gradient) for gradient in gradients])

        return self._strategy.run(all_reduce, args=tuple(gradients))

    def _apply(self, *gradients: "tf.Tensor") -> None:
        self._optimizer.apply_gradients(zip(gradients, self._model.trainable_variables, strict=True))

    def _replicated_step(self) -> Callable[..., Any]:
        import tensorflow as tf

        def replica_step(*batches: tuple["tf.Tensor", "tf.Tensor"]) -> "tf.Tensor":
            loss, gradients = _summed(self._gradients, batches)
            self._apply(*gradients)  # Keras first sums them over the replicas.
            return loss

        def step(*batches: tuple[Any, Any]) -> "tf.Tensor":
            losses = self._strategy.run(replica_step, args=batches)
            return tf.add_n(self._strategy.experimental_local_results(losses))

        return self._function(step, xla=False)

    def step(self, index: int) -> None:
        self._loss = self._step(*self._parts(index))

    def _parts(self, index: int) -> Any:
        parts = self._batches[index % len(self._batches)]
        if not self._context.feed_each_step or self._context.replicas == 1:
            return parts
        return [self._place(part) for part in parts]

    def step_without_reduce(self, index: int) -> None:
        if self._replicated:
            raise NotImplementedError(
                "mirrored variables are updated on all replicas, so no step runs without exchange"
            )
        if self._step_alone is None:
            self._step_alone = self._make_step(reduce=False)
        self._loss = self._step_alone(*self._parts(index))

    def parts(self) -> dict[PartName, Callable[[int], None]]:
        product = _keras_parts.matmul(self._context)
        found: dict[PartName, Callable[[int], None]] = {"matmul": lambda _: product()}
        if self._context.feed_each_step:
            found["input"] = self._place_all
        if not self._replicated:
            found["step_without_update"] = self._without_update()
            if self._context.distributed:
                found["all_reduce"] = self._exchange_alone()
        return found

    def _place_all(self, index: int) -> None:
        for batch in self._batches[index % len(self._batches)]:
            self._place(batch)

    def _without_update(self) -> Callable[[int], None]:
        """Return the explicit step without exchange and update, in one function like that step.

        Its gradients are computed, and do not leave the function.
        """
        import tensorflow as tf

        def gradients_only(*batches: tuple["tf.Tensor", "tf.Tensor"]) -> "tf.Tensor":
            loss, gradients = _summed(self._gradients, batches)
            # This operation takes all gradients and looks at none. Without it TensorFlow would drop what nothing reads,
            # the backward pass included: control dependencies are lost when the call that they come from is inlined.
            tf.raw_ops.Assert(condition=tf.logical_not(loss < 0), data=gradients)
            return loss

        compiled = self._function(gradients_only, xla=False)

        def step(index: int) -> None:
            self._loss = compiled(*self._parts(index))

        return step

    def _exchange_alone(self) -> Callable[[int], None]:
        import tensorflow as tf

        zeros = [tf.zeros(v.shape, v.dtype) for v in self._model.trainable_variables]
        exchange = self._function(self._all_reduced, xla=False)
        return lambda _: exchange(zeros)

    def forward(self, index: int) -> NDArray[Any]:
        return interleaved([self._forward_part(*part) for part in self._parts(index)])

    def _forward_part(self, inputs: Any, _: Any) -> NDArray[Any]:
        if not self._replicated:
            return np.asarray(self._logits(inputs)).astype(np.float64)
        results = self._strategy.experimental_local_results(self._strategy.run(self._logits, args=(inputs,)))
        return interleaved([np.asarray(result).astype(np.float64) for result in results])

    def synchronize(self) -> float:
        """Return the mean loss over this rank's own samples, as torch's engine does."""
        return float(self._loss.numpy()) * self._context.world_size if self._loss is not None else float("nan")

    def drain(self) -> None:
        self.synchronize()

    def mark_window(self, steps: int) -> None:
        return None

    def device_step_nanoseconds(self) -> list[int] | None:
        return None

    def device_memory(self) -> Memory | None:
        return None

    def compilations(self) -> int | None:
        if not self._functions:
            return None
        return sum(function.experimental_get_tracing_count() for function in self._functions)

    def weights(self) -> Weights:
        return _keras_parts.weights(self._model.trainable_variables)

    def load_weights(self, weights: Weights) -> None:
        _keras_parts.load_weights(self._model.trainable_variables, weights)

    def restart(self, weights: Weights, learning_rate: float) -> None:
        self.load_weights(weights)
        _keras_parts.restart(self._optimizer, learning_rate)

    def flags(self) -> dict[str, str]:
        import tensorflow as tf

        return _keras_parts.flags(self._context) | {
            "tensorflow": tf.__version__,
            "threads": str(tf.config.threading.get_intra_op_parallelism_threads()),
            "transport": "tf grpc" if self._context.world_size > 1 else "none",
            "tf32": "on" if tf.config.experimental.tensor_float_32_execution_enabled() else "off",
            "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        }

    def close(self) -> None:
        return None


def _summed(
    forward_backward: Callable[..., Any], batches: Sequence[tuple["tf.Tensor", "tf.Tensor"]]
) -> tuple["tf.Tensor", list["tf.Tensor"]]:
    """Return the loss and the gradients, summed over all micro-batches."""
    loss, gradients = forward_backward(*batches[0])
    for batch in batches[1:]:
        more, added = forward_backward(*batch)
        loss, gradients = loss + more, [a + b for a, b in zip(gradients, added, strict=True)]
    return loss, gradients
