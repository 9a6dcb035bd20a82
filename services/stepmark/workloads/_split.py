"""Divide real samples into those that are trained on and those that are predicted, and put the former in an order."""

import math

import numpy as np

from stepmark.errors import CannotRun
from stepmark.workloads._datasets import Indices

TEST_SHARE = 0.2
TEST_MOST = 512  # More would take longer to predict, at every evaluation, than to train between two.


def split(count: int, seed: int) -> tuple[Indices, Indices]:
    """Return the numbers of the training samples and of the test samples, of `count` samples in all.

    A fifth are test samples, but no more than `TEST_MOST`.
    """
    shuffled = np.random.default_rng([seed, count]).permutation(count)
    test = min(math.ceil(TEST_SHARE * count), TEST_MOST)
    return shuffled[test:], shuffled[:test]


def training_order(train: Indices, seed: int, batch_size: int, steps: int) -> Indices:
    """Return the samples of each step, of shape (steps, batch_size).

    In an epoch each sample comes at most once, in an order of its own; those that fill no batch are left out.

    Raises:
        CannotRun: there are fewer samples than a batch has.
    """
    batches = len(train) // batch_size
    if batches == 0:
        raise CannotRun(
            f"spec.scale: expected a global batch of at most {len(train)} samples, which are trained on, found "
            f"{batch_size}. Choose a smaller one."
        )
    epochs = (
        train[np.random.default_rng([seed, epoch]).permutation(len(train))[: batches * batch_size]]
        for epoch in range(math.ceil(steps / batches))
    )
    return np.concatenate([epoch.reshape(batches, batch_size) for epoch in epochs])[:steps]


def filled_rows(test: Indices, batch_size: int) -> Indices:
    """Return the test samples in batches, of shape (batches, batch_size), the last filled up with the first samples."""
    return np.resize(test, (math.ceil(len(test) / batch_size), batch_size))
