"""Give the samples of token models lengths of their own, and pad their batches.

All samples of a global batch have one length, as where batches are made of samples of about one length. So every rank,
replica and micro-batch has the same number of real tokens, and a mean of their means is the mean over all tokens. A
batch is padded at the end of its samples: with `PADDING`, which no real token is, and labels of `IGNORED`, which the
losses leave out. Padding changes neither loss nor gradients, up to rounding (docs/measuring.md).
"""

import math
from collections.abc import Collection
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Batch = tuple[NDArray[Any], NDArray[Any]]
Distribution = Literal["uniform", "log-normal"]

PADDING = 0
IGNORED = -100  # torch's cross entropy leaves out this label without being asked.
BUCKETED, DYNAMIC_LENGTH = "bucketed", "dynamic-length"
"""The options of a candidate that choose how its batches are padded."""
_SALT = 0x1E57  # It keeps the draws of lengths apart from those of samples.


class LengthRange(Protocol):
    """Describe what lengths are drawn from, as `spec.data.lengths` of a scenario does."""

    @property
    def least(self) -> int: ...
    @property
    def most(self) -> int: ...
    @property
    def distribution(self) -> Distribution: ...


def drawn_lengths(lengths: LengthRange, seed: int, count: int) -> tuple[int, ...]:
    """Return the length of each of `count` batches. It depends on the seed and the batch's index alone."""
    return tuple(_drawn(lengths, np.random.default_rng([seed, index, _SALT])) for index in range(count))


def _drawn(lengths: LengthRange, rng: np.random.Generator) -> int:
    if lengths.distribution == "uniform":
        return int(rng.integers(lengths.least, lengths.most + 1))
    low, high = math.log(lengths.least), math.log(lengths.most)
    drawn = math.exp((low + high) / 2 + (high - low) / 4 * rng.standard_normal())
    return min(max(round(drawn), lengths.least), lengths.most)


def padded_length(length: int, most: int, options: Collection[str]) -> int:
    """Return the length to which a candidate with these options pads a batch of samples of this length.

    It is the length itself with `dynamic-length`, the next power of two with `bucketed`, and otherwise `most`.
    """
    if DYNAMIC_LENGTH in options:
        return length
    if BUCKETED in options:
        return min(1 << (length - 1).bit_length(), most)
    return most


def padded(batch: Batch, length: int) -> Batch:
    """Return the batch with samples of this length. Labels are padded where each token has one."""
    inputs, labels = batch
    missing = ((0, 0), (0, length - inputs.shape[1]))
    inputs = np.pad(inputs, missing, constant_values=PADDING)
    return inputs, labels if labels.ndim == 1 else np.pad(labels, missing, constant_values=IGNORED)
