"""Intervals over per-block figures. The block, with its fresh zygotes, is the independent unit.

By t on their logarithms; by ordered values where they lie at two levels.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import special

from stepmark.analysis.levels import median_interval, two_levels

CONFIDENCE = 0.95
_MOST_LOG = 700.0  # exp() of more is infinite, which JSON has no word for, and of less than its negative 0


class Estimate(BaseModel):
    """A value with its 95 % interval. `low` and `high` are None where fewer than two blocks stand behind it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float | None
    high: float | None

    def excludes(self, value: float) -> bool:
        """Whether the interval is there and lies wholly on one side of `value`."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high

    @property
    def relative_half_width(self) -> float | None:
        """Half the interval's width on the log scale: 0.01 is plus or minus 1 %."""
        if self.low is None or self.high is None:
            return None
        return float((np.log(self.high) - np.log(self.low)) / 2)


def geometric_mean(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> Estimate:
    """The geometric mean of positive per-block values, shape (blocks,), with a t-interval on their logarithms.

    With launch effects of 0.5 % a bootstrap pooled over steps covered 56 % at nominal 95 %, this one 95 %
    (docs/measuring.md); Hoefler and Belli, SC'15, rules 5 and 6. `confidence`: `stopping.confidence` where blocks are
    added until the interval is narrow, since that takes away from what it covers.
    """
    logs = np.log(values)
    centre, n = float(logs.mean()), len(logs)
    if n < 2:
        return Estimate(value=float(np.exp(centre)), low=None, high=None)
    return around_log(centre, t_quantile(confidence, n - 1) * float(logs.std(ddof=1)) / np.sqrt(n))


def around_log(centre: float, half: float) -> Estimate:
    """The exponential of a logarithm with its interval; ends stay finite and above 0, also of the widest intervals."""
    low, high = (float(np.exp(np.clip(centre + side * half, -_MOST_LOG, _MOST_LOG))) for side in (-1, 1))
    return Estimate(value=float(np.exp(centre)), low=low, high=high)


def arithmetic_mean(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> Estimate:
    """The mean of per-block values of any sign, shape (blocks,), with a t-interval on the values themselves."""
    centre, n = float(values.mean()), len(values)
    if n < 2:
        return Estimate(value=centre, low=None, high=None)
    half = t_quantile(confidence, n - 1) * float(values.std(ddof=1)) / np.sqrt(n)
    return Estimate(value=centre, low=centre - half, high=centre + half)


def typical(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> Estimate:
    """A typical launch, of positive per-block values: their geometric mean with its t-interval.

    Where they lie at two levels (`levels.two_levels`) it is their median, with an interval that holds there too.
    """
    if two_levels(values) is None:
        return geometric_mean(values, confidence)
    low, high = median_interval(values) or (None, None)
    return Estimate(value=float(np.exp(np.median(np.log(values)))), low=low, high=high)


def t_quantile(confidence: float, degrees: float) -> float:
    """Student's t that this share of values stays below in absolute value."""
    return float(special.stdtrit(degrees, 0.5 + confidence / 2))


def paired_ratio(
    numerators: Mapping[int, float], denominators: Mapping[int, float], confidence: float = CONFIDENCE
) -> Estimate | None:
    """The typical ratio within blocks (block -> value), with its interval; None if no block has both.

    Whatever a block does to both sides alike cancels: only what differs within it is left in the interval.
    """
    common = sorted(numerators.keys() & denominators.keys())
    if not common:
        return None
    return typical(np.array([numerators[block] / denominators[block] for block in common]), confidence)
