"""However a run ends, finished launches are stored, no process is left, and --resume completes the same plan."""

import fcntl
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from conftest import (
    PATIENCE_SECONDS,
    CommandLine,
    assert_all_gone,
    descendants,
    needs,
    wait_for_descendant,
    wait_for_line,
)
from stepmark.analysis.launch import reduced
from stepmark.results.store import SqliteStore

MEASUREMENT = {"launches": 3, "minSteps": 50, "minSeconds": 0, "warmupSteps": 1, "warmupSeconds": 0}
SCALE = {"workers": [1, 2], "batchPerWorker": 8}
BLOCKS = 6
PLAN, ALL = (
    {f"b{block:03d}.plain.eager.float32.w{workers}" for block in range(blocks) for workers in (1, 2)}
    for blocks in (3, BLOCKS)
)
SIGNALS = [(signal.SIGTERM, 143), (signal.SIGKILL, -9), (signal.SIGINT, 130)]


def stored(out: Path) -> dict[str, str]:
    """Return launch -> when it was measured."""
    store = SqliteStore.open(out)
    found = {record.header.launch_id: record.header.started_at for record in store.records()}
    store.close()
    return found


def why_bad(out: Path) -> dict[str, str | None]:
    """Return launch -> why it failed or is invalid, for the launches that do not count."""
    store = SqliteStore.open(out)
    found = {record.header.launch_id: reduced(record, None).why_bad for record in store.records()}
    store.close()
    return {launch: why for launch, why in found.items() if why is not None}


class StoppedRun:
    """One plan, whose run is begun or resumed again and again: each time, what was stored before is kept."""

    def __init__(self, stepmark: CommandLine, launcher: str) -> None:
        self._stepmark, self._out = stepmark, stepmark.folder / "out"
        file = stepmark.scenario(scale=SCALE, measurement=MEASUREMENT | {"launches": BLOCKS})
        self._begin = ("run", file, "--launcher", launcher, "--out", "out")
        self._before: dict[str, str] = {}

    @property
    def _command(self) -> tuple[object, ...]:
        return (*self._begin, "--resume") if self._before else self._begin

    def go_on(self) -> "subprocess.Popen[str]":
        """Begin or resume the run, and wait until it has measured at least one launch more."""
        running = self._stepmark.start(*self._command)
        wait_for_line(running, f"[1/{len(ALL) - len(self._before)}]")
        return running

    def assert_stopped(self) -> None:
        """Assert that the run has stored launches since it was last stopped, lost none, and is not complete."""
        after = stored(self._out)
        assert self._before.items() < after.items()
        assert after.keys() < ALL
        self._before = after

    def assert_completes(self) -> None:
        done = self._stepmark(*self._command)
        assert done.returncode == 0, done.stderr
        after = stored(self._out)
        assert after.keys() == ALL
        assert self._before.items() < after.items()


def everybody(running: "subprocess.Popen[str]") -> list[psutil.Process]:
    return [*descendants(running), psutil.Process(running.pid)]


