"""Read a rank's samples with torch's DataLoader, whose worker processes prepare batches during steps."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from numpy.typing import NDArray

from stepmark.engines._feed import Feed, Source
from stepmark.workloads._batches import Batch

AHEAD = 2  # Each worker prepares so many batches, which is DataLoader's default.


class _Samples:
    """Offer the samples of a round by their numbers, as a map-style dataset does."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source) * self._source.size

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        return self._source.sample(number)


class _Rounds:
    """Yield the numbers of each micro-batch's samples, round after round, as a batch sampler does.

    It never ends: between epochs the workers would have nothing to prepare, and an epoch here is only a few batches.
    """

    def __init__(self, source: Source) -> None:
        size = source.size
        self._batches = [range(number * size, (number + 1) * size) for number in range(len(source))]

    def __iter__(self) -> Iterator[range]:
        return itertools.cycle(self._batches)


def loaded(source: Source, workers: int, pin_memory: bool, send: Callable[[Any], Any]) -> Feed:
    """Return the feed of a DataLoader, whose tensors `send` brings to the device. It starts the worker processes.

    They are forked, which is PyTorch's default on Linux: spawned ones would import torch anew, for seconds in each
    launch. torch has each of them compute with one thread, and none touches a GPU, so nothing that a fork loses is
    used. They run on the rank's cores, as children of its process, and are killed with its process group. A generator
    of its own leaves the numbers alone that weights are drawn from.
    """
    import torch
    from torch.utils.data import DataLoader

    loader: Any = DataLoader(
        _Samples(source),  # type: ignore[arg-type]
        batch_sampler=_Rounds(source),  # type: ignore[arg-type]
        num_workers=workers,
        pin_memory=pin_memory,
        prefetch_factor=AHEAD,
        multiprocessing_context="fork",
        generator=torch.Generator(),
    )
    way = f"DataLoader with {workers} forked worker{'s' if workers > 1 else ''}"
    return Feed(way, source, iter(loader), send, AHEAD * workers, _collated)


def inputs(batch: Any) -> NDArray[Any]:
    """Return the inputs of a batch as NumPy."""
    found: NDArray[Any] = batch[0].cpu().numpy()
    return found


def _collated(batch: Batch) -> Any:
    """Return a batch as a worker makes it of its samples."""
    from torch.utils.data import default_collate

    return default_collate(list(zip(*batch, strict=True)))
