"""Intervals: t on the logarithms of per-block figures. The block, with its fresh zygotes, is the independent unit."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import stats

CONFIDENCE = 0.95


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
        return float(np.log(self.high / self.low) / 2)


def geometric_mean(values: NDArray[np.float64]) -> Estimate:
    """The geometric mean of positive per-block values, with a t-interval on their logarithms.

    With launch effects of 0.5 % a bootstrap pooled over steps covered 56 % at nominal 95 %, this one 95 %
    (docs/measuring.md); Hoefler and Belli, SC'15, rules 5 and 6.
    """
    logs = np.log(values)
    centre, n = float(logs.mean()), len(logs)
    if n < 2:
        return Estimate(value=float(np.exp(centre)), low=None, high=None)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1) * logs.std(ddof=1) / np.sqrt(n))
    return Estimate(value=float(np.exp(centre)), low=float(np.exp(centre - half)), high=float(np.exp(centre + half)))


def paired_ratio(numerators: dict[int, float], denominators: dict[int, float]) -> Estimate | None:
    """Geometric mean of the ratios within blocks (block -> value); None if no block has both."""
    common = sorted(numerators.keys() & denominators.keys())
    if not common:
        return None
    return geometric_mean(np.array([numerators[block] / denominators[block] for block in common]))