def command_of(process: psutil.Process) -> str:
    """Return a process' command line, which is empty once it has ended: launches come and go."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_a_driver_that_any_signal_stops_leaves_no_process_and_its_run_is_resumed(stepmark: CommandLine) -> None:
    run = StoppedRun(stepmark, "bare")
    for number, code in SIGNALS:
        running = run.go_on()
        processes = everybody(running)
        running.send_signal(number)
        _, err = running.communicate(timeout=PATIENCE_SECONDS)
        assert running.returncode == code
        assert "Traceback" not in err
        assert err.count("--resume goes on from there") == 1
        assert_all_gone(processes)
        run.assert_stopped()
    run.assert_completes()


def test_a_ray_run_whose_worker_is_killed_or_driver_stopped_leaves_no_process_and_is_resumed(
    stepmark: CommandLine,
) -> None:
    """The worker is killed first. All of it is one plan, since every Ray that is started costs as much as its plan."""
    needs("ray")
    run = StoppedRun(stepmark, "ray")
    running = run.go_on()
    worker = wait_for_descendant(running, "ray::RayTrainWorker")
    processes = everybody(running)
    worker.kill()
    _, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 1
    assert "The run ended early: Ray worker of rank" in err
    assert_all_gone(processes)
    run.assert_stopped()
    assert f"{len(stored(stepmark.folder / 'out'))} of {len(ALL)} launches" in err
    for number, code in SIGNALS:
        running = run.go_on()
        processes = everybody(running)
        commands = [command_of(process) for process in processes]
        assert any("raylet" in command for command in commands)
        assert not any("DatasetManager" in command for command in commands)  # It would import for seconds for nothing.
        running.send_signal(number)
        running.communicate(timeout=PATIENCE_SECONDS)
        assert running.returncode == code
        assert_all_gone(processes)
        run.assert_stopped()
    run.assert_completes()


@pytest.fixture
def tiny_disk(stepmark: CommandLine):  # type: ignore[no-untyped-def]
    """Yield a folder on a disk of 80 KiB, which holds empty tables and little more, so that it is full at once."""
    folder = stepmark.folder / "out"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=80k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_the_run_and_resume_completes_it_when_there_is_room(
    stepmark: CommandLine, tiny_disk: Path
) -> None:
    file = stepmark.scenario(scale=SCALE, measurement=MEASUREMENT)
    done = stepmark("run", file, "--launcher", "bare", "--out", "out")
    assert done.returncode == 3
    assert "expected to write results, found: database or disk is full" in done.stderr
    subprocess.run(["mount", "-o", "remount,size=4m", str(tiny_disk)], check=True)
    assert stored(tiny_disk).keys() < PLAN
    done = stepmark("run", file, "--launcher", "bare", "--out", "out", "--resume")
    assert done.returncode == 0, done.stderr
    assert stored(tiny_disk).keys() == PLAN


def test_a_finished_run_is_not_measured_again(stepmark: CommandLine) -> None:
    file = stepmark.scenario()
    stepmark("run", file, "--launcher", "bare", "--out", "out")
    before = stored(stepmark.folder / "out")
    done = stepmark("run", file, "--launcher", "bare", "--out", "out", "--resume")
    assert done.returncode == 0
    assert stored(stepmark.folder / "out") == before


def test_a_run_does_not_overwrite_the_results_of_another(stepmark: CommandLine) -> None:
    file = stepmark.scenario()
    stepmark("run", file, "--launcher", "bare", "--out", "out")
    again = stepmark("run", file, "--launcher", "bare", "--out", "out")
    assert again.returncode == 3
    assert "Add --resume, or choose another --out" in again.stderr
    other = stepmark("run", stepmark.scenario(parity="reported"), "--launcher", "bare", "--out", "out", "--resume")
    assert other.returncode == 3
    assert "A changed scenario is a new run" in other.stderr


def test_two_runs_at_the_same_time_both_complete(stepmark: CommandLine) -> None:
    file = stepmark.scenario(scale=SCALE, measurement=MEASUREMENT)
    runs = [stepmark.start("run", file, "--launcher", "bare", "--out", out) for out in ("a", "b")]
    for running in runs:
        _, err = running.communicate(timeout=PATIENCE_SECONDS)
        assert running.returncode == 0, (err, [why_bad(stepmark.folder / out) for out in ("a", "b")])
    assert stored(stepmark.folder / "a").keys() == stored(stepmark.folder / "b").keys() == PLAN


def test_a_run_refuses_a_folder_that_another_run_writes_to(stepmark: CommandLine) -> None:
    file = stepmark.scenario(scale=SCALE, measurement=MEASUREMENT)
    first = stepmark.start("run", file, "--launcher", "bare", "--out", "out")
    wait_for_line(first, "[1/6]")
    second = stepmark("run", file, "--launcher", "bare", "--out", "out", "--resume")
    assert second.returncode == 3
    assert "another run is writing here" in second.stderr
    first.communicate(timeout=PATIENCE_SECONDS)
    assert first.returncode == 0


def test_a_run_leaves_only_its_results_behind(stepmark: CommandLine) -> None:
    """Folders of other runs on this machine are not looked at: their owners live."""

    def without_an_owner() -> set[Path]:
        folders = {path for base in ("/dev/shm", "/tmp") for path in Path(base).glob("stepmark-*")}
        return {path for path in folders if (path / ".owner").exists() and not is_locked(path / ".owner")}

    before = without_an_owner()
    stepmark("run", stepmark.scenario(), "--launcher", "bare", "--out", "out")
    assert without_an_owner() <= before
    assert sorted(os.listdir(stepmark.folder / "out")) == ["report.html", "report.md", "results.db", "summary.json"]


def is_locked(path: Path) -> bool:
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # Its owner has just removed the file.
        return True
    return False
