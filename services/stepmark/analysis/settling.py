"""Whether a cell's steps were still changing, and what that could explain of a difference to another cell.

A warm-up tail that outlasts the warm-up makes a cell look slower than it is in the long run. A tail that is longer than
the window shows as a slope only, so nobody can tell from the window how far it will go: the slope is taken to go on
for `WINDOWS_AHEAD` more windows. A claim must hold before and after that (`compare`).
"""

from collections.abc import Sequence

import numpy as np
from scipy import special

WINDOWS_AHEAD = 25  # covers tails of the form exp(-step / tau) with tau up to ten windows; docs/measuring.md
_CONFIDENCE = 0.7  # two-sided: a slope in the direction that explains a claim is taken seriously at 15 %


def log_change_ahead(slopes: Sequence[float]) -> float:
    """The log change that a cell's steps would make in `WINDOWS_AHEAD` windows; 0 where no slope is established.

    `slopes`: of each launch, log change over one window (`SteadyState.slope`). By t over launches, so whatever differs
    between launches is the error.
    """
    found = np.asarray(slopes, dtype=np.float64)
    if len(found) < 2:
        return 0.0
    mean, error = float(found.mean()), float(found.std(ddof=1)) / np.sqrt(len(found))
    established = abs(mean) > special.stdtrit(len(found) - 1, 0.5 + _CONFIDENCE / 2) * error
    return WINDOWS_AHEAD * mean if established else 0.0
