"""Decide which cores each rank computes on, once per session, since the pods of one node do not know of each other.

Frameworks start as many threads as there are cores that they may run on. Two ranks that both use all of a node's cores
wait for each other in spinning loops; with PyTorch, a step then took seven times as long.
"""

import math
import os
from collections import Counter
from dataclasses import dataclass
from typing import Self

from stepmark.results.environment import cgroup_cpu_limit


@dataclass(frozen=True)
class Seat:
    """Say which machine a rank is on, which cores it may run on, and how many of them its cgroup lets it use.

    `allowed` holds the pod's own cores where the kubelet gives it exclusive ones, and otherwise all of the node's.
    `limit` is the rank's part of the CPU quota, in cores; it is infinite where there is no quota.
    """

    node: str
    allowed: tuple[int, ...]
    limit: float

    @classmethod
    def here(cls, node: str, local_ranks: int) -> Self:
        """Return the seat of this process.

        `local_ranks` is the number of ranks in its pod, or on its machine, which share one quota.
        """
        quota = cgroup_cpu_limit()
        limit = math.inf if quota is None else quota / local_ranks
        return cls(node, tuple(sorted(os.sched_getaffinity(0))), limit)


@dataclass(frozen=True)
class Share:
    """Name a rank's cores: `count` of the allowed ones from number `first` on.

    Counting starts again at the first core where there are more ranks than cores.
    """

    allowed: tuple[int, ...]
    first: int
    count: int

    def cpus(self, places: int = 1) -> tuple[int, ...]:
        """Return the cores of this share, together with those of the next `places` - 1 shares.

        More than one place is needed where one process holds all workers.
        """
        several = range(self.first, self.first + min(self.count * places, len(self.allowed)))
        return tuple(sorted(self.allowed[number % len(self.allowed)] for number in several))


def share_of(rank: int, seats: list[Seat]) -> Share:
    """Return the cores of one rank.

    `seats` holds the seats of all ranks, in rank order. All shares have one size: what the fullest machine or the
    tightest quota leaves to a rank, and at least 1. They are disjoint where there are enough cores.
    """
    together = Counter((seat.node, seat.allowed) for seat in seats)
    least = min(min(len(seat.allowed) / together[seat.node, seat.allowed], seat.limit) for seat in seats)
    own, count = seats[rank], max(1, math.floor(least))
    before = sum(1 for seat in seats[:rank] if (seat.node, seat.allowed) == (own.node, own.allowed))
    return Share(own.allowed, before * count, count)
