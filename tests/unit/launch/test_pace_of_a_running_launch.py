"""Steps and seconds are read from the stamps: the time between two windows is no step, and no step counts twice."""

from pathlib import Path

import pytest

from stepmark.launch import pace as module
from stepmark.launch.buffer import StampBuffer
from stepmark.launch.pace import Pace

MS = 1_000_000


def stamp(buffer: StampBuffer, at: int, begin: int, durations: list[int]) -> int:
    """Write a window, its begin and then the ends of its steps, and return the index behind it."""
    buffer.words[at] = -begin
    for index, duration in enumerate(durations):
        begin += duration
        buffer.words[at + 1 + index] = begin
    return at + 1 + len(durations)


@pytest.fixture
def buffer(tmp_path: Path):  # type: ignore[no-untyped-def]
    found = StampBuffer.create(tmp_path / "stamps", 100)
    yield found
    found.close()


def test_the_time_between_windows_counts_as_no_step(buffer: StampBuffer) -> None:
    end = stamp(buffer, 1, 1000 * MS, [10 * MS, 12 * MS])
    end = stamp(buffer, end, 9000 * MS, [14 * MS])
    assert buffer.steps_between(1, end) == (3, pytest.approx(0.036))
    assert buffer.steps_between(1, 2) == (0, 0.0)


def test_the_steps_and_seconds_of_two_parts_add_up_wherever_the_stamps_are_cut(buffer: StampBuffer) -> None:
    end = stamp(buffer, 1, 1000 * MS, [10 * MS, 12 * MS, 20 * MS])
    end = stamp(buffer, end, 5000 * MS, [14 * MS, 3 * MS])
    whole = buffer.steps_between(1, end)
    for cut in range(1, end + 1):
        parts = [buffer.steps_between(1, cut), buffer.steps_between(cut, end)]
        assert sum(steps for steps, _ in parts) == whole[0] == 5
        assert sum(seconds for _, seconds in parts) == pytest.approx(whole[1])


def test_the_pace_is_reported_at_most_every_two_seconds_and_each_step_once(
    buffer: StampBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, told = [0.0], []
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])  # type: ignore[attr-defined]
    pace = Pace(buffer, lambda steps, seconds: told.append((steps, seconds)))
    end = stamp(buffer, 1, 1000 * MS, [10 * MS] * 5)
    for second in (0.5, 1.9, 2.0, 2.5, 3.9, 4.5):
        clock[0] = second
        pace.look(end)
    assert told == [(5, pytest.approx(0.05))]
    buffer.words[end] = buffer.words[end - 1] + 30 * MS
    pace.look(end + 1)
    assert told[1:] == [(1, pytest.approx(0.03))]
