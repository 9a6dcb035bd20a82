"""A neighbour on a rank's core and a stopped rank are reported, and the disturbed launches are made again."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from conftest import PATIENCE_SECONDS, CommandLine, descendants, phase_of, wait_for_line
from stepmark.analysis.interference import disturbed_because
from stepmark.launch.buffer import Phase
from stepmark.results.record import LaunchHeader
from stepmark.results.store import SqliteStore

TWO = [{"name": name, "engine": "sleeper", "strategy": "parallel"} for name in ("a", "b")]
# Steps are so short that the sleeper never sleeps and only watches the clock.
SPINNING = {"model": "scripted", "params": {"stepSeconds": 0.002}}
NEIGHBOURS = 3


@pytest.fixture
def one_core() -> Iterator[None]:
    """Restrict this process and all that it starts to one core."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    yield
    os.sched_setaffinity(0, allowed)


@contextmanager
def neighbours() -> Iterator[None]:
    """Run three busy processes on the one core, so that a quarter of it is left.

    Each has a session of its own: where the kernel shares cores out among sessions first, one session would take half.
    """
    spinning = [sys.executable, "-c", "while True: pass"]
    started = [subprocess.Popen(spinning, start_new_session=True) for _ in range(NEIGHBOURS)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def headers(stepmark: CommandLine) -> list[LaunchHeader]:
    store = SqliteStore.open(stepmark.folder / "out")
    found = list(store.headers())
    store.close()
    return found


def blocks_that_count(stepmark: CommandLine, candidate: str) -> int:
    """Count the candidate's undisturbed blocks. On a busy machine a launch that was made again may be disturbed too."""
    own = [header for header in headers(stepmark) if header.cell.candidate == candidate]
    return len({header.block for header in own if disturbed_because(header) is None})


@pytest.mark.usefixtures("one_core")
def test_a_disturbed_launch_is_made_again_together_with_its_comparison(stepmark: CommandLine) -> None:
    measurement = {"launches": 2, "minSteps": 50, "minSeconds": 0.3, "warmupSteps": 2, "warmupSeconds": 0}
    limits = {"maxTakenShare": 0.5, "maxMadeAgain": 2}
    file = stepmark.scenario(candidates=TWO, workload=SPINNING, measurement=measurement | limits)
    with neighbours():
        running = stepmark.start("run", file, "--launcher", "bare", "--out", "out")
        wait_for_line(running, "disturbed: others took")
    _, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert "2 launches are made again" in err
    again = {header.launch_id for header in headers(stepmark) if header.attempt}
    assert again in [{f"b00{block}a1.{name}.eager.float32.w1" for name in ("a", "b")} for block in (0, 1)]
    cells = stepmark.summary(stepmark.folder / "out")["cells"]
    assert [cell["launches"] for cell in cells] == [blocks_that_count(stepmark, name) for name in ("a", "b")]
    assert running.returncode == (0 if all(cell["launches"] for cell in cells) else 1)
    assert max(cell["disturbance"]["taken_share_worst"] for cell in cells) > 0.5
    assert any("not count: others took" in cell["reason"] for cell in cells)


@pytest.mark.parametrize("options", [[], ["--fresh-process"]], ids=["forked", "fresh"])
def test_a_launch_with_a_stopped_rank_is_reported_and_made_again(stepmark: CommandLine, options: list[str]) -> None:
    measurement = {"launches": 2, "minSteps": 50, "minSeconds": 0.5, "warmupSteps": 2, "warmupSeconds": 0}
    file = stepmark.scenario(measurement=measurement | {"maxMadeAgain": 1})
    running = stepmark.start("run", file, "--launcher", "bare", "--out", "out", *options)
    rank = _stepping(running)
    rank.suspend()
    time.sleep(2.1)
    rank.resume()
    out, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 0, err
    assert "disturbed: rank 0 was stopped for" in err
    told = " ".join(out.split())
    assert "1 of 3 launches was disturbed and does not count; 1 was made again." in told
    assert "plain.eager.float32.w1: rank 0 was stopped for" in told
    assert [header.launch_id for header in headers(stepmark) if header.attempt] == ["b000a1.plain.eager.float32.w1"]
    assert stepmark.summary(stepmark.folder / "out")["cells"][0]["launches"] == 2


def _stepping(running: "subprocess.Popen[str]") -> psutil.Process:
    """Return the first rank that makes steps."""
    while running.poll() is None:
        for process in descendants(running):
            if phase_of(process) == Phase.STEPPING:
                return process
    pytest.fail("the run ended before a rank made steps")
