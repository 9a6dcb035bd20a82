"""Give the sleeper a device of its own: a thread to which steps are handed, as kernels are to a GPU."""

import itertools
import queue
import threading
import time

_SPIN_NANOSECONDS = 2_000_000  # A sleep can end this late on a busy machine, so the last part is a busy loop.


def sleep_until(end_ns: int) -> None:
    """Return when `perf_counter_ns` reads `end_ns`, to a microsecond where the scheduler allows it.

    Sleep first, then watch the clock.
    """
    left = end_ns - time.perf_counter_ns()
    if left > _SPIN_NANOSECONDS:
        time.sleep((left - _SPIN_NANOSECONDS) / 1e9)
    while time.perf_counter_ns() < end_ns:
        pass


def sleep_exactly(seconds: float) -> None:
    """Return after `seconds`, to a microsecond where the scheduler allows it."""
    sleep_until(time.perf_counter_ns() + int(seconds * 1e9))


class SleeperDevice:
    """Make steps of given lengths one after another, while the caller goes on.

    A step begins when the one before was to end, or when it was handed over if that is later. So a thread that wakes up
    late does not delay the steps after. `clock_factor` multiplies all times that the device itself takes.
    """

    def __init__(self, clock_factor: float) -> None:
        self._clock_factor = clock_factor
        self._steps: queue.Queue[tuple[int, float]] = queue.Queue()
        self._times = [time.perf_counter_ns()]
        threading.Thread(target=self._make, daemon=True).start()

    def begin(self, seconds: float) -> None:
        """Hand over a step of this length, and return at once."""
        self._steps.put((time.perf_counter_ns(), seconds))

    def drain(self) -> None:
        """Return when all steps that were handed over are made."""
        self._steps.join()

    def mark(self) -> None:
        """Time the steps that are handed over from now on. The device is drained."""
        self._times = [time.perf_counter_ns()]

    def step_nanoseconds(self) -> list[int]:
        """Return the time of each step made since the mark, by the device's clock."""
        return [int((after - before) * self._clock_factor) for before, after in itertools.pairwise(self._times)]

    def _make(self) -> None:
        end = 0
        while True:
            handed_over_at, seconds = self._steps.get()
            end = max(end, handed_over_at) + int(seconds * 1e9)
            sleep_until(end)
            self._times.append(time.perf_counter_ns())
            self._steps.task_done()
