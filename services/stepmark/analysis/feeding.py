"""Compute how a cell's steps were fed from the host: how much, how long they waited, and how fast the feed is alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from stepmark.analysis.intervals import Estimate, arithmetic_mean, geometric_mean
from stepmark.results.record import LaunchHeader, RankReport


class Feeding(BaseModel):
    """Store how the steps of a cell were fed.

    `way` says it in words. `copied` says whether NumPy arrays are copied when they become tensors, or None where the
    record does not say. `bytes_per_second` are the bytes of inputs and labels that all ranks took, at the cell's own
    rate. `wait_ratio` is the share of the measured windows in which the ranks waited for their batches, and
    `ceiling_samples_per_second` is the rate at which all ranks together took batches without training, or None where
    that was not timed. Both are means over launches with 95 % intervals over blocks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    way: str
    copied: bool | None
    bytes_per_second: float
    wait_ratio: Estimate
    ceiling_samples_per_second: Estimate | None


@dataclass(frozen=True)
class LaunchFeeding:
    """Store how one launch was fed. `wait_ratio` is a mean over the ranks."""

    way: str
    copied: bool | None
    bytes_per_sample: float
    wait_ratio: float
    ceiling_samples_per_second: float | None


def launch_feeding(launch: LaunchHeader) -> LaunchFeeding | None:
    """Return how a good launch was fed, or None where samples stayed on the device."""
    fed = [rank.feeding for rank in launch.ranks if rank.feeding is not None]
    if not fed or len(fed) != len(launch.ranks):
        return None
    waits = [_wait_ratio(rank) for rank in launch.ranks]
    batch = launch.cell.global_batch
    slowest = _seconds_of_a_batch(launch.ranks)
    return LaunchFeeding(
        way=fed[0].way,
        copied={"yes": True, "no": False}.get(launch.ranks[0].flags.get("input_copied", "")),
        bytes_per_sample=sum(one.batch_bytes for one in fed) / batch,
        wait_ratio=float(np.mean(waits)),
        ceiling_samples_per_second=None if slowest is None else batch / slowest,
    )


def feeding(launches: Sequence[LaunchFeeding], samples_per_second: float, confidence: float) -> Feeding | None:
    """Return how the launches of a cell were fed, one launch per block."""
    if not launches:
        return None
    ceilings = [one.ceiling_samples_per_second for one in launches]
    known = np.array([ceiling for ceiling in ceilings if ceiling is not None])
    return Feeding(
        way=launches[0].way,
        copied=launches[0].copied,
        bytes_per_second=launches[0].bytes_per_sample * samples_per_second,
        wait_ratio=arithmetic_mean(np.array([one.wait_ratio for one in launches]), confidence),
        ceiling_samples_per_second=geometric_mean(known, confidence) if len(known) else None,
    )


def _wait_ratio(rank: RankReport) -> float:
    assert rank.feeding is not None
    measured = sum(window.host_nanoseconds for window in rank.windows if window.kind == "measured")
    return rank.feeding.wait_nanoseconds / measured


def _seconds_of_a_batch(ranks: Sequence[RankReport]) -> float | None:
    """Return the mean seconds in which the slowest rank took a batch without training, or None where one has none."""
    taken = [() if rank.parts is None else rank.parts.nanoseconds.get("pipeline", ()) for rank in ranks]
    return None if any(not one for one in taken) else max(float(np.mean(one)) for one in taken) / 1e9
