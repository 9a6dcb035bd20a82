"""Whether others disturbed a launch. Decided by what they took of its ranks' cores, and never by its step times.

The limit is declared before (`measurement.maxTakenShare`) and stands in every record. What others took of a rank's
cores is, over cores x time,

    min(CPU time of other processes on them, time that the rank's threads waited for a core) + stolen + throttled

The smaller of the two, since CPU time that the rank did not want costs it nothing, and threads of one framework that
wait for each other's cores are not others. The ranks of one launch are not others for each other either.
"""

from collections.abc import Sequence

from stepmark.results.record import LaunchHeader, RankReport

STOP_SECONDS = 2.0  # a rank that was stopped for so long has measured the stop
_SECONDS_LEAST = 0.05  # the kernel counts CPU time in hundredths of a second: fewer than five of them are no finding


def taken_seconds(rank: RankReport, ranks: Sequence[RankReport]) -> float | None:
    """CPU seconds that others took of this rank's cores; `ranks`: all of its launch. None where that is unknown."""
    seen = rank.interference
    if seen is None or seen.busy_cpu_seconds is None or seen.own_cpu_seconds is None:
        return None
    others = max(seen.busy_cpu_seconds - sum(_on_cores_of(rank, one) for one in ranks), 0.0)
    waited = others if seen.run_delay_seconds is None else min(others, seen.run_delay_seconds)
    return waited + (seen.steal_seconds or 0.0) + (seen.throttled_seconds or 0.0)


def _on_cores_of(rank: RankReport, other: RankReport) -> float:
    """CPU seconds of another rank on this one's cores: as many of its own as it has of its cores in common with it."""
    seen = other.interference
    if seen is None or seen.own_cpu_seconds is None or other.host != rank.host:
        return 0.0
    return seen.own_cpu_seconds * len({*rank.cpus} & {*other.cpus}) / max(len(other.cpus), 1)


def taken_share(header: LaunchHeader) -> float | None:
    """The largest share of any rank's cores that others took; None where it is known of no rank."""
    known = [share for rank in header.ranks if (share := _share(rank, header.ranks)) is not None]
    return max(known, default=None)


def _share(rank: RankReport, ranks: Sequence[RankReport]) -> float | None:
    taken, seen = taken_seconds(rank, ranks), rank.interference
    return None if taken is None or seen is None or not seen.seconds else taken / (seen.seconds * seen.cores)


def disturbed_because(header: LaunchHeader) -> str | None:
    """Why a launch does not count, in words, or None. The header has no step times."""
    for rank in header.ranks:
        stopped = rank.interference.stopped_seconds if rank.interference is not None else None
        if stopped is not None and stopped >= STOP_SECONDS:
            return f"rank {rank.rank} was stopped for {stopped:.1f} s"
    return max(filter(None, (_taken(rank, header.ranks) for rank in header.ranks)), default=(0.0, None))[1]


def _taken(rank: RankReport, ranks: Sequence[RankReport]) -> tuple[float, str] | None:
    """How much was taken of a rank's cores, with the sentence, where it is over the limit."""
    taken, share, seen = taken_seconds(rank, ranks), _share(rank, ranks), rank.interference
    if taken is None or share is None or seen is None or taken < _SECONDS_LEAST or share <= seen.limit_share:
        return None
    return share, f"others took {share:.1%} of the cores of rank {rank.rank} (maxTakenShare {seen.limit_share:.1%})"
