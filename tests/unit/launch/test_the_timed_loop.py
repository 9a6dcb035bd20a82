"""The timed loop with a simulated clock: windows, their lengths, agreement of ranks, and what the buffer holds."""

import math
import random
import threading
from pathlib import Path

import pytest

from stepmark.launch import loop
from stepmark.launch.buffer import Phase, StampBuffer
from stepmark.launch.group import ControlGroup
from stepmark.launch.settling import still_settling
from stepmark.orchestrate.folders import leased_ports
from stepmark.scenario.model import Measurement

MS = 1_000_000


class Clock:
    """A clock in nanoseconds that moves only when a test moves it."""

    def __init__(self) -> None:
        self.now = 1

    def __call__(self) -> int:
        return self.now


class Alone:
    def agree_max(self, value: float) -> float:
        return value


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(loop, "perf_counter_ns", clock)
    return clock


@pytest.fixture
def buffer(tmp_path: Path) -> StampBuffer:
    return StampBuffer.create(tmp_path / "stamps", 5000)


def recorder(clock: Clock, buffer: StampBuffer, step_ms: list[int], group: loop.Group | None = None) -> loop.Recorder:
    def step(index: int) -> None:
        clock.now += step_ms[min(index, len(step_ms) - 1)] * MS

    return loop.Recorder(step, lambda: 0.0, group or Alone(), buffer)


def test_every_step_has_its_own_duration_across_windows(clock: Clock, buffer: StampBuffer) -> None:
    made = recorder(clock, buffer, [7, 5, 3, 2])
    made.window("warmup", 1)
    clock.now += 100 * MS  # between windows nothing is timed
    made.window("measured", 3)
    assert made.step_nanoseconds() == [7 * MS, 5 * MS, 3 * MS, 2 * MS]
    assert [(w.kind, w.steps, w.host_nanoseconds) for w in made.windows] == [
        ("warmup", 1, 7 * MS),
        ("measured", 3, 10 * MS),
    ]


def limits(warmup_steps: int, warmup_seconds: float, min_steps: int, max_steps: int, min_seconds: float) -> Measurement:
    return Measurement(
        warmup_steps=warmup_steps,
        warmup_seconds=warmup_seconds,
        min_steps=min_steps,
        max_steps=max_steps,
        min_seconds=min_seconds,
    )


@pytest.mark.parametrize(
    ("measurement", "warmup", "measured"),
    [
        (limits(5, 0, 20, 100, 0), 5, 20),  # the least numbers of steps decide
        (limits(1, 0.1, 1, 1000, 1.0), 11, 105),  # the least seconds decide, at 10 ms a step and with 5 % more steps
        (limits(1, 0, 1, 50, 10.0), 1, 50),  # the largest number of steps that is allowed decides
    ],
)
def test_a_window_has_its_least_steps_and_seconds_and_never_more_than_its_most_steps(
    clock: Clock, buffer: StampBuffer, measurement: Measurement, warmup: int, measured: int
) -> None:
    made = recorder(clock, buffer, [10])
    made.window("warmup", 1)
    loop.warm_up(made, measurement)
    loop.measure(made, measurement)
    assert (made.total("warmup")[0], made.total("measured")[0]) == (warmup, measured)


def test_a_window_has_the_steps_of_the_rank_that_asks_for_most(clock: Clock, buffer: StampBuffer) -> None:
    class Greedy:
        def agree_max(self, value: float) -> float:
            return max(value, 30)

    made = recorder(clock, buffer, [1], Greedy())
    made.window("measured", 3)
    assert made.total("measured")[0] == 30


def test_another_process_reads_steps_and_phase_from_the_file_of_the_buffer(
    clock: Clock, buffer: StampBuffer, tmp_path: Path
) -> None:
    other = StampBuffer(tmp_path / "stamps")
    made = recorder(clock, buffer, [1])
    made.window("warmup", 2)
    made.window("measured", 3)
    buffer.phase = Phase.STEPPING
    assert other.look_from(1) == (8, 5)
    assert other.phase == Phase.STEPPING


