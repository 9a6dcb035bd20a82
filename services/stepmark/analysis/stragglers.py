"""Find which ranks are slow, by how much, how sure that is, and what slowness would have been missed.

In synchronous data parallel training all ranks wait for the slowest in the collective, so their *step* times are equal
and hide which rank is slow. Give `straggler_report` the ranks' own compute times: steps without the gradient exchange,
or times up to the first blocking collective. Step times are accepted too; then only what lies outside the collective
can differ.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from stepmark.analysis import rank_ratios
from stepmark.analysis.rank_ratios import Array
from stepmark.analysis.welch import holm

Times = NDArray[np.int64] | NDArray[np.float32] | Array

_GROUPS_LEAST, _GROUP_STEPS_LEAST = 8, 25  # least numbers within one launch
_CONFIDENCE = 0.95
DETECTION_POWER = 0.8

# Chances of any false alarm over all ranks. 1 % is promised of both kinds of alarm together. Within one launch the unit
# is a few neighbouring steps, where the far tails of t are less exact than for medians of whole launches.
_FAMILY_WISE, _FAMILY_WISE_PASSING, _FAMILY_WISE_ONE_LAUNCH = 0.004, 0.002, 0.002

# The largest standard deviation of processes between launches is taken as 5 % (2.6 to 5.6 % were seen,
# docs/measuring.md, fork_fidelity.py), as if it were estimated with four degrees of freedom.
_PROCESSES_DIFFER, _PROCESSES_DEGREES = 0.05, 4


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Straggler(_Model):
    """Store one slow rank.

    `slower` 0.03 is 3 % slower than the median of the other ranks, with a 95 % interval of its own from `low` to
    `high`. `p_value` is adjusted over all ranks (Holm). `slowest_share` is the share of the steps in which the rank was
    the last, 1 / ranks where all are alike. `block` is None where the rank is slow in the launches of all blocks.
    Otherwise it is the one block in whose launch the rank was slow, against its own launches in the others (then
    `p_value` is adjusted over launches too).
    """

    rank: int
    host: str | None
    slower: float
    low: float
    high: float
    p_value: float
    slowest_share: float
    block: int | None = None


class StragglerReport(_Model):
    """Store the slow ranks, worst first, and how sure it is that there are no others.

    `slow_hosts` are those of several ranks with more than half of them slow, which suggests a slow node. `steps` are
    those of all `launches`. A rank that is slower by `detectable` or more would have been found with a probability of
    `DETECTION_POWER`, if it is slow in every launch; None where no slowness up to 100 % would have been. `spread_mean`
    and `spread_p99` are taken over the steps, of (slowest rank - median rank) / median rank in each. `spread_expected`
    is the mean if every rank had the typical jitter and none were slow; it grows with the number of ranks, so only an
    excess over it matters. `block_steps` is, for a single launch, the number of neighbouring steps taken together as
    one nearly independent figure. `reason` says why there is no test, or is empty.
    """

    ranks: int
    steps: int
    launches: int = 1
    block_steps: int | None = None
    detectable: float | None = None
    slow: tuple[Straggler, ...] = ()
    slow_hosts: tuple[str, ...] = ()
    spread_mean: float | None = None
    spread_p99: float | None = None
    spread_expected: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Test:
    """Store the mean log ratio of each rank to the others and its standard error, of shape (ranks,) each."""

    effect: Array
    error: Array
    degrees: int
    family_wise: float


def straggler_report(
    launches: Sequence[Times],
    hosts: Sequence[str] | None = None,
    blocks: Sequence[int] | None = None,
    minimum_effect: float = 0.01,
    searches: int = 1,
) -> StragglerReport:
    """Find slow ranks.

    `launches` holds times of shape (ranks, steps) each, in any unit, and `hosts` the host of each rank. Per step, each
    rank's log time less the median of the *other* ranks removes what all share. A rank's process may be slower than
    another's for the length of a launch and no longer, so the launch is the unit: its median ratio. An alarm needs a
    one-sided t-test on them per rank, Holm's correction over the ranks, and a slowness of at least `minimum_effect`. A
    launch that stands out from its rank's others is an alarm of its own, and leaves the first test. For a single
    launch, the unit is a group of neighbouring steps, far longer than the noise is correlated; then what is found holds
    for that launch. The chances of a false alarm are divided by `searches`, for a caller that makes as many. More than
    half of the ranks slow in the same way is the normal state, not an alarm. ValueError is raised for launches with
    different numbers of ranks, for another number of hosts, and for times that are not positive.
    """
    ranks, steps = launches[0].shape[0], sum(one.shape[1] for one in launches)
    _refuse_nonsense(launches, hosts)
    if ranks < 2:
        return StragglerReport(ranks=ranks, steps=steps, reason="the search needs at least two ranks, found one")
    if len(launches) == 1 and steps < 2 * _GROUPS_LEAST:
        return StragglerReport(ranks=ranks, steps=steps, reason=f"{steps} steps are too few to search for slow ranks")
    ratios = [rank_ratios.log_ratios_to_others(np.log(one.astype(np.float64))) for one in launches]
    test, passing, width = _tested(ratios, minimum_effect)
    test = replace(test, family_wise=test.family_wise / searches)
    passing = [one for one in passing if one.p_value <= _FAMILY_WISE_PASSING / searches]
    last = rank_ratios.slowest_share(launches)
    slow = _alarms(test, minimum_effect, last, hosts)
    always = {one.rank for one in slow}
    slow += [_passing(one, blocks, last, hosts) for one in passing if one.rank not in always]
    spreads = np.concatenate([rank_ratios.spread(one.astype(np.float64)) for one in launches])
    return StragglerReport(
        ranks=ranks,
        steps=steps,
        launches=len(launches),
        block_steps=width,
        detectable=_detectable(test, minimum_effect),
        slow=tuple(slow),
        slow_hosts=_slow_hosts(slow, hosts or ()),
        spread_mean=float(spreads.mean()),
        spread_p99=float(np.percentile(spreads, 99)),
        spread_expected=rank_ratios.expected_spread(ratios),
    )


def _refuse_nonsense(launches: Sequence[Times], hosts: Sequence[str] | None) -> None:
    ranks = launches[0].shape[0]
    if any(one.shape[0] != ranks for one in launches):
        raise ValueError("expected the same number of ranks in all launches, found different ones")
    if hosts is not None and len(hosts) != ranks:
        raise ValueError(f"expected a host for each of {ranks} ranks, found {len(hosts)}")
    if any(not one.size or one.min() <= 0 for one in launches):
        raise ValueError("expected positive times, found others")


def _tested(ratios: Sequence[Array], minimum_effect: float) -> tuple[_Test, list["_Passing"], int | None]:
    """Return the test, the launches that stand out, and the steps per group where there is one launch."""
    if len(ratios) == 1:
        test, width = _within_one(ratios[0])
        return test, [], width
    return *_over_launches(ratios, minimum_effect), None


def _within_one(ratios: Array) -> tuple[_Test, int]:
    """Test one launch by groups of steps, and return the steps per group.

    A group has five times the integrated autocorrelation time (1 + r) / (1 - r), if that leaves enough groups.
    """
    memory, steps = rank_ratios.memory(ratios), ratios.shape[1]
    wanted = max(_GROUP_STEPS_LEAST, int(np.ceil(5 * (1 + memory) / (1 - memory))))
    width = max(1, min(wanted, steps // _GROUPS_LEAST))
    return _Test(*rank_ratios.effects_of_groups(ratios, width, memory), _FAMILY_WISE_ONE_LAUNCH), width


@dataclass(frozen=True)
class _Passing:
    """Store rank and index of a launch that stands out by `effect`, a log ratio to the rank's other launches."""

    rank: int
    launch: int
    effect: float
    half: float
    p_value: float


