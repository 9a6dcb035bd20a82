"""What recording costs inside the timed region, per step, and that nothing else happens there.

    python benchmarks/recording_cost.py        target: <= 2 us

The same empty step runs in the timed loop (stamps into the shared buffer) and in a bare `for`; the difference is the
recording. Then the interpreter's own profiler lists every function that a window calls.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from stepmark.launch.buffer import StampBuffer
from stepmark.launch.loop import timed_window

STEPS, ROUNDS = 5000, 41


def step(index: int) -> None:
    return None


def synchronize() -> float:
    return 0.0


def bare(steps: int) -> int:
    start = time.perf_counter_ns()
    for index in range(steps):
        step(index)
    return time.perf_counter_ns() - start


def called_in_a_window(buffer: StampBuffer) -> set[str]:
    calls: set[str] = set()

    def profile(frame: object, event: str, argument: object) -> None:
        if event == "call":
            calls.add(frame.f_code.co_name)  # type: ignore[attr-defined]
        elif event == "c_call":
            calls.add(argument.__name__)  # type: ignore[attr-defined]

    sys.setprofile(profile)
    timed_window(step, synchronize, buffer.words, 1, 0, 10)
    sys.setprofile(None)
    return calls - {"setprofile"}


def main() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        buffer = StampBuffer.create(Path(folder) / "stamps", STEPS)
        costs = []
        for _ in range(ROUNDS):
            recorded = timed_window(step, synchronize, buffer.words, 1, 0, STEPS)
            costs.append((recorded - bare(STEPS)) / STEPS)
        print("called inside a window:", ", ".join(sorted(called_in_a_window(buffer))))
        print(f"recording costs {np.median(costs) / 1e3:.3f} us a step (largest of {ROUNDS}: {max(costs) / 1e3:.3f})")


if __name__ == "__main__":
    main()
