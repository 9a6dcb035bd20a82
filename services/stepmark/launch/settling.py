"""Say whether the steps of a warm-up still become faster."""

import itertools
import math
import statistics
from collections.abc import Sequence

_SETTLING_LEAST = 0.005
_SETTLING_STEPS_LEAST = 4


def still_settling(nanoseconds: Sequence[float]) -> bool:
    """Return whether the steps still became faster in the last two thirds of a warm-up.

    They did if the median of the second half is below that of the first by more than 0.5 % and by more than two
    standard errors of a difference of medians. The spread is estimated from the differences of neighbouring steps,
    which a trend does not change.
    """
    logs = [math.log(max(step, 1)) for step in nanoseconds[len(nanoseconds) // 3 :]]
    half = len(logs) // 2
    if half < _SETTLING_STEPS_LEAST:
        return False
    fall = statistics.median(logs[:half]) - statistics.median(logs[-half:])
    neighbours = statistics.median(abs(after - before) for before, after in itertools.pairwise(logs))
    spread = neighbours / (0.6745 * math.sqrt(2))
    return fall > max(_SETTLING_LEAST, 2 * 1.2533 * spread * math.sqrt(2 / half))
