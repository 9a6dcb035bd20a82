"""Test log ratios under t: Welch's test of two independent groups of launches, and Holm's step-down over many tests.

Where it is known how much campaigns differ, that is part of the standard error.

B. L. Welch, "The generalization of 'Student's' problem when several different population variances are involved",
Biometrika 34, 1947. S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 1979: the
procedure holds the family-wise error whatever the dependence between the tests, and cells that share blocks, or one
campaign effect, are dependent. Sums of variances have the degrees of freedom of F. E. Satterthwaite, Biometrics
Bulletin 2, 1946.
"""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from stepmark.analysis.intervals import Estimate, around_log, t_quantile

LEAST_VARIANCE = 1e-18  # of a logarithm: less than a clock of 1 ns can tell about a step of 1 s; avoids 0 / 0


@dataclass(frozen=True)
class LogRatio:
    """Store the estimate of a log ratio, with its standard error and degrees of freedom."""

    log_ratio: float
    standard_error: float
    degrees: float

    @property
    def p_value(self) -> float:
        """Return the two-sided p-value of no difference."""
        return float(2 * scipy.special.stdtr(self.degrees, -abs(self.log_ratio) / self.standard_error))

    def ratio(self, confidence: float) -> Estimate:
        """Return the ratio, with its interval at this level."""
        return around_log(self.log_ratio, t_quantile(confidence, self.degrees) * self.standard_error)


class Welch(LogRatio):
    """Store the difference of mean logarithms, new less old."""

    def with_campaigns(self, variance: float, degrees: float) -> "Welch":
        """Add the variance of two campaigns, one on each side, to the standard error.

        Each campaign has this variance, known with so many degrees of freedom.
        """
        added = 2 * variance
        total = self.standard_error**2 + added
        left = self.standard_error**4 / self.degrees + added**2 / degrees
        return Welch(self.log_ratio, float(np.sqrt(total)), total**2 / left)


def welch(old: ArrayLike, new: ArrayLike) -> Welch:
    """Test positive figures, one per block, in the same unit, of shapes (blocks of old,) and (blocks of new,).

    ValueError is raised where a side has fewer than two.
    """
    logs = [np.log(np.asarray(values, dtype=np.float64)) for values in (old, new)]
    if min(map(len, logs)) < 2:
        raise ValueError(f"expected two figures on each side, found {len(logs[0])} and {len(logs[1])}")
    shares = np.array([max(float(x.var(ddof=1)), LEAST_VARIANCE) / len(x) for x in logs])
    degrees = shares.sum() ** 2 / sum(share**2 / (len(x) - 1) for share, x in zip(shares, logs, strict=True))
    return Welch(float(logs[1].mean() - logs[0].mean()), float(np.sqrt(shares.sum())), float(degrees))


def holm(p_values: ArrayLike, alpha: float) -> tuple[list[float], float]:
    """Return adjusted p-values in the same order, and the one interval level that agrees with them.

    A test is rejected where its adjusted p-value is at most `alpha`. With R of m rejected, the intervals at 1 - alpha /
    (m - R) exclude 1 for exactly these: rejected p-values are at most alpha / (m - R + 1), and the next one exceeds
    alpha / (m - R). With all rejected the level is 1 - alpha.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order, count = np.argsort(values, kind="stable"), len(values)
    steps = values[order] * (count - np.arange(count))
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    left = count - int((adjusted <= alpha).sum())
    return adjusted.tolist(), 1 - alpha / max(left, 1)
