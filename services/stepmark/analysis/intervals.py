"""Compute intervals over per-block figures. The block, with its fresh zygotes, is the independent unit.

They are t-intervals on logarithms, and intervals of ordered values where figures lie at two levels.
"""

from collections.abc import Mapping

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from stepmark.analysis.levels import median_interval, two_levels

CONFIDENCE = 0.95
_MOST_LOG = 700.0  # exp() of more is infinite, which JSON cannot express, and exp() of less than its negative is 0


class Estimate(BaseModel):
    """Store a value with its 95 % interval. `low` and `high` are None where it is based on fewer than two blocks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float | None
    high: float | None

    def excludes(self, value: float) -> bool:
        """Return whether there is an interval and it lies wholly on one side of `value`."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high

    @property
    def relative_half_width(self) -> float | None:
        """Return half the interval's width on the log scale, or None without an interval: 0.01 is plus or minus 1 %."""
        if self.low is None or self.high is None:
            return None
        return float((np.log(self.high) - np.log(self.low)) / 2)


def geometric_mean(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> Estimate:
    """Return the geometric mean of positive per-block values, of shape (blocks,), with a t-interval on logarithms.

    With launch effects of 0.5 % a bootstrap pooled over steps covered 56 % at nominal 95 %, and this interval 95 %
    (docs/measuring.md); see Hoefler and Belli, SC'15, rules 5 and 6. Take `confidence` from `stopping.confidence` where
    blocks are added until the interval is narrow, since that reduces what it covers.
    """
    logs = np.log(values)
    centre, n = float(logs.mean()), len(logs)
    if n < 2:
        return Estimate(value=float(np.exp(centre)), low=None, high=None)
    return around_log(centre, t_quantile(confidence, n - 1) * float(logs.std(ddof=1)) / np.sqrt(n))


def around_log(centre: float, half: float) -> Estimate:
    """Return the exponential of a logarithm with its interval. Ends stay finite and above 0, however wide it is."""
    low, high = (float(np.exp(np.clip(centre + side * half, -_MOST_LOG, _MOST_LOG))) for side in (-1, 1))
    return Estimate(value=float(np.exp(centre)), low=low, high=high)


def arithmetic_mean(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> Estimate:
    """Return the mean of per-block values of any sign, of shape (blocks,), with a t-interval on the values."""
    centre, n = float(values.mean()), len(values)
    if n < 2:
        return Estimate(value=centre, low=None, high=None)
    half = t_quantile(confidence, n - 1) * float(values.std(ddof=1)) / np.sqrt(n)
    return Estimate(value=centre, low=centre - half, high=centre + half)


def typical(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> Estimate:
    """Return a typical launch of positive per-block values: their geometric mean with its t-interval.

    Where the values lie at two levels (`levels.two_levels`), return their median, with an interval that holds there
    too.
    """
    if two_levels(values) is None:
        return geometric_mean(values, confidence)
    low, high = median_interval(values) or (None, None)
    return Estimate(value=float(np.exp(np.median(np.log(values)))), low=low, high=high)


def t_quantile(confidence: float, degrees: float) -> float:
    """Return the value of Student's t that this share of values stays below in absolute value."""
    return float(scipy.special.stdtrit(degrees, 0.5 + confidence / 2))


def paired_ratio(
    numerators: Mapping[int, float], denominators: Mapping[int, float], confidence: float = CONFIDENCE
) -> Estimate | None:
    """Return the typical ratio within blocks (block -> value), with its interval; None if no block has both.

    Whatever a block does to both sides alike cancels: only what differs within it is left in the interval.
    """
    ratios = ratios_within_blocks(numerators, denominators)
    return typical(ratios, confidence) if ratios.size else None


def ratios_within_blocks(numerators: Mapping[int, float], denominators: Mapping[int, float]) -> NDArray[np.float64]:
    """Return the ratio of each block that has both, in the order of blocks, of shape (blocks,)."""
    common = sorted(numerators.keys() & denominators.keys())
    return np.array([numerators[block] / denominators[block] for block in common])
