"""Read a rank's samples with tf.data, whose threads prepare the next batches, and copy them to a GPU, during a step."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from stepmark.engines._feed import Feed, Source
from stepmark.engines._keras_input import converted
from stepmark.engines._protocol import RankContext
from stepmark.workloads._batches import Batch, micro_batches

if TYPE_CHECKING:
    import tensorflow as tf

_ON_GPU = 2  # These batches wait on a GPU. So few are no burden for its memory.
AHEAD = 16  # More batches are hardly prepared: tf.data itself decides how many, and adds one where a step has waited.


def host_feed(
    context: RankContext,
    parts: list[list[Batch]],
    images: bool,
    place: Callable[[Batch], Any],
    strategy: "tf.distribute.Strategy | None",
) -> Feed:
    """Return the feed of these micro-batches: by tf.data where the options ask for it, and on GPUs unasked."""
    source, gpu = Source(parts, context.transform, images), context.device.kind == "gpu"
    if "py-dataset" in context.options or not (gpu or "tf-data" in context.options):
        return converted(context, source, "tf.convert_to_tensor", place)
    shares = [[share for own in micro_batches(batch, context.replicas) for share in own] for batch in parts]
    own = Source(shares, context.transform, images)
    elements = _dataset(context, own, strategy if context.replicas > 1 else None)
    way = "tf.data, prefetched to the device" if gpu else "tf.data, prefetched"
    return Feed(way, source, elements, lambda made: made, AHEAD, _batched)


def _dataset(context: RankContext, source: Source, strategy: "tf.distribute.Strategy | None") -> Iterator[Any]:
    """Return the micro-batches without end, as tensors on the devices.

    With a strategy, which only a process of several workers has, the micro-batches of `source` are each worker's share
    of one, in the order of the workers, and each goes to its worker's device. Without one, all go to the process's
    only device.
    """
    import tensorflow as tf

    with tf.device("CPU:0"):
        samples = tuple(tf.convert_to_tensor(part) for part in source.plain())
        data = tf.data.Dataset.from_tensor_slices(samples).repeat()
        if source.transforms:
            data = data.map(_mapped(source), num_parallel_calls=tf.data.AUTOTUNE)
        data = data.batch(source.size, drop_remainder=True)
    if strategy is not None:
        return iter(strategy.distribute_datasets_from_function(lambda _: data.prefetch(tf.data.AUTOTUNE)))
    if context.device.kind == "gpu":
        return iter(data.apply(tf.data.experimental.prefetch_to_device(context.device.tensorflow_name, _ON_GPU)))
    return iter(data.prefetch(tf.data.AUTOTUNE))


def _mapped(source: Source) -> Any:
    """Return what `map` calls for each sample: SciPy is no part of TensorFlow's graph, so Python runs it."""
    import tensorflow as tf

    def mapped(sample: "tf.Tensor", label: "tf.Tensor") -> Any:
        found = tf.numpy_function(source.transformed, [sample], sample.dtype, stateful=False)
        return tf.ensure_shape(found, sample.shape), label

    return mapped


def _batched(batch: Any) -> Any:
    """Return a batch as the pipeline makes it of arrays: sliced into samples and put together again."""
    import tensorflow as tf

    return next(iter(tf.data.Dataset.from_tensor_slices(batch).batch(len(batch[0]))))
