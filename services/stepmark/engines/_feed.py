"""Feed each step from the host: the samples as a pipeline reads them, and what brings them to the device in order.

An engine has several ways to feed its steps. Each is an endless iterator over the same micro-batches in the same order;
here they are taken from it, counted and timed, and a pipeline that fails says so.
"""

import itertools
from collections.abc import Callable, Iterator
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepmark.errors import printable
from stepmark.terms import Transform
from stepmark.workloads._batches import Batch
from stepmark.workloads._transforms import transform_of


class PipelineFailed(RuntimeError):
    """Say that a pipeline ended or raised an error, in a worker process of it too."""


class Source:
    """Hold one rank's samples on the host: the micro-batches of all its batches, in the order in which steps take them.

    `batches` holds the micro-batches of each batch, all of one size. With `channels_last`, images are in that layout.
    """

    def __init__(self, batches: list[list[Batch]], transform: Transform = "none", channels_last: bool = False) -> None:
        self.batches, self.micro = len(batches), len(batches[0])
        self._elements = [part for batch in batches for part in batch]
        self.transform = transform
        self._transform = transform_of(transform, channels_last)
        self.size = len(self._elements[0][0])
        """The number of samples of a micro-batch."""

    def __len__(self) -> int:
        """Return the number of micro-batches in a round."""
        return len(self._elements)

    @property
    def transforms(self) -> bool:
        """Return whether each sample is transformed when it is read."""
        return self._transform is not None

    @property
    def batch_bytes(self) -> int:
        """Return the bytes of inputs and labels that one step takes."""
        return self.micro * sum(part.nbytes for part in self._elements[0])

    def plain(self) -> Batch:
        """Return all samples of a round in their order, not transformed."""
        inputs, labels = zip(*self._elements, strict=True)
        return np.concatenate(inputs), np.concatenate(labels)

    def transformed(self, sample: NDArray[Any]) -> NDArray[Any]:
        """Return one sample as steps take it."""
        return sample if self._transform is None else self._transform(sample)

    def sample(self, number: int) -> tuple[NDArray[Any], Any]:
        """Return a sample and its label by its number in a round."""
        element, place = divmod(number, self.size)
        inputs, labels = self._elements[element]
        return self.transformed(inputs[place]), labels[place]

    def element(self, number: int) -> Batch:
        """Return a micro-batch by its number modulo those of a round."""
        inputs, labels = self._elements[number % len(self)]
        return (inputs if self._transform is None else np.stack([*map(self._transform, inputs)])), labels

    def endless(self) -> Iterator[Batch]:
        """Yield the micro-batches, round after round. Each is made when it is asked for."""
        return map(self.element, itertools.count())

    def twin(self) -> Batch:
        """Return a copy of the first micro-batch, not transformed, at addresses that are aligned as the original's."""
        inputs, labels = (_aligned_as(part) for part in self._elements[0])
        return inputs, labels


class Feed:
    """Bring a rank's batches to its device, in turn and without end.

    `way` says in words how. `elements` yields the micro-batches of `source` without end, and `place` brings one to the
    device. `convert` makes tensors of a batch of NumPy arrays, where `place` does not. `ahead` is how many
    micro-batches are prepared during steps, so that a step waits only for what is late; 0 where each is made when it is
    taken. `waiting` is called with True before a micro-batch is waited for, and with False afterwards.
    """

    def __init__(
        self,
        way: str,
        source: Source,
        elements: Iterator[Any],
        place: Callable[[Any], Any],
        ahead: int = 0,
        convert: Callable[[Batch], Any] | None = None,
    ) -> None:
        self.way, self.ahead, self.batches = way, ahead, source.batches
        self.batch_bytes = source.batch_bytes
        self.waited_nanoseconds = 0
        """How long steps have waited for their input so far."""
        self.waiting: Callable[[bool], None] = _untold
        self._source, self._elements, self._place, self._convert = source, elements, place, convert or place
        self._at = 0

    def take(self, index: int) -> Iterator[Any]:
        """Yield the micro-batches of batch `index` modulo their number, on the device. All of them must be taken.

        Batches before it in the pipeline are passed over, so steps that follow each other cost least.

        Raises:
            PipelineFailed: the pipeline has ended, or an error was raised in it.
        """
        passed_over, micro = (index - self._at) % self.batches, self._source.micro
        for _ in range(passed_over * micro):
            self._one()
        for _ in range(micro):
            yield self._one()
        self._at = (index + 1) % self.batches

    def discard(self, index: int) -> None:
        """Take batch `index` modulo their number, and leave it."""
        for _ in self.take(index):
            pass

    def flags(self, read: Callable[[Any], NDArray[Any]]) -> dict[str, str]:
        """Return how steps are fed, and whether the NumPy arrays are copied when they become tensors.

        They are if a batch stays as it is when its arrays change. `read` returns the inputs of a batch on the device
        as NumPy. The batch is one that nothing else reads.
        """
        batch = self._source.twin()
        converted = self._convert(batch)
        before = np.array(read(converted))
        batch[0][...] += 1
        copied = np.array_equal(np.array(read(converted)), before)
        transform = self._source.transform
        return {"input": self.way, "input_transform": transform, "input_copied": "yes" if copied else "no"}

    def _one(self) -> Any:
        begin = perf_counter_ns()
        self.waiting(True)
        try:
            element = next(self._elements)
        except StopIteration:
            raise PipelineFailed(
                f"the input pipeline ended early: expected {self.batches} batches in turn without end, found its end"
            ) from None
        except Exception as error:
            raise PipelineFailed(f"the input pipeline failed: {_said(error)}") from error
        placed = self._place(element)
        self.waiting(False)
        self.waited_nanoseconds += perf_counter_ns() - begin
        return placed


def _untold(waiting: bool) -> None:
    return None


def _said(error: Exception) -> str:
    """Return an error's type and message. Of a message with a traceback in it, the line that names the first error."""
    text = f"{type(error).__name__}: {error}"
    named = [line.strip() for line in text.splitlines() if not line.startswith(" ") and "Error: " in line]
    return printable(named[-1] if named else " ".join(text.split()))[:400]


def _aligned_as(array: NDArray[Any], to: int = 64) -> NDArray[Any]:
    """Return a copy at an address with the same remainder. Frameworks share memory only where it is aligned."""
    raw = np.empty(array.nbytes + to, np.uint8)
    offset = (array.ctypes.data - raw.ctypes.data) % to
    twin: NDArray[Any] = raw[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape)
    twin[...] = array
    return twin
