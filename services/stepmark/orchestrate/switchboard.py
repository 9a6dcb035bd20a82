"""Where the driver and the supervisors of one session meet: blocks go out, addresses are exchanged, outcomes come in.

One object, thread-safe, with calls that wait. Under Ray it is an actor with a thread for each caller; without Ray it is
shared by threads. While something is measured one call is made, `tell`, every two seconds and only where it is wanted.
"""

import threading
from dataclasses import dataclass, field
from typing import Any, TypeVar

from stepmark.launch.spec import RankOutcome
from stepmark.plan.blocks import Launch

T = TypeVar("T")


@dataclass(frozen=True)
class Endpoint:
    """Where one rank of one launch can be reached: a port for the framework, one for our control group."""

    host: str
    group_port: int
    control_port: int
    control_token: str


@dataclass(frozen=True)
class Arrival:
    """One rank's outcome of one launch."""

    launch_id: str
    outcome: RankOutcome


@dataclass(frozen=True)
class Telling:
    """A launch runs, and made so many steps in so many seconds since its last telling. The first has no steps."""

    launch_id: str
    steps: int
    seconds: float


@dataclass
class Switchboard:
    """State of one session. `None` as a block ends it."""

    _blocks: list[tuple[Launch, ...] | None] = field(default_factory=list)
    _exchanged: dict[str, dict[int, Any]] = field(default_factory=dict)
    _arrivals: list[Arrival | Telling] = field(default_factory=list)
    _failed: set[str] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def offer(self, block: tuple[Launch, ...] | None) -> None:
        """From the driver: the next block, or None for the end."""
        with self._changed:
            self._blocks.append(block)
            self._changed.notify_all()

    def next_block(self, index: int) -> tuple[Launch, ...] | None:
        """From every rank: block number `index` of the session, once it is there."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._blocks) > index)
            return self._blocks[index]

    def exchange(self, what: str, rank: int, count: int, own: T) -> list[T]:
        """From each of `count` ranks: what all of them have given, in rank order, once all have."""
        with self._changed:
            known = self._exchanged.setdefault(what, {})
            known[rank] = own
            self._changed.notify_all()
            self._changed.wait_for(lambda: len(known) == count)
            return [known[i] for i in range(count)]

    def has_failed(self, launch_id: str) -> bool:
        """From a rank whose process is still joining: whether another rank of the launch has failed meanwhile."""
        with self._changed:
            return launch_id in self._failed

    def submit(self, launch_id: str, outcome: RankOutcome) -> None:
        """From a rank: how its part of a launch ended."""
        with self._changed:
            self._arrivals.append(Arrival(launch_id, outcome))
            if outcome.failure is not None:
                self._failed.add(launch_id)
            self._changed.notify_all()

    def tell(self, launch_id: str, steps: int, seconds: float) -> None:
        """From rank 0: how its launch goes."""
        with self._changed:
            self._arrivals.append(Telling(launch_id, steps, seconds))
            self._changed.notify_all()

    def take(self, timeout_seconds: float) -> list[Arrival | Telling]:
        """From the driver: what has come in since the last call; waits for something up to the time-out."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._arrivals), timeout_seconds)
            arrivals, self._arrivals = self._arrivals, []
            return arrivals
