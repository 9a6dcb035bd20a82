"""Make the training step of TensorFlow's engine, in its two forms, and the parts of it that can run alone.

The explicit form has three phases: forward and backward, all-reduce, update. Its variables are plain and local, and the
strategy only exchanges data. The replicated form follows TensorFlow's guides: the whole step runs in `strategy.run`,
and the optimiser sums the gradients over the replicas. XLA compiles forward with backward, and the update where it is
a phase of its own.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from stepmark.engines._protocol import RankContext

if TYPE_CHECKING:
    import tensorflow as tf


class TensorFlowSteps:
    """Hold the model, and make functions of it at the cell's execution level."""

    _strategy: "tf.distribute.Strategy"
    _model: Any
    _optimizer: Any
    _summed_loss: Any
    _labels_of: Callable[[Any], Any]

    def __init__(self, context: RankContext) -> None:
        self._context = context
        self._replicated = context.strategy == "mirrored" or context.variant == "canonical"
        self._functions: list[Any] = []

    def _make_functions(self) -> None:
        """Make the functions of a model that was just built."""
        self._functions = []
        self._gradients = self._function(self._forward_backward, xla=True)
        self._update = self._function(self._apply, xla=True)
        self._step = self._make_step(reduce=self._context.distributed)
        self._step_alone: Callable[..., Any] | None = None
        self._logits = self._function(self._logits_of, xla=True)

    def _function(self, body: Callable[..., Any], xla: bool) -> Callable[..., Any]:
        """Return the body at this execution level. `xla` is true for a body that XLA can compile."""
        import tensorflow as tf

        if self._context.execution == "eager":
            return body
        compiled = tf.function(
            body,
            jit_compile=xla and self._context.execution == "compiled",
            autograph=False,
            reduce_retracing="dynamic-compile" in self._context.options,
        )
        self._functions.append(compiled)
        return compiled

    def _logits_of(self, inputs: "tf.Tensor") -> "tf.Tensor":
        return self._model(inputs, training=True)

    def _forward_backward(self, inputs: "tf.Tensor", labels: "tf.Tensor") -> tuple["tf.Tensor", list["tf.Tensor"]]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = self._summed_loss(labels, self._model(inputs, training=True)) / self._labels_of(labels)
            scaled = self._scaled(loss)
        gradients = tape.gradient(scaled, self._model.trainable_variables)
        # Gradients are dense, as DDP's are. An embedding's IndexedSlices would be exchanged in another way.
        return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]

    def _scaled(self, loss: "tf.Tensor") -> "tf.Tensor":
        """Return the loss times the loss scale, by which the optimiser divides the gradients."""
        return self._optimizer.scale_loss(loss)

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

    def _make_gradients_only(self) -> Callable[..., Any]:
        """Return the explicit step without exchange and update, in one function like that step.

        It returns the loss, and on a GPU the gradients. Something must take the gradients: TensorFlow would drop what
        nothing reads, the backward pass included, since control dependencies are lost when the call that they come from
        is inlined. On CPU cores an operation takes them that looks at none. On a GPU it would have them copied to the
        host, and to return them costs nothing there.
        """
        import tensorflow as tf

        def gradients_only(*batches: tuple["tf.Tensor", "tf.Tensor"]) -> tuple["tf.Tensor", list["tf.Tensor"]]:
            loss, gradients = _summed(self._gradients, batches)
            if self._context.device.kind == "gpu":
                return loss, gradients
            tf.raw_ops.Assert(condition=tf.logical_not(loss < 0), data=gradients)
            return loss, []

        return self._function(gradients_only, xla=False)

    def _exchange_alone(self) -> Callable[[int], None]:
        import tensorflow as tf

        zeros = [tf.zeros(v.shape, v.dtype) for v in self._model.trainable_variables]
        exchange = self._function(self._all_reduced, xla=False)
        return lambda _: exchange(zeros)


def _summed(
    forward_backward: Callable[..., Any], batches: Sequence[tuple["tf.Tensor", "tf.Tensor"]]
) -> tuple["tf.Tensor", list["tf.Tensor"]]:
    """Return the loss and the gradients, summed over all micro-batches."""
    loss, gradients = forward_backward(*batches[0])
    for batch in batches[1:]:
        more, added = forward_backward(*batch)
        loss, gradients = loss + more, [a + b for a, b in zip(gradients, added, strict=True)]
    return loss, gradients
