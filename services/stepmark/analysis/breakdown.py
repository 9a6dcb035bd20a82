"""Split a step's time into input, compute, exposed communication, waiting for stragglers, and update.

The parts come from variants of the step that are timed in one process, interleaved, each after a barrier that is not
timed. A step minus the same step without the exchange charges a straggler's delay to communication on every faster
rank: with 13 ms of exchange and one rank 15 ms late, the difference is 28 ms there. Only the last rank to arrive waits
for no other, so the smallest difference over the ranks is the exchange itself, and the rest of a rank's difference is
waiting.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

from stepmark.analysis.intervals import CONFIDENCE, Estimate, arithmetic_mean, geometric_mean

_RANKS_APART = 0.05  # relative to the step
_STEP_APART = 0.05  # relative to the cell's own step: each step of the split begins at a barrier, which costs a little
_STEP_APART_OF_ONE = 0.10  # the same for a split of a single launch, which has no interval


@dataclass(frozen=True)
class LaunchSplit:
    """Store the seconds of one step of one launch, as means over the ranks; None where nothing was measured.

    input + compute + exposed communication + wait + update = step, exactly: each part is the difference of a step and
    the same step with less in it, so that all are timed in the same way. `compute` includes the update where a step
    without the update was not timed. Nothing is clamped: a negative part says that the noise is larger than the part.
    """

    step: float
    input: float | None
    compute: float
    exposed: float
    rank_wait: NDArray[np.float64]
    update: float | None
    isolated: float | None
    overlap: float | None
    bus: float | None
    ranks_apart: float

    @property
    def wait(self) -> float:
        """Return the mean wait over the ranks, in seconds."""
        return float(self.rank_wait.mean())


class Breakdown(BaseModel):
    """Store the seconds of one step: means of `LaunchSplit` over launches, one per block, with t-intervals over blocks.

    The values of the parts add up to that of the step. Their intervals are of differences, not of logarithms, since a
    part may be negative. `wait_seconds` is the waiting for ranks that are slow for a whole launch. Jitter delays now
    one rank and now another, so all ranks lose alike to it, and it stays in the exposed communication.
    `rank_wait_seconds` holds means over launches, by rank. `overlap` is 1 - exposed / isolated, the share of the
    exchange that hides behind compute. It is negative where the exchange is slower during training than alone, as on
    CPU, where both want the same cores. `bus_bytes_per_second` is bytes / isolated seconds * 2 (n - 1) / n, an
    all-reduce's bus bandwidth after nccl-tests doc/PERFORMANCE.md; it can be compared across worker counts, and with
    the hardware's figure. `step_ratio` is the split's step over the median step of the same launch's window. `notes`
    lists what to know before believing the split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ranks: int
    launches: int
    step_seconds: Estimate
    input_seconds: Estimate | None
    compute_seconds: Estimate
    exposed_communication_seconds: Estimate
    wait_seconds: Estimate
    update_seconds: Estimate | None
    rank_wait_seconds: tuple[float, ...]
    isolated_all_reduce_seconds: Estimate | None
    overlap: Estimate | None
    bus_bytes_per_second: Estimate | None
    step_ratio: Estimate
    notes: tuple[str, ...]


def launch_split(
    *,
    step: ArrayLike,
    step_without_reduce: ArrayLike,
    step_without_update: ArrayLike | None = None,
    input_wait: ArrayLike | None = None,
    isolated_all_reduce: ArrayLike | None = None,
    reduced_bytes: int | None = None,
) -> LaunchSplit:
    """Split a step of one launch into its parts.

    All times are in seconds, per rank: medians of shape (ranks,), or samples of shape (ranks, samples).
    `step_without_reduce` is the same step with no exchange (`no_sync`, or the explicit engine without its reduce).
    `step_without_update` also lacks the update. `input_wait` is the time to place the batch, where each step does so.
    `isolated_all_reduce` is the exchange of the same buckets alone; its mean over the ranks counts, as in nccl-tests.
    `reduced_bytes` are the bytes of gradients of one rank and step. ValueError is raised for times that are not finite,
    or of different numbers of ranks.
    """
    whole = _per_rank(step)
    ranks = len(whole)
    own = _same_length(_per_rank(step_without_reduce), ranks, "step_without_reduce")
    placing = None if input_wait is None else _mean(input_wait, ranks, "input_wait")
    without_update = None if step_without_update is None else _mean(step_without_update, ranks, "step_without_update")
    bare = float(own.mean()) if without_update is None else without_update
    difference = whole - own
    exposed = float(difference.min())
    isolated = None if isolated_all_reduce is None else _mean(isolated_all_reduce, ranks, "isolated_all_reduce")
    return LaunchSplit(
        step=float(whole.mean()),
        input=placing,
        compute=bare - (placing or 0.0),
        exposed=exposed,
        rank_wait=difference - exposed,
        update=None if without_update is None else float(own.mean()) - without_update,
        isolated=isolated,
        overlap=1 - exposed / isolated if isolated else None,
        bus=bus_bytes_per_second(reduced_bytes, isolated, ranks),
        ranks_apart=float(np.ptp(whole) / whole.mean()),
    )


