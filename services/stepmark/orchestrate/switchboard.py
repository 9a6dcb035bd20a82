"""Connect the driver and the supervisors of one session: blocks go out, addresses are exchanged, outcomes come in.

There is one object, thread-safe, whose calls wait. Under Ray it is an actor with a thread for each caller; without Ray,
threads share it. The only call during a measurement is `tell`, every two seconds and only where it is wanted.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from stepmark.launch.spec import RankOutcome
from stepmark.plan.blocks import Launch

T = TypeVar("T")


class SessionClosed(Exception):
    """Signal to a supervisor that its session has ended early."""


@dataclass(frozen=True)
class Endpoint:
    """Say how one rank of one launch can be reached: one port for the framework and one for our control group."""

    host: str
    group_port: int
    control_port: int
    control_token: str


@dataclass(frozen=True)
class Arrival:
    """Hold one rank's outcome of one launch."""

    launch_id: str
    outcome: RankOutcome


@dataclass(frozen=True)
class Telling:
    """Report that a launch is running, and how many steps it made in how many seconds since its last report.

    The first report has no steps.
    """

    launch_id: str
    steps: int
    seconds: float


@dataclass
class Switchboard:
    """Hold the state of one session. A block of None ends the session."""

    _blocks: list[tuple[Launch, ...] | None] = field(default_factory=list)
    _exchanged: dict[str, dict[int, Any]] = field(default_factory=dict)
    _arrivals: list[Arrival | Telling] = field(default_factory=list)
    _failed: set[str] = field(default_factory=set)
    _closed: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def offer(self, block: tuple[Launch, ...] | None) -> None:
        """Add the next block, or None for the end. The driver calls this."""
        with self._changed:
            self._blocks.append(block)
            self._changed.notify_all()

    def close(self) -> None:
        """End the session early: every supervisor that waits, or will wait, gets SessionClosed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self._closed or condition())
        if self._closed:
            raise SessionClosed

    def next_block(self, index: int) -> tuple[Launch, ...] | None:
        """Return block number `index` of the session, once it is there. Every rank calls this."""
        with self._changed:
            self._wait_for(lambda: len(self._blocks) > index)
            return self._blocks[index]

    def exchange(self, what: str, rank: int, count: int, own: T) -> list[T]:
        """Return what all `count` ranks have given under the name `what`, in rank order, once all have.

        Each rank calls this.
        """
        with self._changed:
            known = self._exchanged.setdefault(what, {})
            known[rank] = own
            self._changed.notify_all()
            self._wait_for(lambda: len(known) == count)
            return [known[i] for i in range(count)]

    def has_failed(self, launch_id: str) -> bool:
        """Return whether another rank of the launch has failed. A rank whose process is not stepping calls this."""
        with self._changed:
            return launch_id in self._failed

    def submit(self, launch_id: str, outcome: RankOutcome) -> None:
        """Add how a rank's part of a launch ended. Each rank calls this."""
        with self._changed:
            self._arrivals.append(Arrival(launch_id, outcome))
            if outcome.failure is not None:
                self._failed.add(launch_id)
            self._changed.notify_all()

    def tell(self, launch_id: str, steps: int, seconds: float) -> None:
        """Add a report on the progress of a launch. Rank 0 calls this."""
        with self._changed:
            self._arrivals.append(Telling(launch_id, steps, seconds))
            self._changed.notify_all()

    def take(self, timeout_seconds: float) -> list[Arrival | Telling]:
        """Return what has come in since the last call, waiting for something up to the time-out.

        The driver calls this.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._arrivals), timeout_seconds)
            arrivals, self._arrivals = self._arrivals, []
            return arrivals
