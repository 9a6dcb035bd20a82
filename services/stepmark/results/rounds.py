"""Take out of step times what the batches of a round differ in, where batches have shapes of their own."""

import numpy as np
from numpy.typing import NDArray


def levelled(times: NDArray[np.float64], round_steps: int, first_step: int) -> NDArray[np.float64]:
    """Return times of single steps, of shape (steps,), as if all batches took as long.

    Step `first_step + i` uses batch `(first_step + i) % round_steps`. Each time is divided by the median of its batch,
    and multiplied by the mean of these medians. So a drift stays, and the sequence of batches goes.
    """
    if round_steps == 1 or len(times) == 0:
        return times
    batches = (first_step + np.arange(len(times))) % round_steps
    medians = np.array([np.median(times[batches == batch]) for batch in np.unique(batches)])
    return times / medians[np.searchsorted(np.unique(batches), batches)] * medians.mean()
