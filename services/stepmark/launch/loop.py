"""Run the timed loop, which all engines share and which defines what the measured times mean.

A window is a number of steps that all ranks have agreed on: a loop that ended on each rank's clock would deadlock in
the last collective. Before a window the ranks meet in a barrier, outside the clock. Inside it there is only the step
and one clock reading (a stamp) stored into a preallocated array. The window ends when the last loss has reached the
host, so that a framework that runs ahead of the device cannot end early. Where a device runs ahead of the host, it is
drained before each stamp, and a stamp of a measured window ends a stretch of several steps. Windows that a framework's
own loop runs are in `fit_window`. Source of the protocol: Hoefler and Belli, SC'15; docs/measuring.md.
"""

import gc
import itertools
import math
import statistics
from collections.abc import Callable
from time import perf_counter_ns
from typing import Literal, Protocol

import numpy as np

from stepmark.launch.buffer import StampBuffer
from stepmark.launch.settling import still_settling
from stepmark.results.record import WARMUP_STEPS_MOST, Window, pack_steps
from stepmark.results.rounds import levelled
from stepmark.scenario.model import Measurement

LENGTHENED_MOST = 5
STRETCH_SECONDS = 0.2  # A drain costs a fraction of a millisecond, so about 0.1 % of a stretch of this length.
STRETCHES_LEAST = 20  # With fewer stamps, nothing can be said of a steady state (`analysis/steady.py`).
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


def drained_window(
    step: Callable[[int], None],
    drain: Callable[[], None],
    synchronize: Callable[[], float],
    stamps: memoryview,
    start: int,
    first_step: int,
    steps: int,
    stamp_steps: int,
) -> int:
    """Run `steps` steps on a device that runs ahead of the host, and return the window's nanoseconds.

    The device is drained after every `stamp_steps` steps and after the last, and the time is stored then. So the host
    is never further ahead than a stretch of `stamp_steps` steps. The rest is as in `timed_window`.
    """
    clock = perf_counter_ns
    end = first_step + steps
    begin = clock()
    stamps[start] = -begin
    for first in range(first_step, end, stamp_steps):
        for index in range(first, min(first + stamp_steps, end)):
            step(index)
        drain()
        start += 1
        stamps[start] = clock()
    synchronize()
    return clock() - begin


class RunsAhead(Protocol):
    """Drain and time a device on which steps are queued, as an asynchronous `Engine` does."""

    def drain(self) -> None:
        """Return when the device has made every step that was begun."""

    def mark_window(self, steps: int) -> None:
        """Time the next `steps` steps on the device itself, the first of them from now on."""

    def device_step_nanoseconds(self) -> list[int] | None:
        """Return the time of each step since `mark_window` by the device's clock, or None where it has none."""


