"""Time steps by the device's own clock, and bound how far the host runs ahead of it."""

import itertools
from collections.abc import Callable
from typing import Any, Protocol

from stepmark.engines._device import STEPS_AHEAD


class Event(Protocol):
    """Mark a point in the device's queue of work. `torch.cuda.Event` with `enable_timing` is one."""

    def record(self) -> None:
        """Put the mark at the end of the queue."""

    def synchronize(self) -> None:
        """Return when the device has reached the mark."""

    def elapsed_time(self, later: Any) -> float:
        """Return the milliseconds from this mark to a later one of its kind. The device must have reached both."""


class StepEvents:
    """Record one event before a window and one after each of its steps.

    Waiting for an old step leaves the queue full, so it takes no time from the device. Without it the host would queue
    steps without bound, and a failure would be seen long after its step.
    """

    def __init__(self, make: Callable[[], Event]) -> None:
        self._make = make
        self._events: list[Event] = []
        self._steps: int | None = None
        self._done = 0

    def mark(self, steps: int) -> None:
        """Begin a window of `steps` steps. Events are kept from window to window, so that none is made inside one."""
        self._events += [self._make() for _ in range(steps + 1 - len(self._events))]
        for event in self._events[: steps + 1]:
            event.record()  # CUDA makes an event when it is recorded for the first time.
        self._steps, self._done = steps, 0
        self._events[0].record()

    def before_step(self) -> None:
        """Wait for the step that is `STEPS_AHEAD` before the one that begins now."""
        if self._open() and self._done >= STEPS_AHEAD:
            self._events[self._done - STEPS_AHEAD + 1].synchronize()

    def after_step(self) -> None:
        """Record the end of a step. Steps beyond those of the window are not recorded."""
        if self._open():
            self._done += 1
            self._events[self._done].record()

    def nanoseconds(self) -> list[int] | None:
        """Return the time of each step of the window, or None where none was begun. Waits for the last of them."""
        if self._steps is None:
            return None
        events = self._events[: self._done + 1]
        events[-1].synchronize()
        return [round(begin.elapsed_time(end) * 1e6) for begin, end in itertools.pairwise(events)]

    def _open(self) -> bool:
        return self._steps is not None and self._done < self._steps