def _over_launches(ratios: Sequence[Array], minimum_effect: float) -> tuple[_Test, list[_Passing]]:
    """Return the test over the launches in which no rank stands out, and those that do, taken away one by one."""
    medians = np.stack([np.median(one, axis=1) for one in ratios], axis=1)
    noise = np.median([rank_ratios.jitter(one) for one in ratios], axis=0)
    # A rank whose own steps vary more than is typical has medians that vary more.
    uneven = np.maximum(noise / max(float(np.median(noise)), 1e-12), 1.0)
    left, passing = list(range(len(ratios))), []
    while len(left) > 2 and (one := _standing_out(medians[:, left], uneven, minimum_effect)) is not None:
        passing.append(_Passing(one.rank, left.pop(one.launch), one.effect, one.half, one.p_value))
    return _test_of_launches(medians[:, left], uneven, minimum_effect), passing


def _test_of_launches(medians: Array, uneven: Array, minimum_effect: float) -> _Test:
    """Return the test that detects the smaller slowness: by the variance between launches as seen, or as assumed.

    The assumed variance is large. It helps where few launches say little about the variance, and finds gross slowness
    in two launches.
    """
    variance, degrees = _between(medians)
    assumed = max(variance, _PROCESSES_DIFFER**2)
    tests = [
        _Test(medians.mean(axis=1), np.maximum(np.sqrt(v / medians.shape[1]) * uneven, 1e-12), d, _FAMILY_WISE)
        for v, d in ((variance, degrees), (assumed, degrees + _PROCESSES_DEGREES))
    ]
    return min(tests, key=lambda test: _needed(test, minimum_effect))