def joined(world: int) -> list[ControlGroup]:
    """Join all ranks of a group, each in a thread, and return them in order."""
    groups: dict[int, ControlGroup] = {}
    with leased_ports(1) as [port]:
        threads = [
            threading.Thread(
                target=lambda r=r: groups.update({r: ControlGroup.join(f"127.0.0.1:{port}", "secret", r, world, 10)})
            )
            for r in range(world)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return [groups[rank] for rank in range(world)]


def test_ranks_agree_on_the_largest_value() -> None:
    groups = joined(3)
    answers: list[float] = []
    threads = [threading.Thread(target=lambda g=g, v=v: answers.append(g.agree_max(v))) for v, g in enumerate(groups)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [2, 2, 2]


def test_a_lost_peer_is_noticed_at_once_and_a_finished_peer_is_not_called_lost() -> None:
    first, second = joined(2)
    lost, finished = threading.Event(), threading.Event()
    first.watch(lost.set)
    second._peers[0].close()
    assert lost.wait(10)

    first, second = joined(2)
    first.watch(finished.set)
    thread = threading.Thread(target=first.finish)
    thread.start()
    second.finish()
    thread.join()
    second._peers[0].close()
    assert not finished.wait(0.2)


def test_a_stranger_without_the_token_is_not_let_in() -> None:
    import socket

    groups: list[ControlGroup] = []
    with leased_ports(1) as [port]:
        rank0 = threading.Thread(
            target=lambda: groups.append(ControlGroup.join(f"127.0.0.1:{port}", "secret", 0, 2, 10))
        )
        rank0.start()
        while True:
            try:
                stranger = socket.create_connection(("127.0.0.1", port))
                break
            except ConnectionRefusedError:
                continue
        stranger.sendall(b"guess!")
        assert stranger.recv(1) == b""
        ControlGroup.join(f"127.0.0.1:{port}", "secret", 1, 2, 10)
        rank0.join()
    assert len(groups) == 1


def test_a_warm_up_goes_on_while_steps_become_faster(clock: Clock, buffer: StampBuffer) -> None:
    falling = [200 - 2 * index for index in range(50)]
    made = recorder(clock, buffer, [*falling, 100])
    made.window("warmup", 1)
    loop.warm_up(made, limits(20, 0, 20, 100, 0))
    assert 50 < made.total("warmup")[0] <= loop.LENGTHENED_MOST * 20 + 10


def test_a_warm_up_that_never_settles_ends(clock: Clock, buffer: StampBuffer) -> None:
    made = recorder(clock, buffer, [100_000 - 100 * index for index in range(1000)])
    made.window("warmup", 1)
    loop.warm_up(made, limits(20, 0, 20, 100, 0))
    assert loop.LENGTHENED_MOST * 20 <= made.total("warmup")[0] <= 1.5 * loop.LENGTHENED_MOST * 20


def test_noise_does_not_lengthen_a_warm_up() -> None:
    rng = random.Random(1)
    noisy = [[int(1e7 * math.exp(rng.gauss(0, 0.03))) for _ in range(30)] for _ in range(1000)]
    assert sum(map(still_settling, noisy)) <= 40
    assert not still_settling([10 * MS] * 30)


def test_windows_have_whole_rounds_of_batches_that_differ_in_shape(clock: Clock, buffer: StampBuffer) -> None:
    made = loop.Recorder(lambda index: clock_step(clock, 1 + index % 4), lambda: 0.0, Alone(), buffer, None, 4)
    made.window("warmup", 1)
    wanted = limits(warmup_steps=3, warmup_seconds=0, min_steps=9, max_steps=18, min_seconds=10)
    loop.warm_up(made, wanted)
    loop.measure(made, wanted)
    assert made.total("warmup")[0] >= 2 * 4
    assert made.total("measured")[0] == 16
    few = loop.Recorder(lambda index: clock_step(clock, 1), lambda: 0.0, Alone(), buffer, None, 4)
    few.window("warmup", 1)
    loop.measure(few, limits(warmup_steps=1, warmup_seconds=0, min_steps=1, max_steps=3, min_seconds=0))
    assert few.total("measured")[0] == 4


def test_the_lengths_of_batches_are_no_warm_up(clock: Clock, buffer: StampBuffer) -> None:
    made = loop.Recorder(lambda index: clock_step(clock, 8 - index % 8), lambda: 0.0, Alone(), buffer, None, 8)
    made.window("warmup", 1)
    loop.warm_up(made, limits(warmup_steps=20, warmup_seconds=0, min_steps=1, max_steps=1, min_seconds=0))
    assert made.total("warmup")[0] == 20


def clock_step(clock: Clock, milliseconds: int) -> None:
    clock.now += milliseconds * MS
