"""A supervisor that looks twice a second sees every stop of two seconds, of its rank alone or of all processes."""

import os
import signal
import subprocess
import sys

import pytest

from stepmark.launch.stops import Stops, is_stopped, state_of


def seen(looks: list[tuple[float, bool, bool]]) -> float:
    stops = Stops(0.0)
    for look in looks:
        stops.look(*look)
    return stops.seconds


def test_a_rank_that_runs_has_no_stopped_seconds() -> None:
    assert seen([(n / 2, False, True) for n in range(1, 20)]) == 0.0


@pytest.mark.parametrize("start", [0.1, 0.9, 1.0, 1.4])
def test_a_stop_counts_in_full_wherever_it_begins(start: float) -> None:
    looks = [(n / 2, start <= n / 2 < start + 2.0, n >= 2) for n in range(1, 12)]
    assert (2.0 if start >= 0.5 else 1.5) <= seen(looks) <= 3.0


def test_a_long_time_without_a_look_counts_as_a_stop_of_all_processes() -> None:
    assert seen([(0.5, False, True), (1.0, False, True), (21.0, False, True), (21.5, False, True)]) == 20.0


def test_a_stop_before_the_steps_does_not_count() -> None:
    assert seen([(0.5, False, False), (9.0, True, False), (9.5, False, False), (10.0, False, True)]) == 0.0


def test_the_state_of_a_process_is_read_whatever_its_name() -> None:
    assert state_of("7 (a) T (b) S 1 7 7 0 -1") == "S"


def test_a_process_that_got_sigstop_is_stopped_until_it_ends() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert not is_stopped(child.pid)
    child.send_signal(signal.SIGSTOP)
    os.waitpid(child.pid, os.WUNTRACED)
    assert is_stopped(child.pid)
    child.kill()
    child.communicate()
    assert not is_stopped(child.pid)
