"""Decide whether others disturbed a launch, by what they took of its ranks' cores, and never by its step times.

The limit is declared before (`measurement.maxTakenShare`) and stands in every record. What others took of a rank's
cores is, over cores x time,

    min(CPU time of other processes on them, time that the rank's threads waited for a core) + stolen + throttled

The smaller of the two counts, since CPU time that the rank did not want costs it nothing, and threads of one framework
that wait for each other's cores are not others. The ranks of one launch are not others for each other either.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Protocol

from stepmark.results.record import Interference

STOP_SECONDS = 2.0  # a rank that was stopped for this long has measured the stop
_SECONDS_LEAST = 0.05  # the kernel counts CPU time in hundredths of a second: fewer than five of them say nothing


class Rank(Protocol):
    """What the record of a rank says of its cores."""

    @property
    def rank(self) -> int: ...
    @property
    def host(self) -> str: ...
    @property
    def cpus(self) -> tuple[int, ...]: ...
    @property
    def interference(self) -> Interference | None: ...


class Launched(Protocol):
    """The record of a launch, whose step times are not looked at."""

    @property
    def ranks(self) -> Sequence[Rank]: ...


def taken_share(launch: Launched) -> float | None:
    """Return the largest share of any rank's cores that others took; None where it is known of no rank."""
    return max((share for _, share in _taken(launch)), default=None)


def disturbed_because(launch: Launched) -> str | None:
    """Return why a launch does not count, in words, or None."""
    for rank in launch.ranks:
        stopped = rank.interference.stopped_seconds if rank.interference is not None else None
        if stopped is not None and stopped >= STOP_SECONDS:
            return f"rank {rank.rank} was stopped for {stopped:.1f} s"
    over = [(share, rank.rank, limit) for rank, share in _taken(launch) if (limit := _limit(rank, share)) is not None]
    if not over:
        return None
    share, rank_number, limit = max(over)
    return f"others took {share:.1%} of the cores of rank {rank_number} (maxTakenShare {limit:.1%})"


def _taken(launch: Launched) -> Iterator[tuple[Rank, float]]:
    """Yield every rank with the share of its cores that others took, where that is known."""
    own = _own_by_core(launch.ranks)
    for rank in launch.ranks:
        seen = rank.interference
        if seen is not None and seen.busy_cpu_seconds is not None and seen.own_cpu_seconds is not None and seen.seconds:
            others = max(seen.busy_cpu_seconds - sum(own[rank.host, core] for core in rank.cpus), 0.0)
            waited = others if seen.run_delay_seconds is None else min(others, seen.run_delay_seconds)
            taken = waited + (seen.steal_seconds or 0.0) + (seen.throttled_seconds or 0.0)
            yield rank, taken / (seen.seconds * seen.cores)


def _own_by_core(ranks: Sequence[Rank]) -> dict[tuple[str, int], float]:
    """Return the CPU seconds of the launch's ranks by (host, core); each rank spreads evenly over its cores."""
    own: dict[tuple[str, int], float] = defaultdict(float)
    for rank in ranks:
        if rank.interference is not None and rank.interference.own_cpu_seconds is not None:
            for core in rank.cpus:
                own[rank.host, core] += rank.interference.own_cpu_seconds / len(rank.cpus)
    return own


def _limit(rank: Rank, share: float) -> float | None:
    """Return the declared limit if the share exceeds it, and by more than the counters resolve; otherwise None."""
    seen = rank.interference
    if seen is None or share * seen.seconds * seen.cores < _SECONDS_LEAST or share <= seen.limit_share:
        return None
    return seen.limit_share
