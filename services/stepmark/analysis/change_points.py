"""Fit levels and slopes to a noisy series whose noise is autocorrelated.

Candidates are the best divisions into one to six constant levels, and the same with a slope in the last segment, by
segment neighbourhood search (Auger and Lawrence, Bull. Math. Biol. 51, 1989), which is exact. Their noise is taken as
AR(1), with its coefficient fitted to each candidate's own residuals. A level that was missed looks like
autocorrelation, and a level that was invented takes autocorrelation away, so both hypotheses are judged by the
innovations they leave. A further change must gain more log-likelihood than it does by chance. That threshold rises with
the autocorrelation. Simulation set it so that something is found in at most one of twenty series of nothing but noise,
at autocorrelations up to 0.9 (printed by benchmarks/steady_truth.py).
"""

import functools
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_CHANGES_MOST = 5
_MEMORY_MOST = 0.98
_TINY = 1e-12  # keeps logarithms finite for log step times without any noise


@dataclass(frozen=True)
class Fit:
    """Store a piecewise constant shape fitted to `values` of shape (n,); the last segment may have a slope.

    `starts` holds the first index of each segment, beginning with 0. `change` is what the slope adds over the whole
    last segment, 0 without a slope. `memory` is the lag-1 autocorrelation of the residuals, 0 to 0.98. `deviance` is n
    times the log of the innovations' variance, which is -2 times the AR(1) log-likelihood up to a constant.
    `residual_power` is the sum of squared residuals.
    """

    starts: tuple[int, ...]
    sloped: bool
    change: float
    memory: float
    deviance: float
    residual_power: float

    def variance_of_mean(self, n: int) -> float:
        """Return n times the variance of a mean of n values.

        This is the long-run variance s^2 (1 + r) / (1 - r) of AR(1) noise. r is corrected for its bias of -(p + (p + 2)
        r) / n after p fitted parameters (Kendall, Biometrika 41, 1954, for one: -(1 + 3 r) / n).
        """
        p = len(self.starts) + self.sloped
        memory = min(self.memory + (p + (p + 2) * self.memory) / n, 0.97)
        return self.residual_power / max(n - p, 1) * (1 + memory) / (1 - memory)


def best_fit(values: Array, least: int) -> Fit:
    """Return the simplest shape that no more complex one beats.

    `least` is the smallest length of every segment but the first.
    """
    candidates = [fit(values, starts, sloped) for starts, sloped in _divisions(values - values.mean(), least)]
    for chosen in sorted(candidates, key=lambda candidate: (len(candidate.starts), candidate.sloped)):
        if not any(chosen.deviance - other.deviance > _bar(chosen, other) for other in candidates):
            return chosen
    raise AssertionError("nothing is more complex than the last")


def _bar(chosen: Fit, other: Fit) -> float:
    """Return the deviance that `other` must gain over `chosen`, so that it is not found where there is nothing.

    The result is infinite unless `other` has more changes, or as many changes and a slope that `chosen` lacks.
    """
    changes, slopes = len(other.starts) - len(chosen.starts), other.sloped - chosen.sloped
    if changes < 0 or (changes == 0 and slopes <= 0):
        return float("inf")
    for_changes = 14 + 18 * min(max((chosen.memory - 0.5) / 0.4, 0.0), 1.3) + 12 * (changes - 1) if changes else 0.0
    for_slope = 8 + 16 * max((chosen.memory - 0.4) / 0.5, 0.0)
    return for_changes + slopes * for_slope


def fit(values: Array, starts: tuple[int, ...], sloped: bool) -> Fit:
    """Fit one division by least squares, and AR(1) noise to its residuals."""
    n = len(values)
    lengths = np.array([end - start for start, end in itertools.pairwise((*starts, n))])
    residuals = values - np.repeat(np.add.reduceat(values, starts) / lengths, lengths)
    change = 0.0
    if sloped:
        last = residuals[starts[-1] :]
        ramp = np.arange(len(last)) - (len(last) - 1) / 2
        slope = float(ramp @ last) / max(float(ramp @ ramp), _TINY)
        last -= slope * ramp
        change = slope * len(last)
    power = float(residuals @ residuals) + _TINY
    memory = min(max(float(residuals[1:] @ residuals[:-1]) / power, 0.0), _MEMORY_MOST)
    return Fit(starts, sloped, change, memory, n * float(np.log(power * (1 - memory**2))), power)


def _divisions(values: Array, least: int) -> list[tuple[tuple[int, ...], bool]]:
    """Return the best division for each number of changes, with a flat and with a sloped last segment."""
    n = len(values)
    costs, sloped_costs = _costs(values, least)
    found: list[tuple[tuple[int, ...], bool]] = [((0,), False), ((0,), True)]
    best = costs[:, 0]  # [end]: least cost of the first `end` values in the current number of segments
    before: list[NDArray[np.int64]] = []
    for _ in range(_CHANGES_MOST):
        if np.isfinite(with_slope := best + sloped_costs).any():
            found.append((_trace(before, int(np.argmin(with_slope))), True))
        totals = costs + best  # [end, start of the last segment]
        before.append(np.argmin(totals, axis=1))
        best = totals.min(axis=1)
        if not np.isfinite(best[n]):
            break
        found.append((_trace(before[:-1], int(before[-1][n])), False))
    return found


def _trace(before: list[NDArray[np.int64]], start: int) -> tuple[int, ...]:
    """Return the starts of all segments, including 0 for the first one, given the start of the last."""
    starts = [start]
    for table in reversed(before):
        starts.append(int(table[starts[-1]]))
    return (0, *starts[::-1])


def _costs(values: Array, least: int) -> tuple[Array, Array]:
    """Return the squared residuals of a level and of a line.

    Those of a level are over values[start:end], at [end, start]; those of a line are over values[start:].
    """
    n = len(values)
    lengths, forbidden = _lengths(n, least)
    sums, squares = _cumulated(values), _cumulated(values**2)
    costs = squares[:, None] - squares - (sums[:, None] - sums) ** 2 / lengths
    costs[forbidden] = np.inf
    length = np.arange(n, -1, -1.0)
    moments = _cumulated(np.arange(n) * values)
    middle = np.arange(n + 1) + (length - 1) / 2
    covered = (moments[n] - moments) - middle * (sums[n] - sums)
    ramps = length * (length**2 - 1) / 12
    return costs, costs[n] - np.divide(covered**2, ramps, out=np.zeros(n + 1), where=ramps > 0)


@functools.lru_cache(maxsize=16)
def _lengths(n: int, least: int) -> tuple[Array, NDArray[np.bool_]]:
    """Return the lengths end - start, at least 1, and which are too short; the first segment may have any length."""
    lengths = np.arange(n + 1.0)[:, None] - np.arange(n + 1.0)
    forbidden = lengths < least
    forbidden[1:, 0] = False
    return np.maximum(lengths, 1.0), forbidden


def _cumulated(values: Array) -> Array:
    return np.concatenate([[0.0], np.cumsum(values)])