def breakdown(
    splits: Sequence[LaunchSplit], own_step_seconds: Sequence[float], confidence: float = CONFIDENCE
) -> Breakdown:
    """Average the splits of launches with the same number of ranks, in independent blocks.

    `own_step_seconds` is the median step of each launch's window, which the split's step should be near.
    """

    def over_launches(name: str) -> Estimate | None:
        values = [getattr(split, name) for split in splits]
        return None if None in values else arithmetic_mean(np.array(values, dtype=np.float64), confidence)

    def known(name: str) -> Estimate:
        return arithmetic_mean(np.array([getattr(split, name) for split in splits]), confidence)

    ratio = geometric_mean(np.array([s.step for s in splits]) / np.array(own_step_seconds), confidence)
    return Breakdown(
        ranks=len(splits[0].rank_wait),
        launches=len(splits),
        step_seconds=known("step"),
        input_seconds=over_launches("input"),
        compute_seconds=known("compute"),
        exposed_communication_seconds=known("exposed"),
        wait_seconds=known("wait"),
        update_seconds=over_launches("update"),
        rank_wait_seconds=tuple(np.mean([split.rank_wait for split in splits], axis=0).tolist()),
        isolated_all_reduce_seconds=over_launches("isolated"),
        overlap=over_launches("overlap"),
        bus_bytes_per_second=over_launches("bus"),
        step_ratio=ratio,
        notes=_notes(splits, own_step_seconds, ratio),
    )


def bus_bytes_per_second(reduced_bytes: int | None, seconds: float | None, ranks: int) -> float | None:
    """Return the bus bandwidth of an all-reduce (nccl-tests doc/PERFORMANCE.md).

    The result is None where bytes or seconds are unknown, and for one rank, which moves nothing.
    """
    if not reduced_bytes or not seconds or ranks < 2:
        return None
    return reduced_bytes / seconds * 2 * (ranks - 1) / ranks


def _per_rank(times: ArrayLike) -> NDArray[np.float64]:
    """Return the medians, of shape (ranks,)."""
    array = np.asarray(times, dtype=np.float64)
    if array.ndim not in (1, 2) or not array.size or not np.isfinite(array).all():
        raise ValueError("expected finite times of shape (ranks,) or (ranks, samples), found others")
    return array if array.ndim == 1 else np.median(array, axis=1)


def _mean(times: ArrayLike, ranks: int, name: str) -> float:
    return float(_same_length(_per_rank(times), ranks, name).mean())


def _same_length(array: NDArray[np.float64], ranks: int, name: str) -> NDArray[np.float64]:
    if len(array) != ranks:
        raise ValueError(f"{name}: expected {ranks} ranks as for the step, found {len(array)}")
    return array


def _notes(splits: Sequence[LaunchSplit], own: Sequence[float], ratio: Estimate) -> tuple[str, ...]:
    """Return what a reader must know before believing the split."""
    notes = []
    if _apart(ratio):
        here, there = float(np.mean([split.step for split in splits])), float(np.mean(own))
        interval = "" if ratio.low is None else f" [{ratio.low:.2f}, {ratio.high:.2f}]"
        notes.append(
            f"steps that begin at a barrier take {here * 1e3:.2f} ms, those in the windows {there * 1e3:.2f} ms "
            f"(x {ratio.value:.2f}{interval}): the parts describe the former, not the cell's step time"
        )
    apart = float(np.mean([split.ranks_apart for split in splits]))
    if apart > _RANKS_APART:
        notes.append(f"step times differ by {apart:.0%} between ranks, so the ranks did not wait for each other")
    if np.mean([split.exposed for split in splits]) < 0:
        notes.append("a step without the exchange took longer than one with it: the exchange is smaller than the noise")
    if np.mean([split.compute for split in splits]) < 0:
        notes.append("placing the batch alone takes longer than the step without exchange and update")
    return tuple(notes)


def _apart(ratio: Estimate) -> bool:
    """Decide whether the split's step differs from the cell's by more than noise and barriers explain."""
    off = abs(ratio.value - 1)
    return off > _STEP_APART_OF_ONE if ratio.low is None else ratio.excludes(1) and off > _STEP_APART
