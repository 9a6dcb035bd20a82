"""Estimate from earlier runs how much campaigns of the same thing differ by more than their launches show.

A campaign is one run. Memory layout, neighbours on the machine and its temperature shift all launches of a campaign
alike, so that no spread of launches shows it. The model per cell is log launch mean = level + campaign effect + launch
effect, by analysis of variance of a one-way random layout (Searle, Casella and McCulloch, "Variance Components", 1992,
chapter 3): the variance between campaign means, less what launches alone give such means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stepmark.analysis.welch import Welch, holm, welch

Means = Sequence[float]
"""Hold the mean step times of the launches of one cell in one campaign, in seconds."""

_PRIOR_DEGREES = 2.0  # weight of the other cells' variance beside the cell's own


@dataclass(frozen=True)
class Between:
    """Store the variance between campaigns of a cell's log step time, with its degrees of freedom.

    `campaigns` counts the campaigns of this cell that it is based on, the old run among them. Fewer than two means that
    the variance was taken from the other cells.
    """

    variance: float
    degrees: float
    campaigns: int


@dataclass(frozen=True)
class Tested:
    """Store a cell's test, and its p-value after Holm's correction over all cells."""

    test: Welch
    p_adjusted: float


@dataclass(frozen=True)
class _Own:
    """Store one cell's own estimate. `excess` is not pooled yet, and negative where launches alone explain more."""

    excess: float
    degrees: int


def between(cells: Mapping[str, Sequence[Means]]) -> dict[str, Between]:
    """Estimate the variance between campaigns per cell, from its launch means in each campaign.

    The result is empty where no cell has two campaigns of two launches. A cell's own estimate counts with its degrees
    of freedom, and the mean of all cells with two: few campaigns are pooled, and many decide for themselves (moderated,
    after Smyth, Stat. Appl. Genet. Mol. Biol. 3, 2004). The degrees of freedom are those of the campaigns, however many
    cells there are: a campaign shifts its cells together, so that eight cells of three campaigns say no more about
    campaigns than one cell does.
    """
    usable = {key: [one for one in campaigns if len(one) >= 2] for key, campaigns in cells.items()}
    own = {key: _own(campaigns) for key, campaigns in usable.items() if len(campaigns) >= 2}
    if not own:
        return {}
    weights = np.array([one.degrees for one in own.values()], dtype=np.float64)
    pooled = float(np.average([one.excess for one in own.values()], weights=weights))
    degrees = float(np.average(weights, weights=weights))
    return {key: _moderated(own.get(key), pooled, degrees, len(usable[key])) for key in cells}


def tested(
    launches: Mapping[str, tuple[Means, Means]], known: Mapping[str, Between], alpha: float
) -> tuple[dict[str, Tested], float]:
    """Test every cell, and return the one interval level that agrees with Holm's procedure.

    `launches` maps a cell key to the launch means of the old run and of the new one, at least two a side. `known` is
    the result of `between` for the history. Holm's procedure holds the family-wise error however the tests depend on
    each other, so also where one campaign effect shifts all cells.
    """
    tests = {key: _test(*sides, known.get(key)) for key, sides in launches.items()}
    adjusted, level = holm([test.p_value for test in tests.values()], alpha)
    return {key: Tested(test, p) for (key, test), p in zip(tests.items(), adjusted, strict=True)}, level


def _test(old: Means, new: Means, campaigns: Between | None) -> Welch:
    launches = welch(old, new)
    return launches if campaigns is None else launches.with_campaigns(campaigns.variance, campaigns.degrees)


def _own(campaigns: Sequence[Means]) -> _Own:
    logs = [np.log(np.asarray(means, dtype=np.float64)) for means in campaigns]
    by_launches = float(np.mean([x.var(ddof=1) / len(x) for x in logs]))
    return _Own(float(np.var([x.mean() for x in logs], ddof=1)) - by_launches, len(logs) - 1)


def _moderated(own: _Own | None, pooled: float, pooled_degrees: float, campaigns: int) -> Between:
    if own is None:
        return Between(max(pooled, 0.0), pooled_degrees, campaigns)
    variance = (own.degrees * own.excess + _PRIOR_DEGREES * pooled) / (own.degrees + _PRIOR_DEGREES)
    return Between(max(variance, 0.0), float(own.degrees), campaigns)
