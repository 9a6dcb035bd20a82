"""Make collectives with TensorFlow: its ring over gRPC between CPU cores, NCCL between GPUs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from stepmark.engines import _tensorflow_device
from stepmark.engines._collectives import COMMON_REFUSALS, CollectiveSteps, as_float32, refused
from stepmark.engines._protocol import RankContext
from stepmark.workloads._messages import Message

if TYPE_CHECKING:
    import tensorflow as tf

REFUSALS = (
    *COMMON_REFUSALS,
    refused("XLA compiles none of TensorFlow's exchanges between processes; use graph", executions=("compiled",)),
    refused("mirrored keeps all workers in one process, so no ranks exchange anything", forms=("mirrored",)),
    refused("canonical differs from explicit in its variables, and a collective has none", forms=("canonical",)),
    refused("TensorFlow's strategies have no reduce-scatter, and its CPU cores no kernel for one", "reduce-scatter"),
    refused("TensorFlow's own takes no bfloat16; use float32", "all-gather", "broadcast", precisions=("bfloat16",)),
)

# Keys by which TensorFlow's processes find each other's broadcast. Its strategies count theirs from 1 up.
_GROUP_KEY, _INSTANCE_KEY = 1 << 20, 1 << 20


class TensorFlowCollectives(CollectiveSteps):
    """Exchange one message in each step. The engine adds how the group is joined."""

    asynchronous: bool
    _strategy: Any
    _model = None

    def _begin(self, message: Message) -> Callable[[], Any]:
        call = collective(
            message, self._context, self._strategy, placed(message.contribution(self._context.rank), self._context)
        )

        def exchange() -> None:
            self._output = call()

        return exchange

    def _result(self) -> NDArray[Any]:
        return as_values(self._output)

    def drain(self) -> None:
        if self.asynchronous:
            _tensorflow_device.drain(self._context)


def collective(
    message: Message, context: RankContext, strategy: "tf.distribute.Strategy", own: "tf.Tensor"
) -> Callable[[], "tf.Tensor"]:
    """Return a function that makes one collective of `own`, which is what this rank gives."""
    call = {"all-reduce": _all_reduce, "all-gather": _all_gather, "broadcast": _broadcast}[message.collective]
    return _traced(call(message, context, strategy, own), context)


def _traced(call: Callable[[], "tf.Tensor"], context: RankContext) -> Callable[[], "tf.Tensor"]:
    import tensorflow as tf

    return call if context.execution == "eager" else tf.function(call)


def _all_reduce(
    _: Message, context: RankContext, strategy: "tf.distribute.Strategy", own: "tf.Tensor"
) -> Callable[[], "tf.Tensor"]:
    import tensorflow as tf

    def sum_over_ranks() -> "tf.Tensor":
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, own)

    return lambda: strategy.run(sum_over_ranks)


def _all_gather(
    _: Message, context: RankContext, strategy: "tf.distribute.Strategy", own: "tf.Tensor"
) -> Callable[[], "tf.Tensor"]:
    import tensorflow as tf

    return lambda: strategy.run(lambda: tf.distribute.get_replica_context().all_gather(own, axis=0))


def _broadcast(
    message: Message, context: RankContext, _: "tf.distribute.Strategy", own: "tf.Tensor"
) -> Callable[[], "tf.Tensor"]:
    """Return TensorFlow's own operation, by which its strategies give variables their first values."""
    import tensorflow as tf

    shared: dict[str, Any] = {
        "group_size": message.workers,
        "group_key": _GROUP_KEY,
        "instance_key": _INSTANCE_KEY,
        "communication_hint": "nccl" if context.device.kind == "gpu" else "auto",
        "timeout_seconds": float(context.collective_timeout_seconds),
    }

    def send() -> "tf.Tensor":
        with _tensorflow_device.placed_on(context, 0):
            return tf.raw_ops.CollectiveBcastSendV2(input=own, **shared)

    def receive() -> "tf.Tensor":
        with _tensorflow_device.placed_on(context, 0):
            return tf.raw_ops.CollectiveBcastRecvV2(shape=[message.elements], T=own.dtype, **shared)

    return send if context.rank == 0 else receive


def placed(values: NDArray[Any], context: RankContext) -> "tf.Tensor":
    """Return what a rank gives as a tensor on its device, in the cell's precision."""
    import tensorflow as tf

    with _tensorflow_device.placed_on(context, 0):
        return tf.cast(tf.constant(values), context.precision)


def as_values(found: "tf.Tensor") -> NDArray[Any]:
    """Return a tensor's values as float32."""
    import tensorflow as tf

    return as_float32(tf.cast(found, tf.float32).numpy())
