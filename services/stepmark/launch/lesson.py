"""Say which samples a launch is trained on and asked, and in which order: the same on all ranks and in every engine."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepmark.errors import CannotRun
from stepmark.launch.spec import LaunchSpec
from stepmark.workloads._batches import Batch
from stepmark.workloads._datasets import Indices, Samples, samples_of
from stepmark.workloads._protocol import InputSpec
from stepmark.workloads._split import filled_rows, split, training_order

_BYTES_MOST = 1 << 30


@dataclass(frozen=True)
class Lesson:
    """Hold what a launch is trained on and asked, as numbers of samples of all ranks.

    `order` has shape (steps, batch), `tests` (batches, batch), of which the first `test_samples` count. `mixed` is the
    first test batch with other samples in its second half.
    """

    samples: Samples
    train_samples: int
    test_samples: int
    order: Indices
    tests: Indices
    mixed: Indices

    @classmethod
    def of(cls, spec: LaunchSpec, inputs: InputSpec) -> "Lesson":
        """Return the lesson of a launch, the same on all ranks and in every engine.

        Raises:
            CannotRun: the samples are not installed, or are fewer than a batch.
        """
        target, size = spec.launch.target, spec.cell.global_batch
        samples = samples_of(spec.data.source, inputs)
        assert target is not None
        assert samples is not None
        train, test = split(len(samples), spec.measurement.seed)
        tests = filled_rows(test, size)
        mixed = np.concatenate([tests[0, : size // 2], train[: size - size // 2]])
        order = training_order(train, spec.launch.seed, size, target.max_steps)
        return cls(samples, len(train), len(test), order, tests, mixed)

    @property
    def first_test(self) -> int:
        """The index of the first test batch among all batches."""
        return len(self.order)

    def batches(self, rank: int, world_size: int) -> list[Batch]:
        """Return this rank's share of all batches: those of the steps, the test batches, and the mixed one.

        Raises:
            CannotRun: they need more than 1 GiB.
        """
        rows = np.concatenate([self.order, self.tests, self.mixed[None]])[:, rank::world_size]
        first = self.samples.take(rows[0])
        size = len(rows) * sum(part.nbytes for part in first)
        if size > _BYTES_MOST:
            raise CannotRun(
                f"spec.target.maxSteps: expected batches of at most 1 GiB, found {size / 2**30:.1f} GiB. "
                "Choose fewer steps, smaller samples or a smaller batch."
            )
        return [self.samples.take(row) for row in rows]

    def counted(self, rank: int, world_size: int) -> NDArray[np.bool_]:
        """Return which of this rank's test samples count, of shape (batches, own samples)."""
        return (np.arange(self.tests.size) < self.test_samples).reshape(self.tests.shape)[:, rank::world_size]
