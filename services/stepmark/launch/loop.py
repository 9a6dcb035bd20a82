"""Run the timed loop, which all engines share and which defines what the measured times mean.

A window is a number of steps that all ranks have agreed on: a loop that ended on each rank's clock would deadlock in
the last collective. Before a window the ranks meet in a barrier, outside the clock. Inside it there is only the step
and one clock reading stored into a preallocated array. The window ends when the last loss has reached the host, so that
a framework that runs ahead of the device cannot end early. Source of the protocol: Hoefler and Belli, SC'15;
docs/measuring.md.
"""

import gc
import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Literal, Protocol

from stepmark.launch.buffer import StampBuffer
from stepmark.results.record import WARMUP_STEPS_MOST, Window
from stepmark.scenario.model import Measurement

LENGTHENED_MOST = 5
_SETTLING_LEAST = 0.005
_SETTLING_STEPS_LEAST = 4
_NS = 1_000_000_000


class Group(Protocol):
    """Let the ranks agree on numbers outside the clock."""

    def agree_max(self, value: float) -> float:
        """Return the largest of all ranks' values on every rank. The call is also a barrier."""


def timed_window(
    step: Callable[[int], None],
    synchronize: Callable[[], float],
    stamps: memoryview,
    start: int,
    first_step: int,
    steps: int,
) -> int:
    """Run `steps` steps, and return the window's nanoseconds.

    The start is stored, negated, in `stamps[start]`, and the end of each step in the words after it. `first_step` is
    the number of the first step.
    """
    clock = perf_counter_ns
    begin = clock()
    stamps[start] = -begin
    for index in range(steps):
        step(first_step + index)
        stamps[start + 1 + index] = clock()
    synchronize()
    return clock() - begin


class Recorder:
    """Run windows one after another, and keep their list, which is needed to read the buffer."""

    def __init__(
        self, step: Callable[[int], None], synchronize: Callable[[], float], group: Group, buffer: StampBuffer
    ) -> None:
        self.step, self.synchronize, self.group, self.buffer = step, synchronize, group, buffer
        self.windows: list[Window] = []
        self._next_word = 1
        self._next_step = 0

    def window(self, kind: Literal["warmup", "measured"], steps: int) -> None:
        """Run one window of the largest number of steps that any rank asks for."""
        steps = int(self.group.agree_max(steps))
        nanoseconds = timed_window(
            self.step, self.synchronize, self.buffer.words, self._next_word, self._next_step, steps
        )
        self.windows.append(Window(kind=kind, steps=steps, host_nanoseconds=nanoseconds))
        self._next_word += steps + 1
        self._next_step += steps

    @property
    def steps_done(self) -> int:
        """Return the number of steps in all windows so far."""
        return self._next_step

    def total(self, kind: str) -> tuple[int, float]:
        """Return the steps and seconds of the windows of this kind so far."""
        chosen = [window for window in self.windows if window.kind == kind]
        return sum(w.steps for w in chosen), sum(w.host_nanoseconds for w in chosen) / _NS

    def step_nanoseconds(self) -> list[int]:
        """Return the nanoseconds of every step in order, the warm-up first."""
        durations, word = [], 1
        for window in self.windows:
            begin, *ends = self.buffer.words[word : word + window.steps + 1].tolist()
            stamps = [-begin, *ends]
            durations += [after - before for before, after in itertools.pairwise(stamps)]
            word += window.steps + 1
        return durations


def warm_up(recorder: Recorder, limits: Measurement) -> None:
    """Run warm-up windows until the least number of steps and the least time are reached.

    The first step, which compiles, was made before. If the steps then still become faster on any rank, run half as many
    steps again, until they no longer do or the warm-up is `LENGTHENED_MOST` times as long. Otherwise a warm-up that
    reaches into the measured windows would look like a slower cell.
    """
    _fill(recorder, "warmup", limits.warmup_steps, WARMUP_STEPS_MOST, limits.warmup_seconds)
    floor_steps, floor_seconds = recorder.total("warmup")
    steps, seconds = floor_steps, floor_seconds
    while recorder.group.agree_max(
        float(
            still_settling(recorder.step_nanoseconds()[1:])
            and seconds < LENGTHENED_MOST * floor_seconds
            and steps < min(LENGTHENED_MOST * floor_steps, WARMUP_STEPS_MOST)
        )
    ):
        recorder.window("warmup", min(-(-steps // 2), WARMUP_STEPS_MOST - steps))
        steps, seconds = recorder.total("warmup")


def still_settling(nanoseconds: Sequence[int]) -> bool:
    """Return whether the steps still became faster in the last two thirds of a warm-up.

    They did if the median of the second half is below that of the first by more than 0.5 % and by more than two
    standard errors of a difference of medians. The spread is estimated from the differences of neighbouring steps,
    which a trend does not change.
    """
    logs = [math.log(max(step, 1)) for step in nanoseconds[len(nanoseconds) // 3 :]]
    half = len(logs) // 2
    if half < _SETTLING_STEPS_LEAST:
        return False
    fall = statistics.median(logs[:half]) - statistics.median(logs[-half:])
    neighbours = statistics.median(abs(after - before) for before, after in itertools.pairwise(logs))
    spread = neighbours / (0.6745 * math.sqrt(2))
    return fall > max(_SETTLING_LEAST, 2 * 1.2533 * spread * math.sqrt(2 / half))


def measure(recorder: Recorder, limits: Measurement) -> None:
    """Collect garbage once, and then run measured windows until the limits are met.

    The garbage collector stays on, as in production.
    """
    gc.collect()
    gc.freeze()
    _fill(recorder, "measured", limits.min_steps, limits.max_steps, limits.min_seconds)


def _fill(recorder: Recorder, kind: Literal["warmup", "measured"], least: int, most: int, seconds: float) -> None:
    """Run windows of one kind until at least `least` steps and `seconds` are done, or until `most` steps are done."""
    while True:
        steps, elapsed = recorder.total(kind)
        wanted = 0 if steps >= most else max(least - steps, _steps_for(recorder, seconds - elapsed))
        wanted = int(recorder.group.agree_max(min(wanted, most - steps)))
        if wanted <= 0:
            return
        recorder.window(kind, wanted)


def _steps_for(recorder: Recorder, seconds: float) -> int:
    """Return how many steps fill `seconds` at the pace of the last window, plus 5 %."""
    last = recorder.windows[-1]
    return math.ceil(1.05 * seconds * _NS * last.steps / last.host_nanoseconds) if seconds > 0 else 0