class Recorder:
    """Run windows one after another, and keep their list, which is needed to read the buffer.

    `device` is given where steps return before they are done. `stamp_steps` is the number of steps from stamp to stamp
    in measured windows, and `execution_steps` the number of those that can only be stamped together. After
    `round_steps` steps the shapes of batches come again, and windows have whole rounds; it is 1 where all batches have
    one shape, and where steps are stamped together.
    """

    execution_steps = 1

    def __init__(
        self,
        step: Callable[[int], None],
        synchronize: Callable[[], float],
        group: Group,
        buffer: StampBuffer,
        device: RunsAhead | None = None,
        round_steps: int = 1,
    ) -> None:
        self.round_steps = round_steps
        self.step, self.synchronize, self.group, self.buffer, self.device = step, synchronize, group, buffer, device
        self.windows: list[Window] = []
        self.stamp_steps = 1
        self._next_word = 1
        self._next_step = 0
        self._device_times: list[list[int] | None] = []

    def window(self, kind: Literal["warmup", "measured"], steps: int) -> None:
        """Run one window of the largest number of steps that any rank asks for."""
        steps = int(self.group.agree_max(steps))
        stamp_steps = self._stamp_steps_of(kind)
        if self.device is None:
            nanoseconds = timed_window(
                self.step, self.synchronize, self.buffer.words, self._next_word, self._next_step, steps
            )
        else:
            nanoseconds = self._drained(self.device, kind, steps, stamp_steps)
        self._keep(Window(kind=kind, steps=steps, host_nanoseconds=nanoseconds, stamp_steps=stamp_steps))

    def _stamp_steps_of(self, kind: Literal["warmup", "measured"]) -> int:
        return self.stamp_steps if kind == "measured" else self.execution_steps

    def _keep(self, made: Window) -> None:
        self.windows.append(made)
        self._next_word += made.stamps + 1
        self._next_step += made.steps

    def _drained(self, device: RunsAhead, kind: Literal["warmup", "measured"], steps: int, stamp_steps: int) -> int:
        """Run a window whose stamps are taken after drains, and keep its device's times if it is measured."""
        self.buffer.cover(self._next_word + 1, steps, stamp_steps)
        if kind == "measured":
            device.mark_window(steps)
        nanoseconds = drained_window(
            self.step,
            device.drain,
            self.synchronize,
            self.buffer.words,
            self._next_word,
            self._next_step,
            steps,
            stamp_steps,
        )
        if kind == "measured":
            self._device_times.append(device.device_step_nanoseconds())
        return nanoseconds

    def begin_anew(self) -> None:
        """Number the steps from 0 again, so that the next one takes the first batch."""
        self._next_step = 0

    @property
    def steps_done(self) -> int:
        """Return the number of steps so far, since they were last numbered from 0."""
        return self._next_step

    def total(self, kind: str) -> tuple[int, float]:
        """Return the steps and seconds of the windows of this kind so far."""
        chosen = [window for window in self.windows if window.kind == kind]
        return sum(w.steps for w in chosen), sum(w.host_nanoseconds for w in chosen) / _NS

    def mean_step_nanoseconds(self) -> list[float]:
        """Return the mean nanoseconds of the steps from stamp to stamp, in the order of `step_nanoseconds`."""
        steps: list[int] = []
        for window in self.windows:
            whole = window.stamps - 1
            steps += [window.stamp_steps] * whole + [window.steps - whole * window.stamp_steps]
        return [nanoseconds / count for nanoseconds, count in zip(self.step_nanoseconds(), steps, strict=True)]

    def step_nanoseconds(self) -> list[int]:
        """Return the nanoseconds from stamp to stamp in order, the warm-up first.

        A stamp of the warm-up ends `execution_steps` steps, or fewer where it is a window's last.
        """
        durations, word = [], 1
        for window in self.windows:
            begin, *ends = self.buffer.words[word : word + window.stamps + 1].tolist()
            stamps = [-begin, *ends]
            durations += [after - before for before, after in itertools.pairwise(stamps)]
            word += window.stamps + 1
        return durations

    def levelled_nanoseconds(self) -> list[float]:
        """Return the nanoseconds of the steps of the warm-up after the first, as if all batches took as long."""
        times = np.array(self.mean_step_nanoseconds()[1:])
        return levelled(times, self.round_steps, first_step=1).tolist()

    def device_step_nanoseconds(self) -> list[int] | None:
        """Return the nanoseconds of every measured step by the device's clock; None where it has none."""
        known = [times for times in self._device_times if times is not None]
        return list(itertools.chain(*known)) if known and len(known) == len(self._device_times) else None

    def packed(self) -> bytes:
        """Return all times of this rank as `pack_steps` packs them, with one row in each array."""
        host, device = np.array([self.step_nanoseconds()], dtype=np.int64), self.device_step_nanoseconds()
        return pack_steps(host, None if device is None else np.array([device], dtype=np.int64))


