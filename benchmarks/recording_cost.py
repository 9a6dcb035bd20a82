"""What recording costs inside the timed region, per step, and that nothing else happens there.

    python benchmarks/recording_cost.py        target: <= 2 us

The same empty step runs in the timed loop (stamps into the shared buffer) and in a bare `for`; the difference is the
recording. Then the interpreter's own profiler lists every function that a window calls. The same is done for a window
of stretches of 20 steps, as on a device that runs ahead, with drains that wait for nothing.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stepmark.launch.buffer import StampBuffer
from stepmark.launch.loop import drained_window, timed_window

STEPS, ROUNDS, STRETCH = 5000, 41, 20


def step(index: int) -> None:
    return None


def synchronize() -> float:
    return 0.0


def bare(steps: int) -> int:
    start = time.perf_counter_ns()
    for index in range(steps):
        step(index)
    return time.perf_counter_ns() - start


def drain() -> None:
    return None


def plain(buffer: StampBuffer, steps: int) -> int:
    return timed_window(step, synchronize, buffer.words, 1, 0, steps)


def drained(buffer: StampBuffer, steps: int) -> int:
    return drained_window(step, drain, synchronize, buffer.words, 1, 0, steps, STRETCH)


def called_in_a_window(window: Callable[[StampBuffer, int], int], buffer: StampBuffer) -> set[str]:
    calls: set[str] = set()

    def profile(frame: object, event: str, argument: object) -> None:
        if event == "call":
            calls.add(frame.f_code.co_name)  # type: ignore[attr-defined]
        elif event == "c_call":
            calls.add(argument.__name__)  # type: ignore[attr-defined]

    sys.setprofile(profile)
    window(buffer, 2 * STRETCH)
    sys.setprofile(None)
    return calls - {"setprofile", window.__name__}


def main() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        buffer = StampBuffer.create(Path(folder) / "stamps", STEPS)
        for window in (plain, drained):
            costs = [(window(buffer, STEPS) - bare(STEPS)) / STEPS for _ in range(ROUNDS)]
            print(f"{window.__name__}: called inside a window:", ", ".join(sorted(called_in_a_window(window, buffer))))
            median, largest = np.median(costs) / 1e3, max(costs) / 1e3
            print(f"recording costs {median:.3f} us a step (largest of {ROUNDS}: {largest:.3f})")


if __name__ == "__main__":
    main()