def _between(medians: Array) -> tuple[float, int]:
    """Return the variance of a typical rank between launches, and its degrees of freedom.

    `medians` has shape (ranks, launches). All ranks are taken together, since one rank's few launches say little. A
    ratio to the others' median takes one rank's worth of freedom: of two ranks, one's ratios are the other's with the
    sign changed.
    """
    ranks, launches = medians.shape
    return float(medians.var(axis=1, ddof=1).mean()), (ranks - 1) * (launches - 1)


def _standing_out(medians: Array, uneven: Array, minimum_effect: float) -> _Passing | None:
    """Return the launch that is slowest against its rank's others, if that cannot be chance; otherwise None.

    The test is by externally studentised residuals of a one-way layout with ranks as groups, with Bonferroni's
    correction over all of them (Cook and Weisberg, Residuals and Influence in Regression, 1982, 2.2.2).
    """
    variance, degrees = _between(medians)
    if degrees < 2:
        return None
    deviation = medians - medians.mean(axis=1, keepdims=True)
    shrink = 1 - 1 / medians.shape[1]
    copies = 2 if len(medians) == 2 else 1  # of two ranks, both have the same residual with another sign
    count = degrees if copies == 2 else len(medians) * (medians.shape[1] - 1)
    rest = (variance * count - deviation**2 / shrink) / (count - 1)
    error = np.sqrt(np.maximum(rest, 1e-24) * shrink) * uneven[:, None]
    p_values = np.minimum(scipy.special.stdtr(degrees - 1, -deviation / error) * medians.size, 1.0)
    rank, launch = np.unravel_index(np.argmin(p_values), p_values.shape)
    effect = float(deviation[rank, launch] / shrink)  # against the mean of the others
    p_value = float(p_values[rank, launch])
    if p_value > _FAMILY_WISE_PASSING or effect < np.log1p(minimum_effect):
        return None
    half = float(scipy.special.stdtrit(degrees - 1, 0.5 + _CONFIDENCE / 2) * error[rank, launch] / shrink)
    return _Passing(int(rank), int(launch), effect, half, p_value)


def _alarms(test: _Test, minimum_effect: float, last: Array, hosts: Sequence[str] | None) -> list[Straggler]:
    """Return the ranks that are slow in all launches, worst first."""
    p_values = scipy.special.stdtr(test.degrees, -test.effect / test.error)
    adjusted = np.array(holm(p_values, test.family_wise)[0])
    half = scipy.special.stdtrit(test.degrees, 0.5 + _CONFIDENCE / 2) * test.error
    found = np.flatnonzero((adjusted <= test.family_wise) & (test.effect >= np.log1p(minimum_effect)))
    return [
        Straggler(
            rank=rank,
            host=hosts[rank] if hosts is not None else None,
            slower=float(np.expm1(test.effect[rank])),
            low=float(np.expm1(test.effect[rank] - half[rank])),
            high=float(np.expm1(test.effect[rank] + half[rank])),
            p_value=float(adjusted[rank]),
            slowest_share=float(last[rank]),
        )
        for rank in found[np.argsort(-test.effect[found])].tolist()
    ]


def _passing(one: _Passing, blocks: Sequence[int] | None, last: Array, hosts: Sequence[str] | None) -> Straggler:
    return Straggler(
        rank=one.rank,
        host=hosts[one.rank] if hosts is not None else None,
        slower=float(np.expm1(one.effect)),
        low=float(np.expm1(one.effect - one.half)),
        high=float(np.expm1(one.effect + one.half)),
        p_value=one.p_value,
        slowest_share=float(last[one.rank]),
        block=one.launch if blocks is None else blocks[one.launch],
    )


def _detectable(test: _Test, minimum_effect: float) -> float | None:
    found = float(np.expm1(min(_needed(test, minimum_effect), 1.0)))
    return found if found <= 1 else None


def _needed(test: _Test, minimum_effect: float) -> float:
    """Return the log ratio at which a typical rank is found, in another run with this noise, as often as stated."""
    error = float(np.median(test.error))
    return max(
        rank_ratios.errors_needed(test.degrees, test.family_wise / len(test.effect), DETECTION_POWER) * error,
        float(np.log1p(minimum_effect) + scipy.special.ndtri(DETECTION_POWER) * error),
    )


def _slow_hosts(slow: Sequence[Straggler], hosts: Sequence[str]) -> tuple[str, ...]:
    ranks = Counter(hosts)
    alarms = Counter(straggler.host for straggler in slow if straggler.block is None)
    return tuple(sorted(host for host, count in ranks.items() if count > 1 and alarms[host] > count / 2))
