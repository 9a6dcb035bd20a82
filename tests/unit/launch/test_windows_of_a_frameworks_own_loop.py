"""Windows that a framework's own loop runs, on a clock of our own: what they hold, and what they leave out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stepmark.launch import fit_window, loop
from stepmark.launch.buffer import StampBuffer
from stepmark.scenario.model import Measurement

MS = 1_000_000
STEP, BEFORE, AFTER, FETCHING = 5 * MS, 30 * MS, 20 * MS, 1 * MS


class Alone:
    def agree_max(self, value: float) -> float:
        return value


class Fit:
    """A loop of steps of 5 ms, of which each call takes 30 ms before its first step and 20 ms after its last."""

    def __init__(self, execution_steps: int = 1, lost_steps: int = 0) -> None:
        self.now, self.execution_steps, self.lost_steps = 1, execution_steps, lost_steps
        self.batches: list[int] = []
        self.queued = self.drains = 0
        self.runs_ahead = False

    def __call__(self) -> int:
        return self.now

    def run_loop(self, first: int, steps: int, begun: Callable[[], None], ended: Callable[[], None]) -> None:
        self.now += BEFORE
        begun()
        batches = range(first, first + steps - self.lost_steps)
        for start in range(0, len(batches), self.execution_steps):
            for batch in batches[start : start + self.execution_steps]:
                self.batches.append(batch)
                self.queued += STEP
                if not self.runs_ahead:
                    self.drain()
            ended()
        self.now += AFTER

    def step(self, index: int) -> None:
        self.run_loop(index, 1, lambda: None, lambda: None)

    def synchronize(self) -> float:
        self.drain()
        self.now += FETCHING
        return 0.0

    def drain(self) -> None:
        self.drains += 1
        self.now += self.queued
        self.queued = 0

    def mark_window(self, steps: int) -> None:
        return None

    def device_step_nanoseconds(self) -> list[int] | None:
        return None


def recorder(monkeypatch: pytest.MonkeyPatch, folder: Path, fit: Fit) -> fit_window.FitRecorder:
    monkeypatch.setattr(fit_window, "perf_counter_ns", fit)
    buffer = StampBuffer.create(folder / "stamps", 5000)
    return fit_window.FitRecorder(fit, Alone(), buffer, fit if fit.runs_ahead else None)


def measured(made: fit_window.FitRecorder, **limits: int) -> None:
    asked = Measurement.model_validate({"minSeconds": 0, "warmupSeconds": 0} | limits)
    made.window("warmup", 1)
    loop.warm_up(made, asked)
    loop.measure(made, asked)


def test_a_window_holds_its_steps_and_not_the_rest_of_the_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fit = Fit()
    made = recorder(monkeypatch, tmp_path, fit)
    made.window("warmup", 1)
    made.window("measured", 4)
    assert made.step_nanoseconds() == [STEP] * 5
    assert [w.host_nanoseconds for w in made.windows] == [STEP + FETCHING, 4 * STEP + FETCHING]
    assert [w.call_nanoseconds for w in made.windows] == [BEFORE + AFTER] * 2
    assert fit.batches == [0, 1, 2, 3, 4], "a window goes on with the batch after the last one's"


def test_steps_of_one_execution_have_one_stamp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = recorder(monkeypatch, tmp_path, Fit(execution_steps=16))
    measured(made, minSteps=50, warmupSteps=10)
    first, warmup, window = made.windows
    assert (first.steps, first.stamp_steps, first.stamps) == (1, 16, 1)
    assert (warmup.steps, warmup.stamps) == (16, 1), "the warm-up has whole executions"
    assert (window.steps, window.stamp_steps, window.stamps) == (320, 16, 20), "a window has twenty stamps at least"
    assert made.step_nanoseconds() == [STEP, *[16 * STEP] * 21]
    assert made.mean_step_nanoseconds() == [STEP] * 22
    assert StampBuffer(tmp_path / "stamps").look_from(1)[1] == made.steps_done


def test_the_last_execution_of_a_window_may_be_shorter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = recorder(monkeypatch, tmp_path, Fit(execution_steps=16))
    measured(made, minSteps=50, maxSteps=50)
    assert (made.windows[-1].steps, made.windows[-1].stamps) == (50, 4)
    assert made.step_nanoseconds()[-2:] == [16 * STEP, 2 * STEP]


def test_a_loop_that_runs_ahead_is_drained_once_a_stretch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fit = Fit(execution_steps=16)
    fit.runs_ahead = True
    made = recorder(monkeypatch, tmp_path, fit)
    made.window("warmup", 1)
    fit.drains = 0
    loop.measure(made, Measurement.model_validate({"minSeconds": 0, "minSteps": 50}))
    [_, window] = made.windows
    assert window.stamp_steps == 48, "0.2 s are 40 steps, which are rounded up to whole executions"
    assert (window.steps, fit.drains) == (960, 20 + 1)
    assert made.step_nanoseconds()[1:] == [48 * STEP] * 20


def test_a_call_that_makes_other_steps_than_it_was_asked_for_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = recorder(monkeypatch, tmp_path, Fit(lost_steps=1))
    with pytest.raises(RuntimeError, match="expected 4 steps of one call of the loop, found 3"):
        made.window("measured", 4)
