"""Make the samples: numpy batches that are the same for every engine, rank layout and run with one seed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stepmark.workloads._datasets import Samples, continued, samples_of
from stepmark.workloads._lengths import PADDING, Batch
from stepmark.workloads._protocol import InputSpec

# In a Batch, inputs are float32 or, for tokens, int64. Labels that are classes are int64, (batch,), or (batch, length)
# where each token has one; values and bits are float32, (batch, classes).
__all__ = ["BATCHES", "Batch", "distinct", "global_batches", "local_batches", "micro_batches", "shard"]

BATCHES = 4  # The steps of a launch use this many distinct batches in turn. More would only fill memory.
_BYTES_MOST = 1 << 30


def distinct(spec: InputSpec, batch_size: int, wanted: int = BATCHES) -> int:
    """Return how many distinct batches of `batch_size` samples, over all ranks, a launch uses in turn.

    There are as many as are wanted, or as many as 1 GiB holds, but one at least.
    """
    sample = math.prod(spec.shape) * (4 if spec.vocabulary is None else 8)
    return max(1, min(wanted, _BYTES_MOST // (batch_size * sample)))


def global_batches(
    spec: InputSpec, source: str, seed: int, batch_size: int, count: int, lengths: Sequence[int] = ()
) -> list[Batch]:
    """Return `count` batches of `batch_size` samples.

    Inputs are (batch, *spec.shape). Labels are (batch,), or one for each token. `lengths` holds the length of each
    batch's samples, which are synthetic tokens then, none of them `PADDING`.
    """
    return local_batches(spec, source, seed, batch_size, count, 0, 1, lengths)


def local_batches(
    spec: InputSpec,
    source: str,
    seed: int,
    batch_size: int,
    count: int,
    rank: int,
    world_size: int,
    lengths: Sequence[int] = (),
) -> list[Batch]:
    """Return one rank's samples of `global_batches`, the same as `shard` gives, without drawing those of other ranks.

    `batch_size` is that of the global batch.
    """
    own, real = range(rank, batch_size, world_size), samples_of(source, spec)
    if real is not None:
        return [_drawn(real, seed, index, batch_size, own) for index in range(count)]
    specs = [replace(spec, shape=(length,), padded=True) for length in lengths] or [spec] * count
    return [_synthetic(one, seed, index, own) for index, one in enumerate(specs)]


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


def _synthetic(spec: InputSpec, seed: int, index: int, chosen: range) -> Batch:
    """Return the chosen samples of one batch. A sample depends on the seed, the batch's index and its own number."""
    first = PADDING + 1 if spec.padded else 0
    if spec.next_token:
        drawn = [rng.integers(first, spec.classes, spec.shape[0] + 1) for rng in _generators(seed, index, chosen)]
        return continued(np.stack(drawn))
    whole = spec.labels == "classes"
    labels = np.empty((len(chosen),) if whole else (len(chosen), spec.classes), np.int64 if whole else np.float32)
    inputs = np.empty((len(chosen), *spec.shape), np.float32 if spec.vocabulary is None else np.int64)
    for place, rng in enumerate(_generators(seed, index, chosen)):
        labels[place] = _label(spec, rng)
        if spec.vocabulary is None:
            rng.standard_normal(out=inputs[place], dtype=np.float32)
        else:
            inputs[place] = rng.integers(first, spec.vocabulary, spec.shape)
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


def _drawn(samples: Samples, seed: int, index: int, batch_size: int, chosen: range) -> Batch:
    """Return the chosen samples of one batch of real ones, drawn without repetition where there are enough."""
    count = len(samples)
    drawn = np.random.default_rng([seed, index]).choice(count, batch_size, replace=batch_size > count)
    return samples.take(drawn[chosen.start :: chosen.step])
