"""Feed TensorFlow's GPUs from the host's memory with tf.data, which copies the next batches during a step."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from stepmark.engines._protocol import RankContext
from stepmark.workloads._batches import Batch, micro_batches

if TYPE_CHECKING:
    import tensorflow as tf

NAME = "tf.data, prefetched to the device"
_AHEAD = 2  # These elements wait on the device. So few are no burden for its memory.


class HostFeed:
    """Bring batches to the devices, in turn and without end.

    `batches` holds the micro-batches of each batch, as this process's samples. With a strategy, which only a process of
    several workers has, each worker's share goes to its own device; without one, all go to the process's only device.

    Each caller has a pipeline of its own. The parts of a step take turns with the same batches, and would otherwise
    have to begin a common pipeline anew for each call.
    """

    def __init__(
        self, context: RankContext, batches: list[list[Batch]], strategy: "tf.distribute.Strategy | None"
    ) -> None:
        import tensorflow as tf

        self._device, self._strategy = context.device.tensorflow_name, strategy
        self._micro, self._count = len(batches[0]), len(batches)
        self._elements = self._micro * context.replicas  # Elements of the pipeline in one batch.
        shares = [share for batch in batches for part in batch for share in micro_batches([part], context.replicas)[0]]
        with tf.device("CPU:0"):  # All pipelines share these arrays.
            self._samples = tuple(
                tf.convert_to_tensor(np.stack([share[kind] for share in shares])) for kind in range(2)
            )
        self._pipelines: dict[str, tuple[int, Iterator[Any]]] = {}

    def take(self, caller: str, index: int) -> list[Any]:
        """Return the micro-batches of batch `index` modulo their number, as (inputs, labels) on the devices."""
        index %= self._count
        expected, pipeline = self._pipelines.get(caller, (None, None))
        if pipeline is None or index != expected:
            pipeline = self._pipeline(index)
        self._pipelines[caller] = (index + 1) % self._count, pipeline
        return [next(pipeline) for _ in range(self._micro)]

    def _pipeline(self, first: int) -> Iterator[Any]:
        import tensorflow as tf

        with tf.device("CPU:0"):
            data = tf.data.Dataset.from_tensor_slices(self._samples).repeat()
            data = data.skip(first * self._elements)
        if self._strategy is not None:
            return iter(self._strategy.distribute_datasets_from_function(lambda _: data))
        return iter(data.apply(tf.data.experimental.prefetch_to_device(self._device, _AHEAD)))
