"""Whether the steps of one launch had reached a steady state, and where it begins.

Change points in the mean of log step time by optimal partitioning (Jackson et al. 2005) over blocks of steps, with a
BIC-like penalty and the noise taken from first differences; the verdicts follow Barrett et al., arXiv 1602.00602.
"""

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

Verdict = Literal["steady", "drifting", "slowdown", "no steady state"]

_SEGMENT_STEPS_LEAST = 10
_BLOCKS_MOST = 400  # partitioning is quadratic: longer series are reduced to medians of equal blocks
_SAME_LEVEL = 0.01  # neighbouring segments nearer than this are one level
_DRIFT = 0.005  # total change over the steady part, relative
_SLOWER = 0.02  # the last level against an earlier stable one


@dataclass(frozen=True)
class SteadyState:
    """`start` is the index of the first steady step among those given, 0 where there is no steady state.

    `reason` is empty when steady.
    """

    verdict: Verdict
    start: int
    reason: str


def steady_state(seconds: NDArray[np.float64]) -> SteadyState:
    """Classify the step times of one measured window, shape (steps,)."""
    if len(seconds) < 2 * _SEGMENT_STEPS_LEAST:
        return SteadyState("steady", 0, "too few steps to look for change points")
    width = -(-len(seconds) // _BLOCKS_MOST)
    blocks = _block_medians(np.log(seconds), width)
    levels = _merge(blocks, _change_points(blocks, max(2, _SEGMENT_STEPS_LEAST // width)))
    start = levels[-1]
    last = float(np.median(blocks[start:]))
    if len(blocks) - start < len(blocks) / 3:
        share = (len(blocks) - start) / len(blocks)
        return SteadyState("no steady state", 0, f"the last level holds only {share:.0%} of the window")
    earlier = [float(np.median(blocks[a:b])) for a, b in itertools.pairwise(levels)]
    if earlier and last - min(earlier) > _SLOWER:
        slower = np.expm1(last - min(earlier))
        return SteadyState("slowdown", start * width, f"steps became {slower:.1%} slower at step {start * width}")
    drift = _drift(blocks[start:])
    if abs(drift) > _DRIFT:
        return SteadyState("drifting", start * width, f"steps changed by {drift:+.1%} over the steady part")
    return SteadyState("steady", start * width, "")


def _block_medians(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    whole = len(values) // width * width
    return np.median(values[:whole].reshape(-1, width), axis=1)


def _noise(values: NDArray[np.float64]) -> float:
    """Standard deviation from first differences, robust to level changes and outliers (MAD / 0.6745 / sqrt 2)."""
    differences = np.diff(values)
    mad = float(np.median(np.abs(differences - np.median(differences))))
    return max(mad / 0.6745 / np.sqrt(2), 1e-4)


def _change_points(values: NDArray[np.float64], least: int) -> list[int]:
    """Starts of the segments that minimise squared error / variance + penalty.

    Outliers are clipped to 3 sigma of the local median first.
    """
    noise, n = _noise(values), len(values)
    local = ndimage.median_filter(values, size=9, mode="nearest")
    clipped = local + np.clip(values - local, -3 * noise, 3 * noise)
    sums = np.concatenate([[0.0], np.cumsum(clipped)])
    squares = np.concatenate([[0.0], np.cumsum(clipped**2)])
    penalty = 3.0 * np.log(n) * max(1.0, _autocorrelation_inflation(clipped))
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    before = np.zeros(n + 1, dtype=np.int64)
    for end in range(least, n + 1):
        starts = np.arange(0, end - least + 1)
        length = end - starts
        cost = (squares[end] - squares[starts]) - (sums[end] - sums[starts]) ** 2 / length
        total = best[starts] + cost / noise**2 + penalty
        before[end] = int(np.argmin(total))
        best[end] = total[before[end]]
    points, end = [], n
    while end > 0:
        end = int(before[end])
        points.append(end)
    return points[::-1]


def _autocorrelation_inflation(values: NDArray[np.float64]) -> float:
    """(1 + r) / (1 - r) at lag 1: how much more a mean of autocorrelated steps varies, capped at 10."""
    centred = values - np.median(values)
    power = float(np.sum(centred**2))
    r = float(np.sum(centred[1:] * centred[:-1])) / power if power > 0 else 0.0
    return float(np.clip((1 + r) / (1 - min(r, 0.9)), 0.0, 10.0))


def _merge(values: NDArray[np.float64], starts: list[int]) -> list[int]:
    """Join neighbours whose medians agree within 1 % or twice the error of a median, from the end backwards."""
    kept = list(starts)
    for index in range(len(kept) - 1, 0, -1):
        end = kept[index + 1] if index + 1 < len(kept) else len(values)
        left, right = values[kept[index - 1] : kept[index]], values[kept[index] : end]
        error = 2 * 1.4826 * float(np.median(np.abs(right - np.median(right)))) / np.sqrt(len(right))
        if abs(float(np.median(left) - np.median(right))) <= max(_SAME_LEVEL, error):
            del kept[index]
    return kept


def _drift(values: NDArray[np.float64]) -> float:
    """Theil-Sen slope (Sen 1968) times length, or 0 where its 99 % interval holds 0."""
    slope, _, low, high = stats.theilslopes(values, alpha=0.99)
    return 0.0 if low <= 0 <= high else float(slope) * len(values)
