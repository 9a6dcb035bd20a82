"""Decide when there are enough blocks, and how many forks per zygote pay.

Looking at the data to decide when to stop makes intervals too narrow, since measuring stops where the spread happens to
look small. A plain t-interval that is added to until it is narrow enough covers 88 to 94 % at nominal 95 %, the less
the earlier it may stop (benchmarks/interval_coverage.py). Two repairs together bring it back to 94 to 96 %:

* An interval must be narrow enough twice, two blocks apart. Simons ("On the cost of not knowing the variance when
  making a fixed-width confidence interval for the mean", Ann. Math. Stat. 39, 1968) proved that a fixed number of
  observations beyond the stop of Chow and Robbins (1965) makes a fixed-width interval cover what it says, whatever the
  variance.
* Intervals of a run that may add blocks are drawn at 96 % so that they cover 95 %.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stepmark.analysis.intervals import CONFIDENCE, t_quantile

Array = NDArray[np.float64]

CONFIRMING_BLOCKS = 2
LOOK_BLOCKS_LEAST = 3  # a spread of two values is hardly an estimate
SEQUENTIAL_CONFIDENCE = 0.96


def confidence(launches: int, max_launches: int | None) -> float:
    """Return the level at which drawn intervals cover 95 %. It is higher where precision decides on more blocks."""
    return SEQUENTIAL_CONFIDENCE if max_launches is not None and max_launches > launches else CONFIDENCE


def enough(values: ArrayLike, relative_precision: float) -> bool:
    """Return whether a cell's figures, one per block in the order measured, of shape (blocks,), are precise enough."""
    return bool(may_stop(values, relative_precision)[..., -1:].any())


def may_stop(values: ArrayLike, relative_precision: float) -> NDArray[np.bool_]:
    """Return after every block whether the figures are precise enough, for values of shape (..., blocks).

    The result has the same shape. It is true after block n if the half-width over all n, and that over the first n - 2,
    are at most `relative_precision`.
    """
    precise = relative_half_widths(values, SEQUENTIAL_CONFIDENCE) <= relative_precision
    precise[..., : LOOK_BLOCKS_LEAST - 1] = False
    confirmed = np.zeros_like(precise)
    confirmed[..., CONFIRMING_BLOCKS:] = precise[..., :-CONFIRMING_BLOCKS]
    return precise & confirmed


def relative_half_widths(values: ArrayLike, confidence: float) -> Array:
    """Return the half-width of the t-interval on logarithms over the first n blocks, for every n.

    It is infinite for one block. `values` are positive, of shape (..., blocks). The result has the same shape and
    equals, for its last block, `intervals.geometric_mean(values, confidence).relative_half_width`.
    """
    logs = np.log(np.asarray(values, dtype=np.float64))
    logs = logs - logs[..., :1]  # the running sums below lose digits far from 0
    n = np.arange(1, logs.shape[-1] + 1)
    squares = np.cumsum(logs**2, axis=-1) - np.cumsum(logs, axis=-1) ** 2 / n
    widths = np.full(logs.shape, np.inf)
    variance = np.maximum(squares[..., 1:], 0.0) / (n[1:] - 1)
    quantiles = np.array([t_quantile(confidence, int(count) - 1) for count in n[1:]])
    widths[..., 1:] = quantiles * np.sqrt(variance / n[1:])
    return widths


def nested_variances(values: Sequence[ArrayLike]) -> tuple[float, float] | None:
    """Return the variance between zygotes and within them, of `values[zygote]`, each of shape (forks,).

    The values are log launch medians, for example. The estimates are the unbiased ones of one-way analysis of variance
    (Searle, Casella and McCulloch, "Variance Components", 1992; for equal numbers of forks T2^2 and T1^2 of Kalibera
    and Jones, ISMM 2013). The variance between zygotes may come out negative: then it is lost in the spread within. The
    result is None without two zygotes, or without two forks of one of them.
    """
    groups = [group for group in (np.asarray(value, dtype=np.float64) for value in values) if len(group)]
    sizes = np.array([len(group) for group in groups])
    zygotes, launches = len(groups), int(sizes.sum())
    if zygotes < 2 or launches == zygotes:
        return None
    means = np.array([group.mean() for group in groups])
    within = float(sum(((group - group.mean()) ** 2).sum() for group in groups)) / (launches - zygotes)
    squares = float((sizes * (means - np.concatenate(groups).mean()) ** 2).sum()) / (zygotes - 1)
    forks = (launches - float((sizes**2).sum()) / launches) / (zygotes - 1)
    return (squares - within) / forks, within


def optimal_forks(
    variance_between: float,
    variance_within: float,
    cost_zygote_seconds: float,
    cost_fork_seconds: float,
    most: int = 100,
) -> int:
    """Return the forks per zygote that give the narrowest interval in a given time, between 1 and `most`.

    The optimum is sqrt(c1 / c2 * v2 / v1): n zygotes with m forks each give a mean of variance (v1 + v2 / m) / n for
    the time n (c1 + m c2) (Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013). Of the two whole
    numbers beside it, the one with the smaller product of variance and time is returned. `cost_zygote_seconds` is what
    a zygote costs before its first fork; `cost_fork_seconds` is what a launch costs, window included. ValueError is
    raised for a negative cost or variance within, and for forks that cost no time.
    """
    if min(cost_zygote_seconds, variance_within) < 0 or cost_fork_seconds <= 0:
        raise ValueError("expected costs and variances of at least 0 and a fork that takes time, found others")
    if variance_between <= 0:
        return most if variance_within > 0 else 1
    best = np.sqrt(cost_zygote_seconds / cost_fork_seconds * variance_within / variance_between)
    beside = [int(np.clip(forks, 1, most)) for forks in (np.floor(best), np.ceil(best))]
    return min(
        beside,
        key=lambda m: (variance_between + variance_within / m) * (cost_zygote_seconds + m * cost_fork_seconds),
    )
