"""Decide whether a cell's steps were still changing, and what that could explain of a difference to another cell.

A warm-up tail that outlasts the warm-up makes a cell look slower than it is in the long run. A tail that is longer than
the window shows as a slope only, so the window cannot tell how far it will go: steps that become faster are assumed to
go on so for `WINDOWS_AHEAD` more windows. Steps that become slower are no tail, so their change over one window counts.
A claim must hold before and after that change (`compare`).
"""

from collections.abc import Sequence

import numpy as np
import scipy

WINDOWS_AHEAD = 25  # covers tails of the form exp(-step / tau) with tau up to ten windows; docs/measuring.md
_CONFIDENCE = 0.7  # two-sided: a slope in the direction that explains a claim counts at an error of 15 %


def established_slope(slopes: Sequence[float]) -> float:
    """Return the log change over one window that a cell's launches have in common; 0 where none is established.

    `slopes` holds `SteadyState.slope` of each launch. The test is by t over launches, so whatever differs between them
    is its error.
    """
    found = np.asarray(slopes, dtype=np.float64)
    if len(found) < 2:
        return 0.0
    mean, error = float(found.mean()), float(found.std(ddof=1)) / np.sqrt(len(found))
    return mean if abs(mean) > scipy.special.stdtrit(len(found) - 1, 0.5 + _CONFIDENCE / 2) * error else 0.0


def log_change_ahead(slope: float) -> float:
    """Return what an established slope may still do to a cell's step time, as a log change."""
    return WINDOWS_AHEAD * slope if slope < 0 else slope
