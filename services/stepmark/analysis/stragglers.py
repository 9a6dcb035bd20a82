"""Which ranks are slow, by how much, and how sure that is: over all ranks together, despite noise that has a memory.

In synchronous data parallel all ranks wait for the slowest in the collective, so their *step* times are equal and
hide the culprit. Give `straggler_report` the ranks' own compute times: steps without the gradient exchange, or times up
to the first blocking collective. Step times are accepted too; then only what lies outside the collective can differ.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import special

Array = NDArray[np.float64]

_FAMILY_WISE = 0.002  # chance of any false alarm over all ranks; 1 % is promised, and far tails of t are not exact here
_BLOCKS_LEAST, _BLOCK_STEPS_LEAST = 8, 25
_CLIP = 4.0  # robust standard deviations; a stall may fill a whole block
_BLOCKS_CLIPPED = 20  # of fewer blocks the robust deviation is too rough: clipping by it would invent alarms
_MAD = 1.4826  # of a normal distribution: standard deviation / median absolute deviation
_CONFIDENCE = 0.95


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Straggler(_Model):
    """One slow rank. `slower`: 0.03 is 3 % slower than the median of the other ranks, with a 95 % interval of its own.

    `p_value`: adjusted over all ranks (Holm). `slowest_share`: share of the steps in which it was the last, 1 / ranks
    where all are alike.
    """

    rank: int
    host: str | None
    slower: float
    low: float
    high: float
    p_value: float
    slowest_share: float


class StragglerReport(_Model):
    """`slow`: worst first. `slow_hosts`: those of several ranks with more than half of them slow: look at the node.

    `spread_mean`, `spread_p99`: per step, (slowest rank - median rank) / median rank, over the steps.
    `spread_expected`: its mean if every rank had the typical jitter and none were slow; it grows with the number of
    ranks, so only an excess over it is news. `block_steps`: steps averaged into one nearly independent figure.
    `reason`: why there is no test, or empty.
    """

    ranks: int
    steps: int
    block_steps: int | None = None
    slow: tuple[Straggler, ...] = ()
    slow_hosts: tuple[str, ...] = ()
    spread_mean: float | None = None
    spread_p99: float | None = None
    spread_expected: float | None = None
    reason: str = ""


def straggler_report(
    times: NDArray[np.int64] | Array, hosts: Sequence[str] | None = None, minimum_effect: float = 0.01
) -> StragglerReport:
    """Find slow ranks in `times`, shape (ranks, steps), in any unit. `hosts`: the host of each rank.

    Per step, each rank's log time less the median of the *other* ranks removes what all share. Medians of blocks, far
    longer than the noise's memory, are then nearly independent and blind to lone spikes; a one-sided t-test on them per
    rank, Holm's correction over the ranks (Holm 1979), and a slowness of at least `minimum_effect` make an alarm. More
    than half of the ranks slow in the same way is the normal state, not an alarm.
    """
    ranks, steps = times.shape
    if hosts is not None and len(hosts) != ranks:
        raise ValueError(f"{len(hosts)} hosts for {ranks} ranks")
    if times.size and times.min() <= 0:
        raise ValueError("times are positive")
    if ranks < 2:
        return StragglerReport(ranks=ranks, steps=steps, reason="one rank has no other to be slower than")
    if steps < 2 * _BLOCKS_LEAST:
        return StragglerReport(ranks=ranks, steps=steps, reason=f"{steps} steps are too few for a test")
    ratios = _log_ratios_to_others(np.log(times))
    memory = _memory(ratios)
    width = _block_steps(steps, memory)
    slow = tuple(_alarms(times, ratios, width, memory, hosts, minimum_effect))
    spread = _spread(times)
    return StragglerReport(
        ranks=ranks,
        steps=steps,
        block_steps=width,
        slow=slow,
        slow_hosts=_slow_hosts(slow, hosts or ()),
        spread_mean=float(spread.mean()),
        spread_p99=float(np.percentile(spread, 99)),
        spread_expected=_expected_spread(ratios),
    )


def _alarms(
    times: NDArray[np.int64] | Array,
    ratios: Array,
    width: int,
    memory: float,
    hosts: Sequence[str] | None,
    minimum_effect: float,
) -> Iterator[Straggler]:
    """The slow ranks, worst first."""
    effect, error, degrees = _effects(ratios, width, memory)
    adjusted = _holm(special.stdtr(degrees, -effect / error))
    half = special.stdtrit(degrees, 0.5 + _CONFIDENCE / 2) * error
    last = np.bincount(np.argmax(times, axis=0), minlength=len(times)) / times.shape[1]
    found = np.flatnonzero((adjusted <= _FAMILY_WISE) & (effect >= np.log1p(minimum_effect)))
    for rank in found[np.argsort(-effect[found])].tolist():
        yield Straggler(
            rank=rank,
            host=hosts[rank] if hosts is not None else None,
            slower=float(np.expm1(effect[rank])),
            low=float(np.expm1(effect[rank] - half[rank])),
            high=float(np.expm1(effect[rank] + half[rank])),
            p_value=float(adjusted[rank]),
            slowest_share=float(last[rank]),
        )


def _spread(times: NDArray[np.int64] | Array) -> Array:
    """(slowest - median) / median over the ranks of each step, shape (steps,)."""
    middle = np.median(times, axis=0)
    return (times.max(axis=0) - middle) / middle


def _log_ratios_to_others(logs: Array) -> Array:
    """Each value less the median of its step's other ranks, shape (ranks, steps).

    Leaving the rank itself out matters where ranks are few: of two, one 3 % slower is 1.5 % above their common median.
    """
    ranks = logs.shape[0]
    middle = ranks // 2
    if ranks % 2 == 0:
        below, above = np.partition(logs, [middle - 1, middle], axis=0)[middle - 1 : middle + 1]
        return logs - np.where(logs <= below, above, below)
    below, centre, above = np.partition(logs, [middle - 1, middle, middle + 1], axis=0)[middle - 1 : middle + 2]
    others = np.where(logs < centre, (centre + above) / 2, np.where(logs > centre, (below + centre) / 2, 0))
    return logs - np.where(logs == centre, (below + above) / 2, others)


def _memory(ratios: Array) -> float:
    """Lag-1 autocorrelation of a typical rank's noise, 0 to 0.95; robust to spikes by clipping."""
    centred = ratios - np.median(ratios, axis=1, keepdims=True)
    limit = _CLIP * _MAD * np.median(np.abs(centred), axis=1, keepdims=True)
    clipped = np.clip(centred, -limit, limit)
    power = np.einsum("rs,rs->r", clipped, clipped)
    lagged = np.einsum("rs,rs->r", clipped[:, 1:], clipped[:, :-1])
    return float(np.clip(np.median(lagged / np.maximum(power, 1e-300)), 0.0, 0.95))


