"""Run windows by a framework's own training loop, such as Keras' `fit`, each in one call.

The clock means the same as in `loop.timed_window`: it starts when the first step begins, a stamp is taken when a step
or a stretch has ended, and it stops when the last loss has reached the host. What the call takes before its first step
and after its last is in no step, and the window's record keeps it apart (docs/measuring.md).
"""

from collections.abc import Callable
from time import perf_counter_ns
from typing import Literal, Protocol

from stepmark.launch.buffer import StampBuffer
from stepmark.launch.loop import Group, Recorder, RunsAhead
from stepmark.results.record import Window


class FitLoop(Protocol):
    """Make many steps in one call. The framework calls back every `execution_steps` steps, and after the last."""

    execution_steps: int

    def step(self, index: int) -> None:
        """Make one step, by a call of the same loop."""

    def synchronize(self) -> float:
        """Wait for the device, and return a loss."""

    def run_loop(self, first: int, steps: int, begun: Callable[[], None], ended: Callable[[], None]) -> None:
        """Make `steps` steps from batch `first` on.

        `begun` is called when the first step begins, and `ended` each time that the framework calls back.
        """


class FitRecorder(Recorder):
    """Run each window in one call of the framework's own loop."""

    def __init__(self, fit: FitLoop, group: Group, buffer: StampBuffer, device: RunsAhead | None) -> None:
        super().__init__(fit.step, fit.synchronize, group, buffer, device)
        self._fit = fit
        self.execution_steps = self.stamp_steps = fit.execution_steps

    def window(self, kind: Literal["warmup", "measured"], steps: int) -> None:
        steps = int(self.group.agree_max(steps))
        stamp_steps = self._stamp_steps_of(kind)
        self.buffer.cover(self._next_word + 1, steps, stamp_steps)
        if self.device is not None and kind == "measured":
            self.device.mark_window(steps)
        stamped = Stamped(self, steps, stamp_steps, self._next_word)
        called = perf_counter_ns()
        self._fit.run_loop(self._next_step, steps, stamped.begun, stamped.ended)
        whole = perf_counter_ns() - called
        window = stamped.nanoseconds()
        self._keep(
            Window(
                kind=kind,
                steps=steps,
                host_nanoseconds=window,
                stamp_steps=stamp_steps,
                call_nanoseconds=whole - window,
            )
        )


class Stamped:
    """Stamp the steps of one window. Its start is stored at `word` of the recorder's buffer."""

    def __init__(self, recorder: Recorder, steps: int, stamp_steps: int, word: int) -> None:
        self._steps, self._stamp_steps = steps, stamp_steps
        self._stamps, self._word = recorder.buffer.words, word
        self._execution_steps, self._synchronize = recorder.execution_steps, recorder.synchronize
        self._drain = recorder.device.drain if recorder.device is not None else None
        self._begin = self._end = self._made = 0

    def begun(self) -> None:
        """Start the clock."""
        self._begin = perf_counter_ns()
        self._stamps[self._word] = -self._begin

    def ended(self) -> None:
        """Stamp the steps that have ended since the last call, if they end a stretch."""
        self._made += self._execution_steps
        if self._made % self._stamp_steps and self._made < self._steps:
            return
        if self._drain is not None:
            self._drain()
        self._word += 1
        self._stamps[self._word] = perf_counter_ns()
        if self._made >= self._steps:
            self._synchronize()
            self._end = perf_counter_ns()

    def nanoseconds(self) -> int:
        """Return the window's nanoseconds.

        Raises:
            RuntimeError: the loop made another number of steps than it was asked for.
        """
        if not self._steps <= self._made < self._steps + self._execution_steps:
            raise RuntimeError(f"expected {self._steps} steps of one call of the loop, found {self._made}")
        return self._end - self._begin
