"""Known truth on a clock of our own: a queue that runs ahead does not shorten a step, and a skewed clock is caught."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stepmark.analysis.cells import Facts, cell_result
from stepmark.analysis.launch import invalid, reduced, summarize
from stepmark.engines._protocol import RankContext
from stepmark.engines.sleeper import Engine
from stepmark.launch import loop
from stepmark.launch.buffer import StampBuffer
from stepmark.launch.pace import Pace
from stepmark.plan.cells import Cell
from stepmark.results.record import LaunchHeader, LaunchRecord, RankReport, StartupSeconds, unpack_steps
from stepmark.scenario.model import Measurement
from stepmark.workloads.scripted import WORKLOAD, Params

US, MS = 1_000, 1_000_000
STEP, HANDING_OVER, WAKING = 10 * MS, 20 * US, 100 * US
CELL = Cell(
    candidate="a", engine="sleeper", strategy="single", variant=None, execution="eager", levels=("default",),
    precision="float32", workers=1, processes=1, batch_per_worker=8,
)  # fmt: skip


class Device:
    """Host and device on one clock: the host hands a step over in 20 us, and the device makes it in 10 ms."""

    def __init__(self, clock_factor: float | None = 1.0, waits: bool = True) -> None:
        self.now, self.ends, self.clock_factor, self.waits = 1, [0], clock_factor, waits
        self.furthest_ahead = 0

    def __call__(self) -> int:
        return self.now

    def step(self, index: int) -> None:
        self.now += HANDING_OVER
        self.ends.append(max(self.now, self.ends[-1]) + STEP)
        self.furthest_ahead = max(self.furthest_ahead, sum(end > self.now for end in self.ends[-300:]))

    def drain(self) -> None:
        if self.waits:
            self.now = max(self.now, self.ends[-1]) + WAKING

    def synchronize(self) -> float:
        self.drain()
        return 0.0

    def mark_window(self, steps: int) -> None:
        self.ends = [self.now]

    def device_step_nanoseconds(self) -> list[int] | None:
        if self.clock_factor is None:
            return None
        return [int((b - a) * self.clock_factor) for a, b in zip(self.ends, self.ends[1:], strict=False)]


class Alone:
    def agree_max(self, value: float) -> float:
        return value


def measured(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    device: Device,
    drained: bool = True,
    group: Alone | None = None,
    round_steps: int = 1,
    **limits: int,
) -> loop.Recorder:
    monkeypatch.setattr(loop, "perf_counter_ns", device)
    asked = Measurement.model_validate({"minSeconds": 0, "warmupSeconds": 0} | limits)
    buffer = StampBuffer.create(folder / "stamps", asked.max_steps)
    drains = device if drained else None
    recorder = loop.Recorder(device.step, device.synchronize, group or Alone(), buffer, drains, round_steps)
    recorder.window("warmup", 1)
    loop.warm_up(recorder, asked)
    loop.measure(recorder, asked)
    return recorder


def record(recorder: loop.Recorder) -> LaunchRecord:
    rank = RankReport(
        rank=0, host="h", cpus=(0,), windows=tuple(recorder.windows), peak_memory_bytes=None, first_loss=None,
        startup_seconds=StartupSeconds(spawn=0, import_=0, group=0, build=0, first_step=0), last_loss=None,
        compilations_after_warmup=None, compilations_after_window=None, flags={},
    )  # fmt: skip
    header = LaunchHeader(
        launch_id="x", scenario_digest="0" * 64, cell=CELL, block=0, position=0, launcher="bare", forked=True,
        started_at="", wall_seconds=1, ranks=(rank,),
    )  # fmt: skip
    return LaunchRecord(header, *unpack_steps(recorder.packed()))


@pytest.mark.parametrize(
    ("step_seconds", "max_steps", "steps"),
    [
        (0.01, 5000, 20),
        (0.009, 5000, 23),  # rounded up
        (0.3, 5000, 1),
        (0.0001, 5000, 250),  # twenty stretches at least
        (0.01, 100, 5),
        (0.01, 10, 1),
    ],
)
def test_a_stretch_is_a_fifth_of_a_second_and_at_most_a_twentieth_of_the_steps(
    step_seconds: float, max_steps: int, steps: int
) -> None:
    assert loop.steps_of_a_stretch(step_seconds, max_steps) == steps


@pytest.mark.parametrize(
    ("min_steps", "max_steps", "steps", "stamps"),
    [
        (50, 5000, 400, 20),  # twenty stretches of 20 steps
        (401, 5000, 420, 21),  # whole stretches
        (410, 410, 410, 21),  # the most steps win: the last stretch is shorter
    ],
)
def test_windows_have_whole_stretches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, min_steps: int, max_steps: int, steps: int, stamps: int
) -> None:
    made = measured(monkeypatch, tmp_path, Device(), minSteps=min_steps, maxSteps=max_steps)
    [window] = [window for window in made.windows if window.kind == "measured"]
    assert (window.steps, window.stamp_steps, window.stamps) == (steps, 20, stamps)
    assert {window.stamp_steps for window in made.windows if window.kind == "warmup"} == {1}
    found = record(made)
    assert found.step_nanoseconds.shape == (1, found.warmup_stamps + stamps)
    assert found.device_step_nanoseconds is not None
    assert found.device_step_nanoseconds.shape == (1, steps)


def test_a_stretch_has_whole_rounds_of_batches_that_differ_in_shape(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = measured(monkeypatch, tmp_path, Device(), round_steps=8, minSteps=50)
    [window] = [window for window in made.windows if window.kind == "measured"]
    assert (window.stamp_steps, window.steps) == (24, 20 * 24)  # 20 steps of 10 ms, rounded up to whole rounds


def test_a_queue_that_runs_ahead_does_not_shorten_a_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = Device()
    found = record(measured(monkeypatch, tmp_path, device, minSteps=410, maxSteps=410))
    assert 1 < device.furthest_ahead <= 20, "the host is ahead, and never further than a stretch"
    assert invalid(found) is None
    figures = summarize(found)
    for seconds in (figures.mean_step_seconds, figures.median_step_seconds, 8 / figures.samples_per_second):
        assert seconds == pytest.approx(STEP / 1e9, rel=0.001)
    measured_seconds = found.step_nanoseconds[0, found.warmup_stamps :].sum() / 1e9
    assert figures.mean_step_seconds == measured_seconds / 410


def test_a_window_that_does_not_wait_for_the_device_shows_shorter_steps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ahead = record(measured(monkeypatch, tmp_path, Device(waits=False), drained=False, minSteps=50))
    assert summarize(ahead).mean_step_seconds == pytest.approx(HANDING_OVER / 1e9)


def test_stamps_without_drains_contradict_a_window_that_waits_at_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ahead = record(measured(monkeypatch, tmp_path, Device(), drained=False, minSteps=50))
    assert "steps add up to 0.001 s, and the window took 0.5" in (invalid(ahead) or "")


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_a_skewed_clock_makes_the_launch_invalid(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, factor: float
) -> None:
    found = record(measured(monkeypatch, tmp_path, Device(factor), minSteps=50))
    assert (reduced(found, None).why_bad or "").startswith("invalid: host and device clocks disagree: ")
    honest = record(measured(monkeypatch, tmp_path, Device(1.004), minSteps=50))
    assert reduced(honest, None).why_bad is None


def test_percentiles_are_of_single_steps_or_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    facts = Facts(level=0.95, flops_per_sample=None, price_per_worker_hour=None)
    with_clock, without = (
        cell_result(CELL, [reduced(record(measured(monkeypatch, tmp_path, Device(factor))), None)] * 2, None, facts)
        for factor in (1.0, None)
    )
    assert with_clock.step_seconds is not None
    assert without.step_seconds is not None
    assert with_clock.step_seconds.p99 == pytest.approx(STEP / 1e9, rel=0.02)
    assert (without.step_seconds.p5, without.step_seconds.p99, without.step_seconds.percentiles) == (None, None, None)
    assert without.step_seconds.median_after_first is None
    assert without.step_seconds.median == with_clock.step_seconds.median


def test_the_supervisor_counts_the_steps_of_every_stamp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = measured(monkeypatch, tmp_path, Device(), minSteps=410, maxSteps=410)
    outside = StampBuffer(tmp_path / "stamps")
    end, steps = outside.look_from(1)
    assert steps == made.steps_done
    told: list[tuple[int, float]] = []
    pace = Pace(outside, lambda steps, seconds: told.append((steps, seconds)))
    pace._next_at = 0.0
    pace.look(end)
    assert told == [(steps, pytest.approx(steps * STEP / 1e9, rel=0.01))]
    assert outside.steps_between(end - 1, end) == (10, pytest.approx(10 * STEP / 1e9, rel=0.01))


def test_all_ranks_take_the_longest_stretch_that_one_asks_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Slower(Alone):
        """There is another rank, whose steps are shorter, so that it asks for 30 of them."""

        def agree_max(self, value: float) -> float:
            return 30 if value == 20 else value

    made = measured(monkeypatch, tmp_path, Device(), group=Slower(), minSteps=50)
    assert (made.windows[-1].stamp_steps, made.windows[-1].steps) == (30, 600)


def sleeper(params: Params) -> Engine:
    context = RankContext(
        rank=0, world_size=1, strategy="single", variant=None, execution="eager", precision="float32", addresses=("",),
        threads=1, seed=0, launch_seed=0, block=0, collective_timeout_seconds=1,
    )  # fmt: skip
    engine = Engine(context)
    engine.build(WORKLOAD, params, [], 0.1)
    return engine


def test_steps_of_the_asynchronous_sleeper_return_before_they_are_made() -> None:
    engine = sleeper(Params(step_seconds=3600, asynchronous=True))
    engine.mark_window(3)
    for index in range(3):
        engine.step(index)
    assert engine.asynchronous
    assert engine.device_step_nanoseconds() == []


@pytest.mark.parametrize("wait", [Engine.drain, Engine.synchronize])
def test_a_drained_sleeper_has_made_its_steps_and_tells_their_times(wait: Callable[[Engine], object]) -> None:
    engine = sleeper(Params(step_seconds=0.002, asynchronous=True, device_clock_factor=1000))
    engine.step(0)
    engine.drain()
    engine.mark_window(3)
    for index in range(3):
        engine.step(index)
    wait(engine)
    times = engine.device_step_nanoseconds() or []
    assert len(times) == 3
    assert sum(times) >= 3 * 0.002 * 1000 * 1e9, "a device's steps are never shorter than their script"
