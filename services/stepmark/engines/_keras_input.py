"""Read a rank's samples with keras.utils.PyDataset, whose worker threads prepare batches during steps."""

from collections.abc import Callable, Iterator
from typing import Any

from stepmark.engines._feed import Feed, Source
from stepmark.engines._protocol import RankContext
from stepmark.workloads._batches import Batch

_QUEUE = 10  # This is PyDataset's default.


def converted(context: RankContext, source: Source, how: str, place: Callable[[Batch], Any]) -> Feed:
    """Return the feed of NumPy arrays that `place` converts, from a PyDataset where the options ask for it.

    `how` names the function of the framework that converts them.
    """
    if "py-dataset" not in context.options:
        return Feed(f"{how} in each step", source, source.endless(), place)
    workers = max(2, context.threads)  # With one alone, Keras starts none.
    way = f"PyDataset with {workers} worker threads"
    return Feed(way, source, _enqueued(source, workers), place, _QUEUE)


def _enqueued(source: Source, workers: int) -> Iterator[Any]:
    """Return the micro-batches without end, as NumPy arrays, from the enqueuer that `fit` uses.

    The workers are threads, as by default: processes that Keras forks from one with TensorFlow's threads may hang.
    """
    import keras
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        num_batches = None  # It has no end.

        def __getitem__(self, index: int) -> Any:
            return source.element(index)

    iterator: Iterator[Any] = PyDatasetAdapter(Batches(workers=workers, max_queue_size=_QUEUE)).get_numpy_iterator()
    return iterator
