"""Decide which cores each rank computes on, once per session, since the pods of one node do not know of each other.

Frameworks start as many threads as there are cores that they may run on. Two ranks that both use all of a node's cores
wait for each other in spinning loops; with PyTorch, a step then took seven times as long.
"""

import math
import os
from collections import Counter
from dataclasses import dataclass
from typing import Self

from stepmark.devices.facts import Gpu
from stepmark.results.environment import cgroup_cpu_limit


@dataclass(frozen=True)
class Seat:
    """Say which machine a rank is on, which cores it may run on, how many its cgroup lets it use, and its GPU.

    `allowed` holds the pod's own cores where the kubelet gives it exclusive ones, and otherwise all of the node's.
    `limit` is the rank's part of the CPU quota, in cores; it is infinite where there is no quota. `gpu` is None where
    the session runs on CPU cores.
    """

    node: str
    allowed: tuple[int, ...]
    limit: float
    gpu: Gpu | None = None

    @classmethod
    def here(cls, node: str, local_ranks: int, gpu: Gpu | None = None) -> Self:
        """Return the seat of this process.

        `local_ranks` is the number of ranks in its pod, or on its machine, which share one quota.
        """
        quota = cgroup_cpu_limit()
        limit = math.inf if quota is None else quota / local_ranks
        return cls(node, tuple(sorted(os.sched_getaffinity(0))), limit, gpu)

    @property
    def near(self) -> frozenset[int]:
        """Return the allowed cores near the rank's GPU; empty where there is none, or where they are unknown."""
        return self.gpu.cores.intersection(self.allowed) if self.gpu is not None else frozenset()


@dataclass(frozen=True)
class Share:
    """Name a rank's cores: the first of `dealt`. The others are those of the following ranks of its machine, in turn.

    All have one size, `count`.
    """

    dealt: tuple[tuple[int, ...], ...]

    @property
    def count(self) -> int:
        """Return the number of the rank's own cores."""
        return len(self.dealt[0])

    def cpus(self, places: int = 1) -> tuple[int, ...]:
        """Return the cores of this share, together with those of the next `places` - 1 shares.

        More than one place is needed where one process holds all workers.
        """
        return tuple(sorted({core for cores in self.dealt[:places] for core in cores}))


def share_of(rank: int, seats: list[Seat]) -> Share:
    """Return the cores of one rank.

    `seats` holds the seats of all ranks, in rank order. All shares have one size: what the fullest machine or the
    tightest quota leaves to a rank, and at least 1. They are disjoint where there are enough cores, and near the rank's
    GPU as far as the cores there go.
    """
    together = Counter((seat.node, seat.allowed) for seat in seats)
    least = min(min(len(seat.allowed) / together[seat.node, seat.allowed], seat.limit) for seat in seats)
    own = seats[rank]
    machine = [seat for seat in seats if (seat.node, seat.allowed) == (own.node, own.allowed)]
    before = sum(1 for seat in seats[:rank] if (seat.node, seat.allowed) == (own.node, own.allowed))
    dealt = _dealt(machine, max(1, math.floor(least)))
    return Share((*dealt[before:], *dealt[:before]))


def _dealt(machine: list[Seat], count: int) -> list[tuple[int, ...]]:
    """Return `count` cores for each of the ranks that share a machine's cores: first those near their GPUs.

    Dealing starts again at the first core where there are more ranks than cores.
    """
    free, hands = list(machine[0].allowed), [list[int]() for _ in machine]
    for seat, hand in zip(machine, hands, strict=True):
        hand += [core for core in free if core in seat.near][:count]
        free = [core for core in free if core not in hand]
    for seat, hand in zip(machine, hands, strict=True):
        wanted = count - len(hand)
        if len(free) < wanted:
            free = list(seat.allowed)
        hand += free[:wanted]
        del free[:wanted]
    return [tuple(sorted(hand)) for hand in hands]
