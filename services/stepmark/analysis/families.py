"""Correct the comparisons of a run as one family: its claims together are wrong in at most 5 % of runs.

The method is Holm's procedure (`welch.holm`) over paired t-tests. Five blocks say little about a comparison's own
spread, and Holm over 48 comparisons needs an error of 0.1 % in the first, where t with four degrees of freedom is 8.6.
The spreads of the other comparisons of the run say more: variances are moderated by them as G. K. Smyth does for genes
("Linear models and empirical Bayes methods", Stat. Appl. Genet. Mol. Biol. 3, 2004, section 6.2), with three reserves
that his setting does not need, since a run has few comparisons and their spreads may differ by an order of magnitude:

* A variance is never made smaller than its own estimate: the other comparisons lend degrees of freedom only.
* They lend at most eight degrees of freedom, and at most half of their own number.
* The family is tested at 3.5 % where 5 % is promised, also where blocks are added until intervals are narrow.

benchmarks/interval_coverage.py simulates the rates of false claims and the power; docs/measuring.md has the figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

from stepmark.analysis.intervals import CONFIDENCE, Estimate
from stepmark.analysis.levels import Levels, median_interval, sign_p_value, two_levels
from stepmark.analysis.welch import LEAST_VARIANCE, LogRatio, holm

Array = NDArray[np.float64]

FAMILY_ERROR = round(1 - CONFIDENCE, 6)
TESTED_AT = 0.035
_LENT_MOST = 8.0


class Paired(Protocol):
    """Describe one comparison of the family."""

    @property
    def p_value(self) -> float:
        """Return the two-sided p-value of no difference."""

    def ratio(self, confidence: float) -> Estimate:
        """Return candidate over reference, with its interval."""


@dataclass(frozen=True)
class MedianShift:
    """Test paired log ratios at two levels by their median, an interval of ordered values, and the sign test.

    Few blocks give no interval at the level of a large family. It then ends at the outermost ratios, and the p-value
    alone decides on a claim.
    """

    logs: tuple[float, ...]
    levels: Levels

    @property
    def p_value(self) -> float:
        """Return the two-sided p-value of the sign test."""
        return sign_p_value(np.array(self.logs))

    def ratio(self, confidence: float) -> Estimate:
        """Return the median ratio, with its interval."""
        low, high = median_interval(np.array(self.logs), confidence) or (min(self.logs), max(self.logs))
        return Estimate(value=float(np.exp(np.median(self.logs))), low=float(np.exp(low)), high=float(np.exp(high)))


@dataclass(frozen=True)
class Family:
    """Store the tests in the order given, their adjusted p-values, and the interval level that agrees with these."""

    tests: tuple[Paired, ...]
    p_adjusted: tuple[float, ...]
    interval_level: float


def family(logs: Sequence[Array]) -> Family:
    """Test log ratios: one array of shape (blocks,) for each comparison, each of two blocks or more."""
    levels = [two_levels(np.exp(one)) for one in logs]
    plain = [one for one, found in zip(logs, levels, strict=True) if found is None]
    moderated = iter(_moderated(plain))
    tests: list[Paired] = [
        MedianShift(tuple(one.tolist()), found) if found is not None else next(moderated)
        for one, found in zip(logs, levels, strict=True)
    ]
    adjusted, level = holm([test.p_value for test in tests], TESTED_AT)
    return Family(tuple(tests), tuple(adjusted), level)


def _moderated(logs: Sequence[Array]) -> list[LogRatio]:
    variances = np.array([max(float(one.var(ddof=1)), LEAST_VARIANCE) for one in logs])
    degrees = np.array([len(one) - 1 for one in logs], dtype=np.float64)
    common, lent = _common_variance(variances, degrees)
    pooled = np.maximum(variances, (lent * common + degrees * variances) / (lent + degrees))
    return [
        LogRatio(float(one.mean()), float(np.sqrt(variance / len(one))), float(own + lent))
        for one, variance, own in zip(logs, pooled, degrees, strict=True)
    ]


def _common_variance(variances: Array, degrees: Array) -> tuple[float, float]:
    """Return Smyth's s0^2 and d0: the others' variance, and the degrees of freedom that it lends.

    They are found by the moments of log variances.
    """
    most = min(_LENT_MOST, (len(variances) - 1) / 2)
    if most <= 0:
        return 0.0, 0.0
    shifted = np.log(variances) - scipy.special.digamma(degrees / 2) + np.log(degrees / 2)
    excess = float(shifted.var(ddof=1) - scipy.special.polygamma(1, degrees / 2).mean())
    centre = float(shifted.mean())
    if excess <= 0:
        return float(np.exp(centre)), most
    prior = 2 * _inverse_trigamma(excess)
    return float(np.exp(centre + scipy.special.digamma(prior / 2) - np.log(prior / 2))), min(prior, most)


def _inverse_trigamma(value: float) -> float:
    """Invert the trigamma function by Newton's method on 1 / trigamma.

    The start lies below the root (Smyth 2004, appendix).
    """
    y = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(scipy.special.polygamma(1, y))
        step = trigamma * (1 - trigamma / value) / float(scipy.special.polygamma(2, y))
        y += step
        if -step / y < 1e-8:
            break
    return y
