"""Decide whether the steps of one launch had reached a steady state, and where it begins.

`change_points` fits shapes to log step times, after outliers were clipped, over blocks of steps in long windows. The
verdicts follow Barrett et al., "Virtual Machine Warmup Blows Hot and Cold", OOPSLA 2017, with one more for windows that
are too short and too noisy to tell. A launch is not called steady only because no change could have been seen.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from stepmark.analysis.change_points import Array, Fit, best_fit

Verdict = Literal["steady", "drifting", "slowdown", "no steady state", "undecided"]

MATERIAL = 0.02  # a change over the steady part; half of it, the median's distance from both ends, is minimumEffect
DROPPED_FIRST = 10  # steps: the rule of thumb beside which the median is printed (tf_cnn_benchmarks' warm-up)

_STEPS_LEAST = 20
_SEGMENT_STEPS_LEAST = 5
_STABLE_STEPS_LEAST = 10
_BLOCKS_MOST = 100  # partitioning is quadratic: longer series are reduced to means of equal blocks
_SAME_LEVEL = 0.01  # neighbouring segments nearer than this are one level
_DRIFT = 0.005  # a smaller change over the steady part is not reported, even if it is established
_SURE = NormalDist().inv_cdf(0.98)
_CUT_AFTER_WARMUP, _CUT = 2.0, 3.0  # standard errors by which a beginning must be slower to be left out


@dataclass(frozen=True)
class SteadyState:
    """Store the steady state of one launch.

    `start` is the index of the first steady one of the times given, 0 where there is no steady state. `reason` is empty
    when steady. `change` is the relative change from the first to the last steady step, by its slope. Its absolute
    value is below `change_below` with 98 % confidence, and `steady` says that this is at most 2 %. Both are None where
    there is no steady state, or too few steps. `median_after_first_seconds` is what dropping the first ten of the given
    steps gives; None if there are no more, or if single steps were not timed. `slope` is the log change over a whole
    window by the slope of the steady steps, or of the second half of the window where that begins earlier; None for too
    few steps.
    """

    verdict: Verdict
    start: int
    reason: str
    change: float | None = None
    change_below: float | None = None
    median_after_first_seconds: float | None = None
    slope: float | None = None


def steady_state(seconds: NDArray[np.float64], material: float = MATERIAL, stamp_steps: int = 1) -> SteadyState:
    """Classify the step times of one measured window, of shape (stamps,), positive.

    A window with a relative change of `material` over the steady part is not steady; where such a change cannot be
    excluded, it is undecided. Each of the times is the mean of `stamp_steps` steps; 1 where single steps were timed.
    """
    known = stamp_steps == 1 and len(seconds) > DROPPED_FIRST
    after_first = float(np.median(seconds[DROPPED_FIRST:])) if known else None
    if len(seconds) < _STEPS_LEAST:
        return SteadyState("undecided", 0, "too few steps to look for change points", None, None, after_first)
    width = -(-len(seconds) // _BLOCKS_MOST)
    blocks = _clipped(_block_means(np.log(seconds), width))
    shape = best_fit(blocks, max(2, -(-_SEGMENT_STEPS_LEAST // width)))
    levels = _levels(blocks, shape)
    verdict, reason = _unsteady(blocks, shape, levels, width, stamp_steps)
    if verdict == "no steady state":
        return SteadyState(verdict, 0, reason, None, None, after_first, _slope(blocks, levels[-1]))
    variance = shape.variance_of_mean(len(blocks))
    start = levels[-1] if verdict == "slowdown" else _trimmed(blocks, levels[-1], variance)
    change, error = _change(blocks[start:], variance)
    below = float(np.expm1(abs(change) + _SURE * error))
    if verdict is None:
        decided = below <= material
        verdict = "steady" if decided else "undecided"
        reason = "" if decided else _undecided((len(seconds) - start * width) * stamp_steps, below)
    slope = _slope(blocks, start)
    return SteadyState(verdict, start * width, reason, float(np.expm1(change)), below, after_first, slope)


def pooled_change_below(states: Sequence[SteadyState]) -> float | None:
    """Return a bound on the change over the steady part that several launches have in common, with 98 % confidence.

    The bound is by t on the launches' changes, so that whatever differs between launches, autocorrelation included, is
    its error. A cell's launches can exclude together what none could alone. The result is None below two launches with
    a steady part.
    """
    changes = np.log1p([state.change for state in states if state.change is not None])
    n = len(changes)
    if n < 2:
        return None
    error = float(changes.std(ddof=1)) / np.sqrt(n)
    return float(np.expm1(abs(float(changes.mean())) + scipy.special.stdtrit(n - 1, 0.98) * error))


def _undecided(steps: int, below: float) -> str:
    return f"{steps} steps are too few for this noise, so a drift of up to {below:.1%} cannot be excluded"


def _block_means(values: Array, width: int) -> Array:
    """Return means of blocks of `width`, with steps clipped to 2.5 standard deviations around the block's median."""
    rows = values[: len(values) // width * width].reshape(-1, width)
    centre = np.median(rows, axis=1, keepdims=True)
    limit = 2.5 * _spread(rows - centre)
    return np.mean(centre + np.clip(rows - centre, -limit, limit), axis=1)


def _clipped(values: Array) -> Array:
    """Clip outliers to 3 standard deviations around the median of 9 neighbours.

    The standard deviation is that of first differences, which a change of level does not affect.
    """
    local = scipy.ndimage.median_filter(values, size=9, mode="nearest")
    limit = 3 * _spread(np.diff(values)) / np.sqrt(2)
    return local + np.clip(values - local, -limit, limit)


def _spread(deviations: Array) -> float:
    """Return the standard deviation, from the 90 % quantile of absolute deviations.

    Unlike the MAD, it does not treat as outliers what happens in a tenth of the steps, such as a second mode.
    """
    sizes = np.abs(deviations).ravel()
    at = int(0.9 * len(sizes))
    return max(float(np.partition(sizes, at)[at]) / 1.645, 1e-5)


def _levels(blocks: Array, shape: Fit) -> list[int]:
    """Return the starts of the levels. Segments whose medians agree within 1 % are joined, from the end backwards."""
    kept = list(shape.starts)
    for index in range(len(kept) - 1, 0, -1):
        end = kept[index + 1] if index + 1 < len(kept) else len(blocks)
        left, right = blocks[kept[index - 1] : kept[index]], blocks[kept[index] : end]
        if abs(float(np.median(left) - np.median(right))) <= _SAME_LEVEL:
            del kept[index]
    return kept


def _unsteady(blocks: Array, shape: Fit, levels: list[int], width: int, stamp_steps: int) -> tuple[Verdict | None, str]:
    """Return what is established against a steady state, or None. An earlier level counts if it held for ten steps."""
    start, n = levels[-1], len(blocks)
    if n - start < n / 3:
        return "no steady state", f"the last level holds only {(n - start) / n:.0%} of the window"
    last = float(np.median(blocks[start:]))
    held = [(a, b) for a, b in itertools.pairwise(levels) if (b - a) * width >= _STABLE_STEPS_LEAST]
    earlier = [float(np.median(blocks[a:b])) for a, b in held]
    if earlier and last - min(earlier) > _SAME_LEVEL:
        slower = np.expm1(last - min(earlier))
        return "slowdown", f"steps became {slower:.1%} slower at step {start * width * stamp_steps}"
    if abs(shape.change) > _DRIFT:
        change, _ = _change(blocks[start:], 0.0)
        return "drifting", f"steps changed by {np.expm1(change):+.1%} over the last {(n - start) * width * stamp_steps}"
    return None, ""


def _trimmed(blocks: Array, start: int, variance: float) -> int:
    """Move the start on, as long as what it leaves behind is slower than the rest, but never past the middle.

    The foot of a warm-up is too weak to be a change point, and would still bias the median. After a warm-up two
    standard errors are enough, elsewhere three are needed; leaving out too much costs a little precision only.
    `variance` is that of a mean of n blocks, times n.
    """
    while start <= len(blocks) / 2:
        rest = blocks[start:]
        n, cut = len(rest), np.arange(1, len(rest) // 2 + 1)
        sums = np.cumsum(rest)
        front, back = sums[cut - 1] / cut, (sums[-1] - sums[cut - 1]) / (n - cut)
        score = (front - back) / np.sqrt(variance * (1 / cut + 1 / (n - cut)))
        if score.max() < (_CUT_AFTER_WARMUP if start else _CUT):
            break
        start += int(cut[score.argmax()])
    return start


def _slope(blocks: Array, start: int) -> float:
    """Return the log change over all blocks, by the slope from `start` on.

    The slope of the second half is taken where `start` lies later, since a short end says little.
    """
    counted = blocks[min(start, len(blocks) // 2) :]
    return _change(counted, 0.0)[0] * len(blocks) / len(counted)


def _change(values: Array, variance: float) -> tuple[float, float]:
    """Return the change over these blocks by the least squares slope, and its standard error: sqrt(12 variance / n)."""
    n = len(values)
    ramp = np.arange(n) - (n - 1) / 2
    return float(ramp @ values / (ramp @ ramp)) * n, float(np.sqrt(12 * variance / n))