def _block_steps(steps: int, memory: float) -> int:
    """Five times the integrated autocorrelation time (1 + r) / (1 - r), if that leaves enough blocks."""
    wanted = max(_BLOCK_STEPS_LEAST, int(np.ceil(5 * (1 + memory) / (1 - memory))))
    return max(1, min(wanted, steps // _BLOCKS_LEAST))


def _effects(ratios: Array, width: int, memory: float) -> tuple[Array, Array, int]:
    """Mean log ratio of each rank and its standard error, shape (ranks,) each, and the degrees of freedom."""
    count = ratios.shape[1] // width
    blocks = np.median(ratios[:, : count * width].reshape(len(ratios), count, width), axis=2)
    if count >= _BLOCKS_CLIPPED:
        centre = np.median(blocks, axis=1, keepdims=True)
        limit = _CLIP * _MAD * np.median(np.abs(blocks - centre), axis=1, keepdims=True)
        blocks = np.clip(blocks, centre - limit, centre + limit)
    deviation = blocks.std(axis=1, ddof=1)
    inflation = count * _variance_of_mean(count * width, memory) / _variance_of_mean(width, memory)
    error = np.sqrt(deviation**2 * inflation / count)
    return blocks.mean(axis=1), np.maximum(error, 1e-12), count - 1


def _variance_of_mean(length: int, memory: float) -> float:
    """Variance of the mean of `length` values of an AR(1) process of unit variance (Priestley 1981, 5.3)."""
    gap = 1 - memory
    return ((1 + memory) / gap - 2 * memory * (1 - memory**length) / (length * gap**2)) / length


def _holm(p_values: Array) -> Array:
    """Holm's step-down adjusted p-values, shape (ranks,)."""
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def _slow_hosts(slow: Sequence[Straggler], hosts: Sequence[str]) -> tuple[str, ...]:
    ranks, alarms = Counter(hosts), Counter(straggler.host for straggler in slow)
    return tuple(sorted(host for host, count in ranks.items() if count > 1 and alarms[host] > count / 2))


def _expected_spread(ratios: Array) -> float:
    """Mean of the largest of n jitters of the typical size; normal order statistic after Blom (1958)."""
    ranks = len(ratios)
    centred = ratios - np.median(ratios, axis=1, keepdims=True)
    jitter = _MAD * float(np.median(np.median(np.abs(centred), axis=1)))
    return float(np.expm1(jitter * special.ndtri((ranks - 0.375) / (ranks + 0.25))))
