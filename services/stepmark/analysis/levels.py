"""Find launches that run at two levels, such as rare slow ones, by the gap between them.

A t-interval assumes that launches are spread evenly around one level. Where they are not (8 % of launches are 15 %
slower; a thread lands on one of two sockets), nine or ten launches give an interval that holds the truth in 40 to 90 %
of runs. The median launch has an interval that assumes nothing but independence: the k-th smallest and k-th largest
value (Hahn and Meeker, "Statistical Intervals", 1991, 5.2).
"""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

LEAST = 5  # with fewer values, nothing can be said about levels
COVERED_LEAST = 0.93  # least coverage of an interval of ordered values; 5 values reach 93.75 %
_MATERIAL = 0.02  # a smaller gap is not reported
# The gap between two groups over the standard deviation within them that 95 % of normal samples stay below, by the
# number of values (simulated, 40,000 samples each). The last one holds for more values too.
_GAP_MOST = {5: 7.2, 6: 5.4, 7: 4.5, 8: 3.9, 9: 3.5, 10: 3.1, 15: 2.3, 20: 2.0}


@dataclass(frozen=True)
class Levels:
    """Store two levels: `low` and `high` are the geometric means of two groups, with the number of values in each."""

    low: float
    high: float
    count_low: int
    count_high: int


def two_levels(values: ArrayLike) -> Levels | None:
    """Return the two levels of positive values, of shape (launches,), or None where one level explains them.

    The largest gap on the log scale must exceed 2 %, and what chance leaves between normal values.
    """
    logs = np.sort(np.log(np.asarray(values, dtype=np.float64)))
    if len(logs) < LEAST:
        return None
    cut = int(np.argmax(np.diff(logs))) + 1
    low, high, gap = logs[:cut], logs[cut:], logs[cut] - logs[cut - 1]
    within = np.sqrt((((low - low.mean()) ** 2).sum() + ((high - high.mean()) ** 2).sum()) / (len(logs) - 2))
    limit = _GAP_MOST[max(count for count in _GAP_MOST if count <= len(logs))]
    if gap <= np.log1p(_MATERIAL) or gap <= limit * within:
        return None
    return Levels(float(np.exp(low.mean())), float(np.exp(high.mean())), len(low), len(high))


def median_interval(values: NDArray[np.float64], confidence: float = COVERED_LEAST) -> tuple[float, float] | None:
    """Return an interval for the median of what `values`, of shape (n,), were drawn from; None below five values.

    Its ends are the k-th value from either end, with the largest k for which 1 - 2 P(B <= k - 1), B binomial (n, 1/2),
    is at least `confidence`; they are the smallest and the largest value where no k is.
    """
    count = len(values)
    if count < LEAST:
        return None
    enough = [k for k in range(1, count // 2 + 1) if 1 - 2 * scipy.special.bdtr(k - 1, count, 0.5) >= confidence]
    ordered, k = np.sort(values), max(enough, default=1)
    return float(ordered[k - 1]), float(ordered[-k])


def sign_p_value(logs: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of a median of 0, by the binomial distribution.

    It is the probability of as few values on one side of 0.
    """
    fewer = int(min((logs > 0).sum(), (logs < 0).sum()))
    return min(1.0, 2 * float(scipy.special.bdtr(fewer, len(logs), 0.5)))
