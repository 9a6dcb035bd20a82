"""Where a step's time goes: input, compute, exposed communication, waiting for stragglers, update.

The parts come from variants of the step that are timed in one process, interleaved, each after a barrier outside the
clock. A step minus the same step without the exchange charges a straggler's delay to communication on every faster
rank: with 13 ms of exchange and one rank 15 ms late it reads 28 ms there. Only the last rank to arrive waits for
nobody, so the smallest difference over the ranks is the exchange itself, and what is left of a rank's own is waiting.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

_ADDS_UP = 0.05  # of the step: parts timed apart differ by up to 3 % from the step itself


class Breakdown(BaseModel):
    """Seconds of one step, as means over the ranks; None where nothing was measured.

    input + compute + exposed communication + wait + update + unexplained = step, exactly. `compute` is forward and
    backward where they were timed, otherwise what remains (then `unexplained` and `adds_up` are None). Nothing is
    clamped: a negative part says that the noise is larger than the part.
    `wait`: for ranks that are slow *persistently*. What ranks lose to each other's jitter, now to one, now to another,
    all lose alike: it stays in the exposed communication.
    `overlap`: 1 - exposed / isolated: the share of the exchange that hides behind compute. Negative where the exchange
    is slower during training than alone, as on CPU, where both want the same cores.
    `bus_bytes_per_second`: bytes / isolated seconds * 2 (n - 1) / n, an all-reduce's bus bandwidth after nccl-tests
    doc/PERFORMANCE.md; comparable across worker counts, and with the hardware's figure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ranks: int
    step_seconds: float
    input_seconds: float | None
    compute_seconds: float
    exposed_communication_seconds: float
    wait_seconds: float
    update_seconds: float | None
    unexplained_seconds: float | None
    rank_wait_seconds: tuple[float, ...]
    isolated_all_reduce_seconds: float | None
    overlap: float | None
    bus_bytes_per_second: float | None
    adds_up: bool | None
    notes: tuple[str, ...]


def breakdown(
    *,
    step: ArrayLike,
    step_without_reduce: ArrayLike,
    forward_backward: ArrayLike | None = None,
    update: ArrayLike | None = None,
    input_wait: ArrayLike | None = None,
    isolated_all_reduce: ArrayLike | None = None,
    reduced_bytes: int | None = None,
) -> Breakdown:
    """Split a step; all times in seconds, per rank: medians of shape (ranks,), or samples of shape (ranks, samples).

    `step_without_reduce`: the same step with no exchange (`no_sync`, or the explicit engine without its reduce).
    `input_wait`: the part of the step that waits for its batch. `isolated_all_reduce`: the same buckets exchanged
    alone; its mean over the ranks counts, as in nccl-tests. `reduced_bytes`: bytes of gradients of one rank and step.
    """
    whole, own = _per_rank(step), _per_rank(step_without_reduce)
    ranks = len(whole)
    parts = {"forward_backward": forward_backward, "update": update, "input_wait": input_wait}
    mean = {name: None if part is None else _mean(part, ranks, name) for name, part in parts.items()}
    _same_length(own, ranks, "step_without_reduce")
    difference = whole - own
    exposed = float(difference.min())
    known = (mean["input_wait"] or 0.0) + (mean["update"] or 0.0)
    remains = float(own.mean()) - known
    compute = remains if mean["forward_backward"] is None else mean["forward_backward"]
    unexplained = None if mean["forward_backward"] is None else remains - compute
    isolated = None if isolated_all_reduce is None else _mean(isolated_all_reduce, ranks, "isolated_all_reduce")
    adds_up = None if unexplained is None else abs(unexplained) <= _ADDS_UP * float(whole.mean())
    return Breakdown(
        ranks=ranks,
        step_seconds=float(whole.mean()),
        input_seconds=mean["input_wait"],
        compute_seconds=compute,
        exposed_communication_seconds=exposed,
        wait_seconds=float(difference.mean()) - exposed,
        update_seconds=mean["update"],
        unexplained_seconds=unexplained,
        rank_wait_seconds=tuple((difference - exposed).tolist()),
        isolated_all_reduce_seconds=isolated,
        overlap=1 - exposed / isolated if isolated else None,
        bus_bytes_per_second=bus_bytes_per_second(reduced_bytes, isolated, ranks),
        adds_up=adds_up,
        notes=_notes(whole, exposed, compute, adds_up),
    )


def bus_bytes_per_second(reduced_bytes: int | None, seconds: float | None, ranks: int) -> float | None:
    """Bus bandwidth of an all-reduce (nccl-tests doc/PERFORMANCE.md); None for one rank, which moves nothing."""
    if not reduced_bytes or not seconds or ranks < 2:
        return None
    return reduced_bytes / seconds * 2 * (ranks - 1) / ranks


def _per_rank(times: ArrayLike) -> NDArray[np.float64]:
    """Medians, shape (ranks,)."""
    array = np.asarray(times, dtype=np.float64)
    if array.ndim not in (1, 2) or not array.size or not np.isfinite(array).all():
        raise ValueError("times are finite, of shape (ranks,) or (ranks, samples)")
    return array if array.ndim == 1 else np.median(array, axis=1)


def _mean(times: ArrayLike, ranks: int, name: str) -> float:
    return float(_same_length(_per_rank(times), ranks, name).mean())


def _same_length(array: NDArray[np.float64], ranks: int, name: str) -> NDArray[np.float64]:
    if len(array) != ranks:
        raise ValueError(f"{name} has {len(array)} ranks, and step has {ranks}")
    return array


def _notes(step: NDArray[np.float64], exposed: float, compute: float, adds_up: bool | None) -> tuple[str, ...]:
    """What a reader must know before believing the split."""
    notes = []
    if np.ptp(step) > _ADDS_UP * step.mean():
        notes.append(
            f"ranks differ by {np.ptp(step) / step.mean():.0%} in their step: they did not wait for each other"
        )
    if exposed < 0:
        notes.append("a step without the exchange took longer than one with it: the exchange is smaller than the noise")
    if compute < 0:
        notes.append("input and update together exceed the step without the exchange")
    if adds_up is False:
        notes.append(f"the parts do not add up to the step within {_ADDS_UP:.0%}")
    return tuple(notes)
