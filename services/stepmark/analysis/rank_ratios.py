"""Measure how far each rank is from the others, and what autocorrelated noise does to means.

These are the statistics of `stragglers`.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

Array = NDArray[np.float64]

_CLIP = 4.0  # robust standard deviations; a stall may fill a whole group of steps
_GROUPS_CLIPPED = 20  # with fewer groups the robust deviation is too rough: clipping by it would cause false alarms
_MAD = 1.4826  # standard deviation / median absolute deviation of a normal distribution


def log_ratios_to_others(logs: Array) -> Array:
    """Return each value less the median of its step's other ranks, of shape (ranks, steps).

    Leaving the rank itself out matters where ranks are few: of two, one that is 3 % slower is 1.5 % above their common
    median.
    """
    ranks = logs.shape[0]
    middle = ranks // 2
    if ranks % 2 == 0:
        below, above = np.partition(logs, [middle - 1, middle], axis=0)[middle - 1 : middle + 1]
        return logs - np.where(logs <= below, above, below)
    below, centre, above = np.partition(logs, [middle - 1, middle, middle + 1], axis=0)[middle - 1 : middle + 2]
    others = np.where(logs < centre, (centre + above) / 2, np.where(logs > centre, (below + centre) / 2, 0))
    return logs - np.where(logs == centre, (below + above) / 2, others)


def spread(times: Array) -> Array:
    """Return (slowest - median) / median over the ranks of each step, of shape (steps,)."""
    middle = np.median(times, axis=0)
    found: Array = (times.max(axis=0) - middle) / middle
    return found


def slowest_share(launches: Sequence[NDArray[Any]]) -> Array:
    """Return the share of all steps in which each rank was the last, of shape (ranks,)."""
    slowest = np.concatenate([np.argmax(one, axis=0) for one in launches])
    return np.asarray(np.bincount(slowest, minlength=len(launches[0])) / len(slowest))


def centred(ratios: Array) -> Array:
    """Return each rank's ratios less their median, of shape (ranks, steps)."""
    return np.asarray(ratios - np.median(ratios, axis=1, keepdims=True))


def jitter(ratios: Array) -> Array:
    """Return the robust standard deviation of each rank's noise, of shape (ranks,)."""
    return np.asarray(_MAD * np.median(np.abs(centred(ratios)), axis=1))


def expected_spread(launches: Sequence[Array]) -> float:
    """Return the mean of the largest of n jitters of the typical size.

    `launches` holds ratios of shape (ranks, steps) each. The normal order statistic follows Blom (1958).
    """
    ranks = len(launches[0])
    typical = float(np.median(jitter(np.concatenate([centred(one) for one in launches], axis=1))))
    return float(np.expm1(typical * scipy.special.ndtri((ranks - 0.375) / (ranks + 0.25))))


def memory(ratios: Array) -> float:
    """Return the lag-1 autocorrelation of a typical rank's noise, 0 to 0.95. Clipping makes it robust to spikes."""
    noise = centred(ratios)
    limit = _CLIP * _MAD * np.median(np.abs(noise), axis=1, keepdims=True)
    clipped = np.clip(noise, -limit, limit)
    power = np.einsum("rs,rs->r", clipped, clipped)
    lagged = np.einsum("rs,rs->r", clipped[:, 1:], clipped[:, :-1])
    return float(np.clip(np.median(lagged / np.maximum(power, 1e-300)), 0.0, 0.95))


def effects_of_groups(ratios: Array, width: int, memory: float) -> tuple[Array, Array, int]:
    """Return each rank's mean log ratio and its standard error, of shape (ranks,) each, and the degrees of freedom.

    The unit is the median of `width` neighbouring steps, which is nearly independent of the next one.
    """
    count = ratios.shape[1] // width
    groups = np.median(ratios[:, : count * width].reshape(len(ratios), count, width), axis=2)
    if count >= _GROUPS_CLIPPED:
        centre = np.median(groups, axis=1, keepdims=True)
        limit = _CLIP * _MAD * np.median(np.abs(groups - centre), axis=1, keepdims=True)
        groups = np.clip(groups, centre - limit, centre + limit)
    deviation = groups.std(axis=1, ddof=1)
    inflation = count * variance_of_mean(count * width, memory) / variance_of_mean(width, memory)
    error = np.sqrt(deviation**2 * inflation / count)
    return groups.mean(axis=1), np.maximum(error, 1e-12), count - 1


def variance_of_mean(length: int, memory: float) -> float:
    """Return the variance of the mean of `length` values of an AR(1) process of unit variance (Priestley 1981, 5.3)."""
    gap = 1 - memory
    return ((1 + memory) / gap - 2 * memory * (1 - memory**length) / (length * gap**2)) / length


@cache
def errors_needed(degrees: int, level: float, power: float) -> float:
    """Return the true effect that a one-sided t-test at `level` finds with this power, in *estimated* standard errors.

    The power of a t-test at a true effect d is 1 - F(t | noncentrality d / true error). Only an estimate of the true
    error with `degrees` is known, so the power is averaged over what the true error may be (chi squared). Otherwise few
    launches with little noise by luck would promise too much.
    """
    critical = float(scipy.special.stdtrit(degrees, 1 - level))
    over_true_error = np.sqrt(scipy.special.chdtri(degrees, 1 - (np.arange(200) + 0.5) / 200) / degrees)

    def lacks(needed: float) -> float:
        return float(np.mean(scipy.special.nctdtr(degrees, needed * over_true_error, critical))) - (1 - power)

    high = 4 * critical + 4
    while lacks(high) > 0 and high < 1e4:
        high *= 2
    return float(scipy.optimize.brentq(lacks, 0.0, high)) if lacks(high) <= 0 else float("inf")
