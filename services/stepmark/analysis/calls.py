"""What a call of a framework's own loop takes beside its steps: before the first of them and after the last."""

import numpy as np

from stepmark.results.record import LaunchHeader


def rest_of_call_seconds(header: LaunchHeader) -> float | None:
    """Return the median over a launch's measured windows, of the slowest rank; None where stepmark makes the steps."""
    ranks = [
        [one.call_nanoseconds for one in rank.windows if one.kind == "measured" and one.call_nanoseconds is not None]
        for rank in header.ranks
    ]
    return max(float(np.median(found)) for found in ranks) / 1e9 if ranks and all(ranks) else None
