"""The timed loop. Every engine shares it, and it defines what our numbers mean.

A window is a number of steps that all ranks have agreed on (a loop that ends on a local clock deadlocks in the last
collective). Before it the ranks meet in a barrier, outside the clock. Inside it there is nothing but the step and one
clock reading stored into a preallocated array. It ends when the last loss has reached the host, so that a framework
that runs ahead cannot end early. Protocol: Hoefler and Belli, SC'15; docs/measuring.md.
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
    """How the ranks agree outside the clock."""

    def agree_max(self, value: float) -> float:
        """The largest of all ranks' values, known to all; also a barrier."""


def timed_window(
    step: Callable[[int], None],
    synchronize: Callable[[], float],
    stamps: memoryview,
    start: int,
    first_step: int,
    steps: int,
) -> int:
    """Run `steps` steps; stamp the start (negative) at `stamps[start]`, each step's end behind it.

    Returns the window's nanoseconds.
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
    """Runs windows one after another and keeps what is needed to read the buffer: the windows in order."""

    def __init__(
        self, step: Callable[[int], None], synchronize: Callable[[], float], group: Group, buffer: StampBuffer
    ) -> None:
        self.step, self.synchronize, self.group, self.buffer = step, synchronize, group, buffer
        self.windows: list[Window] = []
        self._next_word = 1
        self._next_step = 0

    def window(self, kind: Literal["warmup", "measured"], steps: int) -> None:
        """One window of the largest number of steps that any rank asks for."""
        steps = int(self.group.agree_max(steps))
        nanoseconds = timed_window(
            self.step, self.synchronize, self.buffer.words, self._next_word, self._next_step, steps
        )
        self.windows.append(Window(kind=kind, steps=steps, host_nanoseconds=nanoseconds))
        self._next_word += steps + 1
        self._next_step += steps

    @property
    def steps_done(self) -> int:
        return self._next_step

    def total(self, kind: str) -> tuple[int, float]:
        """Steps and seconds of this kind so far."""
        chosen = [window for window in self.windows if window.kind == kind]
        return sum(w.steps for w in chosen), sum(w.host_nanoseconds for w in chosen) / _NS

    def step_nanoseconds(self) -> list[int]:
        """All steps' durations in order, warm-up first."""
        durations, word = [], 1
        for window in self.windows:
            begin, *ends = self.buffer.words[word : word + window.steps + 1].tolist()
            stamps = [-begin, *ends]
            durations += [after - before for before, after in itertools.pairwise(stamps)]
            word += window.steps + 1
        return durations


def warm_up(recorder: Recorder, limits: Measurement) -> None:
    """Windows until the floors of steps and seconds are passed. The first step, with its compiling, was done before.

    Where the steps still become faster then, on any rank, half as many are added, again and again, until they do not or
    the warm-up is `LENGTHENED_MOST` times as long: a tail that lasts into the measured window looks like a slower cell.
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
    """Whether steps were still becoming faster in the last two thirds of a warm-up, leaving its beginning out.

    Their second half is faster than the first by more than 0.5 % and by more than two standard errors of a difference
    of medians; the spread is that of neighbouring steps, which no trend moves.
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
    """Collect garbage once, keep the collector on as in production, then measure until the floors are passed."""
    gc.collect()
    gc.freeze()
    _fill(recorder, "measured", limits.min_steps, limits.max_steps, limits.min_seconds)


def _fill(recorder: Recorder, kind: Literal["warmup", "measured"], least: int, most: int, seconds: float) -> None:
    """Windows of one kind until at least `least` steps and `seconds` are done, or `most` steps."""
    while True:
        steps, elapsed = recorder.total(kind)
        wanted = 0 if steps >= most else max(least - steps, _steps_for(recorder, seconds - elapsed))
        wanted = int(recorder.group.agree_max(min(wanted, most - steps)))
        if wanted <= 0:
            return
        recorder.window(kind, wanted)


def _steps_for(recorder: Recorder, seconds: float) -> int:
    """Steps that fill this time at the pace of the last window, and one in twenty more."""
    last = recorder.windows[-1]
    return math.ceil(1.05 * seconds * _NS * last.steps / last.host_nanoseconds) if seconds > 0 else 0
