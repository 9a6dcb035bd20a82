"""Which cores each rank computes on: agreed once a session, since the pods of one node do not know of one another.

Frameworks make as many threads as there are cores that they may run on. Two ranks that both take all of a node's
threads for theirs wait for each other in spinning loops: seven times the step, seen with PyTorch.
"""

import math
import os
from collections import Counter
from dataclasses import dataclass
from typing import Self

from stepmark.results.environment import cgroup_cpu_limit


@dataclass(frozen=True)
class Seat:
    """Where a rank is: the machine, the cores that it may run on, and how many of them its cgroup lets it use.

    `allowed` is the pod's own where the kubelet gives it exclusive cores, else all of the node's. `limit` is the rank's
    part of the quota, infinite where there is none.
    """

    node: str
    allowed: tuple[int, ...]
    limit: float

    @classmethod
    def here(cls, node: str, local_ranks: int) -> Self:
        """This process's. `local_ranks`: the ranks of its pod, or of its machine, which have one quota."""
        quota = cgroup_cpu_limit()
        limit = math.inf if quota is None else quota / local_ranks
        return cls(node, tuple(sorted(os.sched_getaffinity(0))), limit)


@dataclass(frozen=True)
class Share:
    """A rank's cores: `count` of the allowed ones from number `first` on, round and round where ranks are too many."""

    allowed: tuple[int, ...]
    first: int
    count: int

    def cpus(self, places: int = 1) -> tuple[int, ...]:
        """`places`: with the shares of so many ranks from here on, where one process holds all workers."""
        several = range(self.first, self.first + min(self.count * places, len(self.allowed)))
        return tuple(sorted(self.allowed[number % len(self.allowed)] for number in several))


def share_of(rank: int, seats: list[Seat]) -> Share:
    """Disjoint where the cores suffice, and of one size: what the fullest machine or the tightest quota leaves a rank.

    `seats`: of all ranks, in their order.
    """
    together = Counter((seat.node, seat.allowed) for seat in seats)
    least = min(min(len(seat.allowed) / together[seat.node, seat.allowed], seat.limit) for seat in seats)
    own, count = seats[rank], max(1, math.floor(least))
    before = sum(1 for seat in seats[:rank] if (seat.node, seat.allowed) == (own.node, own.allowed))
    return Share(own.allowed, before * count, count)
