"""Keras 3 on TensorFlow: `single`, and `multi-worker-mirrored` over gRPC, with a custom training loop.

`model.fit` does not work under MultiWorkerMirroredStrategy (keras-team/keras#20585), so the loop is written out. The
variant `explicit` (default) keeps plain local variables and uses the strategy as transport only: forward and backward,
all-reduce, update are three phases, and XLA can compile the first and the last (its CPU backend has no collectives).
The variant `canonical` is the textbook form, variables in `strategy.scope()` and `strategy.run`; no XLA there.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from stepmark.engines._protocol import RankContext, Strategy, Support, Weights
from stepmark.workloads import _weights
from stepmark.workloads._batches import Batch
from stepmark.workloads._protocol import Workload

if TYPE_CHECKING:
    import tensorflow as tf

SUPPORT = Support(
    framework="keras",
    strategies={
        "single": Strategy(max_workers=1),
        "multi-worker-mirrored": Strategy(variants=("explicit", "canonical")),
    },
    executions={"eager": None, "graph": None, "compiled": None},
    default_execution="graph",
    refusals={("canonical", "compiled"): "XLA has no collectives on CPU, and the canonical variant is one function"},
    requires=("tensorflow", "keras"),
    extra="keras",
    environment={"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2", "GRPC_VERBOSITY": "ERROR"},
)

_BUCKET_BYTES = 25 << 20  # the size that torch's DDP uses; tf.distribute's own default is one pack for everything


def import_framework() -> None:
    """Without scikit-learn and pandas, which Keras imports where they are installed, for wrappers and data adapters
    that no custom loop uses: a third of its import time.
    """
    with _hidden("sklearn", "pandas"):
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


@contextmanager
def _hidden(*modules: str) -> Iterator[None]:
    """While inside, importing these modules fails as if they were not installed: None in their place does that."""
    absent = [name for name in modules if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


class Engine:
    """SGD on one rank. Gradients are summed over ranks and divided by the global batch: a mean over all samples."""

    def __init__(self, context: RankContext) -> None:
        self._context = context
        self._canonical = context.variant == "canonical"
        self._loss: tf.Tensor | None = None
        self._functions: list[Any] = []

    def join_group(self) -> None:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(self._context.threads)
        tf.config.threading.set_inter_op_parallelism_threads(self._context.threads)
        if not self._context.distributed:
            return
        task = {"type": "worker", "index": self._context.rank}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": list(self._context.addresses)}, "task": task})
        options = tf.distribute.experimental.CommunicationOptions(
            bytes_per_pack=_BUCKET_BYTES, timeout_seconds=float(self._context.collective_timeout_seconds)
        )
        self._strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)

    def build(self, workload: Workload, params: Any, batches: list[Batch], learning_rate: float) -> None:
        import keras
        import tensorflow as tf

        keras.utils.set_random_seed(self._context.seed)  # nothing broadcasts: all ranks must draw the same weights
        keras.config.set_dtype_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[self._context.precision])
        with self._strategy.scope() if self._canonical else nullcontext():
            self._model = workload.keras_model(params)  # type: ignore[attr-defined]
            self._optimizer = keras.optimizers.SGD(learning_rate=learning_rate, momentum=0.9)
            self._optimizer.build(self._model.trainable_variables)
        self._loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
        self._images = workload.input(params).kind == "image"
        self._global_batch = float(len(batches[0][1]) * self._context.world_size)
        host = [self._layout(batch) for batch in batches]
        feed = self._context.feed_each_step
        self._batches = host if feed else [tuple(tf.convert_to_tensor(part) for part in batch) for batch in host]
        self._step = self._make_step(reduce=self._context.distributed)
        self._step_alone: Callable[..., Any] | None = None

    def _layout(self, batch: Batch) -> tuple[Any, Any]:
        """Keras' default layout: channels last."""
        inputs, labels = batch
        if self._images:
            inputs = np.ascontiguousarray(inputs.transpose(0, 2, 3, 1))
        return inputs, labels

    def _function(self, body: Callable[..., Any], xla: bool) -> Callable[..., Any]:
        """The body at this execution level. Only what XLA can compile asks for it."""
        import tensorflow as tf

        if self._context.execution == "eager":
            return body
        compiled = tf.function(body, jit_compile=xla and self._context.execution == "compiled", autograph=False)
        self._functions.append(compiled)
        return compiled

    def _forward_backward(self, inputs: "tf.Tensor", labels: "tf.Tensor") -> tuple["tf.Tensor", list["tf.Tensor"]]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = self._loss_of(labels, self._model(inputs, training=True)) / self._global_batch
        gradients = tape.gradient(loss, self._model.trainable_variables)
        # Dense, as DDP's are: an embedding's IndexedSlices would travel in another way.
        return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]

    def _make_step(self, reduce: bool) -> Callable[..., Any]:
        return self._canonical_step() if self._canonical and reduce else self._explicit_step(reduce)

    def _explicit_step(self, reduce: bool) -> Callable[..., Any]:
        import tensorflow as tf

        forward_backward = self._function(self._forward_backward, xla=True)

        def apply(*gradients: "tf.Tensor") -> None:
            self._optimizer.apply_gradients(zip(gradients, self._model.trainable_variables, strict=True))

        def all_reduce(*gradients: "tf.Tensor") -> Any:
            context = tf.distribute.get_replica_context()
            # Without the identity TensorFlow says "destinations can not be empty".
            return context.all_reduce(tf.distribute.ReduceOp.SUM, [tf.identity(gradient) for gradient in gradients])

        update = self._function(apply, xla=True)

        def step(inputs: "tf.Tensor", labels: "tf.Tensor") -> "tf.Tensor":
            loss, gradients = forward_backward(inputs, labels)
            if reduce:
                gradients = self._strategy.run(all_reduce, args=tuple(gradients))
            update(*gradients)
            return loss

        return self._function(step, xla=False)

    def _canonical_step(self) -> Callable[..., Any]:
        def replica_step(inputs: "tf.Tensor", labels: "tf.Tensor") -> "tf.Tensor":
            loss, gradients = self._forward_backward(inputs, labels)
            self._optimizer.apply_gradients(zip(gradients, self._model.trainable_variables, strict=True))  # sums first
            return loss

        return self._function(lambda inputs, labels: self._strategy.run(replica_step, args=(inputs, labels)), xla=False)

    def step(self, index: int) -> None:
        self._loss = self._step(*self._batches[index % len(self._batches)])

    def step_without_reduce(self, index: int) -> None:
        if self._step_alone is None:
            self._step_alone = self._make_step(reduce=False)
        self._loss = self._step_alone(*self._batches[index % len(self._batches)])

    def synchronize(self) -> float:
        """The mean loss over this rank's own samples, as torch has it."""
        return float(self._loss.numpy()) * self._context.world_size if self._loss is not None else float("nan")

    def compilations(self) -> int | None:
        if not self._functions:
            return None
        return sum(function.experimental_get_tracing_count() for function in self._functions)

    def weights(self) -> Weights:
        return {
            name: layout(variable.numpy())
            for variable in self._model.trainable_variables
            for name, layout, _ in [_weights.torch_place(variable.path, len(variable.shape))]
        }

    def load_weights(self, weights: Weights) -> None:
        for variable in self._model.trainable_variables:
            name, _, layout = _weights.torch_place(variable.path, len(variable.shape))
            variable.assign(layout(weights[name]))

    def flags(self) -> dict[str, str]:
        import keras
        import tensorflow as tf

        return {
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "device": "cpu",
            "threads": str(tf.config.threading.get_intra_op_parallelism_threads()),
            "transport": "tf grpc" if self._context.distributed else "none",
            "bucket_mib": str(_BUCKET_BYTES >> 20),
            "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
            "optimizer": "SGD momentum 0.9",
        }

    def close(self) -> None:
        return None
