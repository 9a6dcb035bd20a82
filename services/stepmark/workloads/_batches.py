"""Make the samples: numpy batches that are the same for every engine, rank layout and run with one seed."""

import importlib.util
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepmark.errors import CannotRun
from stepmark.workloads._protocol import DIGITS_SIDE, InputSpec

# Inputs are float32 or, for tokens, int64. Labels that are classes are int64, (batch,), or (batch, length) where each
# token has one; values and bits are float32, (batch, classes).
Batch = tuple[NDArray[Any], NDArray[Any]]


BATCHES = 4  # The steps of a launch use this many distinct batches in turn. More would only fill memory.
_BYTES_MOST = 1 << 30


def distinct(spec: InputSpec, batch_size: int) -> int:
    """Return how many distinct batches of `batch_size` samples, over all ranks, a launch uses in turn.

    There are `BATCHES` of them, or as many as 1 GiB holds, but one at least.
    """
    sample = math.prod(spec.shape) * (4 if spec.vocabulary is None else 8)
    return max(1, min(BATCHES, _BYTES_MOST // (batch_size * sample)))


def global_batches(spec: InputSpec, source: str, seed: int, batch_size: int, count: int) -> list[Batch]:
    """Return `count` batches of `batch_size` samples.

    Inputs are (batch, *spec.shape). Labels are (batch,), or one for each token.
    """
    return local_batches(spec, source, seed, batch_size, count, 0, 1)


def local_batches(
    spec: InputSpec, source: str, seed: int, batch_size: int, count: int, rank: int, world_size: int
) -> list[Batch]:
    """Return one rank's samples of `global_batches`, the same as `shard` gives, without drawing those of other ranks.

    `batch_size` is that of the global batch.
    """
    make = _digits if source == "digits" else _synthetic
    return [make(spec, seed, index, batch_size, range(rank, batch_size, world_size)) for index in range(count)]


def shard(batch: Batch, rank: int, world_size: int) -> Batch:
    """Return the samples of one rank, every `world_size`-th, copied so that no two engines share memory."""
    inputs, labels = batch
    return inputs[rank::world_size].copy(), labels[rank::world_size].copy()


def in_float64(batch: Batch) -> Batch:
    """Return the batch with its floats in float64."""
    inputs, labels = (part.astype(np.float64) if part.dtype.kind == "f" else part for part in batch)
    return inputs, labels


def micro_batches(batches: list[Batch], count: int) -> list[list[Batch]]:
    """Return each batch cut into `count` parts by `shard`."""
    return [[shard(batch, index, count) for index in range(count)] for batch in batches]


def _synthetic(spec: InputSpec, seed: int, index: int, batch_size: int, chosen: range) -> Batch:
    """Return the chosen samples of one batch. A sample depends on the seed, the batch's index and its own number."""
    if spec.next_token:
        drawn = [rng.integers(0, spec.classes, spec.shape[0] + 1) for rng in _generators(seed, index, chosen)]
        return _continued(np.stack(drawn))
    whole = spec.labels == "classes"
    labels = np.empty((len(chosen),) if whole else (len(chosen), spec.classes), np.int64 if whole else np.float32)
    inputs = np.empty((len(chosen), *spec.shape), np.float32 if spec.vocabulary is None else np.int64)
    for place, rng in enumerate(_generators(seed, index, chosen)):
        labels[place] = _label(spec, rng)
        if spec.vocabulary is None:
            rng.standard_normal(out=inputs[place], dtype=np.float32)
        else:
            inputs[place] = rng.integers(0, spec.vocabulary, spec.shape)
    return inputs, labels


def _label(spec: InputSpec, rng: np.random.Generator) -> Any:
    if spec.labels == "values":
        return rng.standard_normal(spec.classes, np.float32)
    return rng.integers(0, spec.classes) if spec.labels == "classes" else rng.integers(0, 2, spec.classes)


def _generators(seed: int, index: int, chosen: range) -> Iterator[np.random.Generator]:
    """Yield the generator of each chosen sample. The next one ends the one before.

    Philox counts its blocks of random bits. Sample n begins at block n * 2^64, so it can be drawn without the others.
    """
    bits = np.random.Philox(np.random.SeedSequence([seed, index]))
    start: Any = bits.state
    for sample in chosen:
        start["state"]["counter"] = np.array([0, sample, 0, 0], np.uint64)
        bits.state = start
        yield np.random.Generator(bits)


def _continued(tokens: NDArray[np.int64]) -> Batch:
    """Return each token except the last as input, and the token that follows it as its label."""
    return tokens[:, :-1].copy(), tokens[:, 1:].copy()


def _digits(spec: InputSpec, seed: int, index: int, batch_size: int, chosen: range) -> Batch:
    pixels, labels = _load_digits()
    drawn = np.random.default_rng([seed, index]).choice(len(labels), batch_size, replace=batch_size > len(labels))
    own = drawn[chosen.start :: chosen.step]
    inputs = pixels[own]
    if spec.next_token:
        return _continued(inputs.astype(np.int64))
    if spec.kind == "tokens":
        return inputs.astype(np.int64), labels[own]
    inputs = (inputs / 16.0).astype(np.float32)
    if spec.kind == "image":
        enlarge = spec.shape[1] // DIGITS_SIDE
        inputs = inputs.reshape(len(own), 1, DIGITS_SIDE, DIGITS_SIDE).repeat(enlarge, 2).repeat(enlarge, 3)
    return inputs, labels[own]


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
