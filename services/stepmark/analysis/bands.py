"""How far forecasts were off on published curves: half-widths of a forecast's band, on the log scale.

Every number is data from back-tests (benchmarks/forecast_backtest.py), none a formula of statistics: the bands stay
honest where every model is wrong, as far as the next curve resembles the published ones.
"""

import math
from typing import Literal

Level = Literal[80, 95]

# Quantiles of |log error| / scale over 358 forecasts from the 162 curves of benchmarks/data, those whose target lay in
# one node or whose points had crossed into a second; each the largest over the folds that leave one machine out.
SCORES: dict[Level, float] = {80: 0.41, 95: 0.86}
_FLAT = 0.05  # a curve that has lost nothing yet
_RATIO_EXPONENT = 0.3

# Boundary never crossed: (largest ratio, 80 %, 95 %) of the absolute relative error. An earlier back-test on 227
# published curves had pooled quantiles of 20/42, 30/59 and 31/66 %. These are its levels for the curves that
# benchmarks/data lacks, interpolated, since those inside (80 %: 5 %) all come from fast fabrics.
_UNSEEN: tuple[tuple[float, dict[Level, float]], ...] = (
    (2.5, {80: 0.26, 95: 0.48}),
    (4.5, {80: 0.35, 95: 0.63}),
    (8.5, {80: 0.42, 95: 0.70}),
)


def known(log_loss: float, ratio: float, level: Level) -> float:
    """Where no boundary is in the way, or it was crossed. 0 at a measured count (`ratio` 1).

    `log_loss`: log of the factor of efficiency that the curve has lost already; `ratio`: target / largest measured.
    Steep curves are harder to continue: with this scale the 80 % bands hold on 76 to 83 % of flat, middling and steep
    curves; a constant held on 93 and 60 %.
    """
    if ratio <= 1:
        return 0.0
    return SCORES[level] * (_FLAT + max(log_loss, 0.0)) * math.log2(ratio) ** _RATIO_EXPONENT


def unseen(ratio: float, level: Level) -> float:
    """Where the curve was measured inside one node only; beyond the table it grows as the root of the doublings."""
    for largest, errors in _UNSEEN:
        if ratio <= largest:
            return math.log1p(errors[level])
    largest, errors = _UNSEEN[-1]
    return math.log1p(errors[level]) * math.sqrt(math.log2(ratio) / math.log2(largest))
