"""The state of a running plan: written by its driver between launches, read by those who show it."""

import threading
from collections import defaultdict
from dataclasses import dataclass, field, replace

from stepmark.plan.cells import Cell
from stepmark.results.record import LaunchRecord
from stepmark.results.wire import Progress


@dataclass(frozen=True)
class Standing:
    """The state of a running plan at one moment.

    `launches_planned` is None until the plan begins, since parity checks come first. `cell` is the cell being measured,
    and `global_samples_per_second` its approximate throughput; None where unknown. `steps` counts the steps of each
    cell so far, warm-up included.
    """

    scenario: str
    launches_done: int
    launches_planned: int | None = None
    cell: Cell | None = None
    global_samples_per_second: float | None = None
    steps: dict[Cell, int] = field(default_factory=dict)

    def progress(self) -> Progress:
        """Return the same state in the form that a hub receives."""
        return Progress(
            launches_done=self.launches_done,
            launches_total=self.launches_planned,
            cell=self.cell.key if self.cell is not None else None,
            global_samples_per_second=self.global_samples_per_second,
        )


class Board:
    """Hold the current `Standing` of a plan. Thread-safe: the driver writes, others read."""

    def __init__(self, scenario: str, launches_done: int) -> None:
        """Begin with `launches_done` launches, those that an earlier part of the run has stored."""
        self._now = Standing(scenario, launches_done)
        self._steps: dict[Cell, int] = defaultdict(int)
        self._steps_of_launch = 0
        self._lock = threading.Lock()

    def now(self) -> Standing:
        """Return the current state."""
        with self._lock:
            return replace(self._now, steps=dict(self._steps))

    def planned(self, launches: int) -> None:
        """Set how many launches are still to be made."""
        with self._lock:
            self._now = replace(self._now, launches_planned=self._now.launches_done + launches)

    def added(self, launches: int) -> None:
        """Add launches to those that are planned."""
        with self._lock:
            planned = (self._now.launches_planned or self._now.launches_done) + launches
            self._now = replace(self._now, launches_planned=planned)

    def told(self, cell: Cell, steps: int, seconds: float) -> None:
        """Report that a launch of this cell runs and made `steps` steps in `seconds` since the last call.

        The first call of a launch has 0 steps.
        """
        with self._lock:
            if steps == 0:
                self._steps_of_launch = 0
                self._now = replace(self._now, cell=cell, global_samples_per_second=None)
                return
            self._steps_of_launch += steps
            self._steps[cell] += steps
            self._now = replace(self._now, cell=cell, global_samples_per_second=cell.global_batch * steps / seconds)

    def finished(self, record: LaunchRecord) -> None:
        """Report that a launch has ended; its steps that were not reported yet are counted now."""
        with self._lock:
            untold = record.steps - self._steps_of_launch
            self._steps[record.header.cell] += max(0, untold)
            self._steps_of_launch = 0
            done = self._now.launches_done + 1
            planned = max(done, self._now.launches_planned or 0)  # further blocks may have been added
            self._now = replace(
                self._now, launches_done=done, launches_planned=planned, cell=None, global_samples_per_second=None
            )
