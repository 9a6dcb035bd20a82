"""Log ratios under t: Welch's test of two independent groups of launches, and Holm's step-down over many tests.

Where it is known how much campaigns differ, that is part of the standard error.

B. L. Welch, "The generalization of 'Student's' problem when several different population variances are involved",
Biometrika 34, 1947. S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 1979:
it holds the family-wise error whatever the dependence between the tests, and cells that share blocks, or one campaign
effect, do depend. Sums of variances have the degrees of freedom of F. E. Satterthwaite, Biometrics Bulletin 2, 1946.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from stepmark.analysis.intervals import Estimate, around_log, t_quantile

LEAST_VARIANCE = 1e-18  # of a logarithm: below what a clock of 1 ns tells of a step of 1 s; keeps 0 / 0 away


@dataclass(frozen=True)
class LogRatio:
    """The estimate of a log ratio, with its standard error and degrees of freedom."""

    log_ratio: float
    standard_error: float
    degrees: float

    @property
    def p_value(self) -> float:
        """Two-sided, of no difference."""
        return float(2 * special.stdtr(self.degrees, -abs(self.log_ratio) / self.standard_error))

    def ratio(self, confidence: float) -> Estimate:
        """The ratio, with its interval at this level."""
        return around_log(self.log_ratio, t_quantile(confidence, self.degrees) * self.standard_error)


class Welch(LogRatio):
    """Of mean logarithms, new over old."""

    def with_campaigns(self, variance: float, degrees: float) -> "Welch":
        """With what two campaigns, one a side, add: each has this variance, known with so many degrees of freedom."""
        added = 2 * variance
        total = self.standard_error**2 + added
        left = self.standard_error**4 / self.degrees + added**2 / degrees
        return Welch(self.log_ratio, float(np.sqrt(total)), total**2 / left)


def welch(old: ArrayLike, new: ArrayLike) -> Welch:
    """Of positive figures, one per block, in the same unit, shapes (blocks of old,) and (blocks of new,), each >= 2."""
    logs = [np.log(np.asarray(values, dtype=np.float64)) for values in (old, new)]
    if min(map(len, logs)) < 2:
        raise ValueError(f"two figures a side are needed, found {len(logs[0])} and {len(logs[1])}")
    shares = np.array([max(float(x.var(ddof=1)), LEAST_VARIANCE) / len(x) for x in logs])
    degrees = shares.sum() ** 2 / sum(share**2 / (len(x) - 1) for share, x in zip(shares, logs, strict=True))
    return Welch(float(logs[1].mean() - logs[0].mean()), float(np.sqrt(shares.sum())), float(degrees))


def holm(p_values: ArrayLike, alpha: float) -> tuple[list[float], float]:
    """Adjusted p-values in the same order, and the one interval level that says the same.

    A test is rejected where its adjusted p-value is at most `alpha`. With R of m rejected, the intervals at
    1 - alpha / (m - R) exclude 1 for exactly these: rejected p-values are at most alpha / (m - R + 1), and the next one
    exceeds alpha / (m - R). With all rejected the level is 1 - alpha.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order, count = np.argsort(values, kind="stable"), len(values)
    steps = values[order] * (count - np.arange(count))
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    left = count - int((adjusted <= alpha).sum())
    return adjusted.tolist(), 1 - alpha / max(left, 1)