def warm_up(recorder: Recorder, limits: Measurement) -> None:
    """Run warm-up windows until the least number of steps and the least time are reached.

    The first step, which compiles, was made before. If the steps then still become faster on any rank, run half as many
    steps again, until they no longer do or the warm-up is `LENGTHENED_MOST` times as long. Otherwise a warm-up that
    reaches into the measured windows would look like a slower cell. Where batches have shapes of their own, there are
    at least two rounds of them: the first compiles what it must.
    """
    least = limits.warmup_steps if recorder.round_steps == 1 else max(limits.warmup_steps, 2 * recorder.round_steps)
    _fill(recorder, "warmup", least, WARMUP_STEPS_MOST, limits.warmup_seconds)
    steps, seconds = floor_steps, floor_seconds = recorder.total("warmup")
    while recorder.group.agree_max(
        float(
            still_settling(recorder.levelled_nanoseconds())
            and seconds < LENGTHENED_MOST * floor_seconds
            and steps < min(LENGTHENED_MOST * floor_steps, WARMUP_STEPS_MOST)
        )
    ):
        more = _rounded_up(-(-steps // 2), recorder.execution_steps)
        recorder.window("warmup", min(more, WARMUP_STEPS_MOST - steps))
        steps, seconds = recorder.total("warmup")


def measure(recorder: Recorder, limits: Measurement) -> None:
    """Collect garbage once, and then run measured windows until the limits are met.

    The garbage collector stays on, as in production. Where the device runs ahead of the host, the ranks agree first on
    the steps of a stretch, by the median step of the warm-up. `min_steps` is then rounded up to whole stretches, and
    there are at least `STRETCHES_LEAST` of them, unless `max_steps` is smaller. Where batches have shapes of their own,
    a stretch of several steps has whole rounds of them, and so has a window.
    """
    gc.collect()
    gc.freeze()
    agree_on_stretch(recorder, limits.max_steps)
    least = limits.min_steps
    if recorder.stamp_steps > 1:
        least = max(least, STRETCHES_LEAST * recorder.stamp_steps)
    most = max(limits.max_steps // recorder.round_steps, 1) * recorder.round_steps
    _fill(recorder, "measured", least, most, limits.min_seconds)


def agree_on_stretch(recorder: Recorder, max_steps: int) -> None:
    """Have the ranks agree on the steps of a stretch, by the median step of the warm-up, where a device runs ahead."""
    if recorder.device is not None:
        means = recorder.mean_step_nanoseconds()
        stretch = steps_of_a_stretch(statistics.median(means[1:] or means) / _NS, max_steps)
        unit = recorder.execution_steps if stretch == 1 else max(recorder.execution_steps, recorder.round_steps)
        recorder.stamp_steps = int(recorder.group.agree_max(_rounded_up(stretch, unit)))


def steps_of_a_stretch(step_seconds: float, max_steps: int) -> int:
    """Return how many steps a stretch has: `STRETCH_SECONDS`, but few enough for `STRETCHES_LEAST` stretches."""
    return max(1, min(math.ceil(STRETCH_SECONDS / step_seconds), max_steps // STRETCHES_LEAST))


def _fill(recorder: Recorder, kind: Literal["warmup", "measured"], least: int, most: int, seconds: float) -> None:
    """Run windows of one kind until at least `least` steps and `seconds` are done, or until `most` steps are done.

    Windows have whole stretches and rounds, except where whole stretches would be more than `most` steps.
    """
    unit = max(recorder.stamp_steps, recorder.round_steps) if kind == "measured" else recorder.execution_steps
    while True:
        steps, elapsed = recorder.total(kind)
        wanted = 0 if steps >= most else max(least - steps, _steps_for(recorder, seconds - elapsed))
        wanted = int(recorder.group.agree_max(min(_rounded_up(wanted, unit), most - steps)))
        if wanted <= 0:
            return
        recorder.window(kind, wanted)


def _rounded_up(steps: int, unit: int) -> int:
    return -(-steps // unit) * unit


def _steps_for(recorder: Recorder, seconds: float) -> int:
    """Return how many steps fill `seconds` at the pace of the last window, plus 5 %."""
    last = recorder.windows[-1]
    return math.ceil(1.05 * seconds * _NS * last.steps / last.host_nanoseconds) if seconds > 0 else 0
