"""Make the samples: numpy batches that are the same for every engine, rank layout and run with one seed."""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepmark.errors import CannotRun
from stepmark.workloads._protocol import DIGITS_SIDE, InputSpec

# Inputs are float32 or, for tokens, int64. Labels are (batch,), or (batch, length) where each token has one.
Batch = tuple[NDArray[Any], NDArray[np.int64]]


BATCHES = 4  # The steps of a launch use this many distinct batches in turn. More would only fill memory.


def global_batches(spec: InputSpec, source: str, seed: int, batch_size: int, count: int) -> list[Batch]:
    """Return `count` batches of `batch_size` samples.

    Inputs are (batch, *spec.shape). Labels are (batch,), or one for each token.
    """
    make = _digits if source == "digits" else _synthetic
    return [make(spec, np.random.default_rng([seed, index]), batch_size) for index in range(count)]


def shard(batch: Batch, rank: int, world_size: int) -> Batch:
    """Return the samples of one rank, every `world_size`-th, copied so that no two engines share memory."""
    inputs, labels = batch
    return inputs[rank::world_size].copy(), labels[rank::world_size].copy()


def micro_batches(batches: list[Batch], count: int) -> list[list[Batch]]:
    """Return each batch cut into `count` parts by `shard`."""
    return [[shard(batch, index, count) for index in range(count)] for batch in batches]


def _synthetic(spec: InputSpec, rng: np.random.Generator, batch_size: int) -> Batch:
    if spec.next_token:
        return _continued(rng.integers(0, spec.classes, (batch_size, spec.shape[0] + 1)))
    labels = rng.integers(0, spec.classes, batch_size)
    if spec.vocabulary is not None:
        return rng.integers(0, spec.vocabulary, (batch_size, *spec.shape)), labels
    return rng.standard_normal((batch_size, *spec.shape), dtype=np.float32), labels


def _continued(tokens: NDArray[np.int64]) -> Batch:
    """Return each token except the last as input, and the token that follows it as its label."""
    return tokens[:, :-1].copy(), tokens[:, 1:].copy()


def _digits(spec: InputSpec, rng: np.random.Generator, batch_size: int) -> Batch:
    pixels, labels = _load_digits()
    chosen = rng.choice(len(labels), batch_size, replace=batch_size > len(labels))
    inputs = pixels[chosen]
    if spec.next_token:
        return _continued(inputs.astype(np.int64))
    if spec.kind == "tokens":
        return inputs.astype(np.int64), labels[chosen]
    inputs = (inputs / 16.0).astype(np.float32)
    if spec.kind == "image":
        enlarge = spec.shape[1] // DIGITS_SIDE
        inputs = inputs.reshape(batch_size, 1, DIGITS_SIDE, DIGITS_SIDE).repeat(enlarge, 2).repeat(enlarge, 3)
    return inputs, labels[chosen]


@cache
def _load_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return pixels (1797, 64) and labels.

    They are read from scikit-learn's file, since importing scikit-learn would cost each launch 2 s.
    """
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise CannotRun("data source 'digits': expected scikit-learn, found none. pip install 'stepmark[digits]'.")
    table = np.loadtxt(Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64)
