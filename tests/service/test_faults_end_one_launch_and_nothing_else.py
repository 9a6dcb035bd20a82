"""A rank dies, hangs, raises, exhausts memory or reports nonsense: its launch fails with a reason, the others run."""

import signal

import psutil
import pytest

from conftest import (
    PATIENCE_SECONDS,
    CommandLine,
    assert_all_gone,
    descendants,
    needs,
    wait_for_descendant,
    wait_for_ranks,
)
from stepmark import catalog
from stepmark.launch.buffer import Phase

TWO = [
    {"name": "plain", "engine": "sleeper", "strategy": "parallel"},
    {"name": "slower", "engine": "sleeper", "strategy": "parallel", "variant": "slower"},
]

FAULTS = [
    ("kill", "killed by signal 9 after step 3"),
    ("hang", "no step for 10 s after step 3 (stepTimeoutSeconds)"),
    ("raise", "RuntimeError: the script asked for this error"),
    ("memory", "out of memory"),
    ("garbage", "exit code 0 without a valid report"),
]


@pytest.mark.parametrize(("fault", "cause"), FAULTS, ids=[fault for fault, _ in FAULTS])
def test_a_fault_of_one_rank_fails_its_launch_with_rank_and_cause(
    stepmark: CommandLine, fault: str, cause: str
) -> None:
    measurement = {
        "launches": 3,
        "minSteps": 10,
        "minSeconds": 0,
        "warmupSteps": 1,
        "warmupSeconds": 0,
        "stepTimeoutSeconds": 10,
        "memoryLimitBytes": 1 << 28,
    }
    params = {"stepSeconds": 0.004, "fault": fault, "faultRank": 1, "faultBlock": 1}
    file = stepmark.scenario(
        candidates=TWO,
        scale={"workers": [1, 2], "batchPerWorker": 8},
        measurement=measurement,
        workload={"model": "scripted", "params": params},
    )
    done = stepmark("run", file, "--launcher", "bare", "--out", "out")
    assert done.returncode == 1
    cells = {cell["key"]: cell for cell in stepmark.summary(stepmark.folder / "out")["cells"]}
    for name in ("plain", "slower"):
        hit, spared = cells[f"{name}.eager.float32.w2"], cells[f"{name}.eager.float32.w1"]
        assert (hit["launches"], hit["launches_failed"]) == (2, 1)
        assert f"1 of 3 launches failed: rank 1: {cause}" in hit["reason"]
        assert (spared["launches"], spared["launches_failed"]) == (3, 0)


@pytest.mark.parametrize(("fault", "missing"), [("raise", "timing the parts failed"), ("kill", "no launch timed")])
def test_a_fault_after_the_windows_costs_only_the_time_split(stepmark: CommandLine, fault: str, missing: str) -> None:
    params = {"stepSeconds": 0.004, "fault": fault, "faultRank": 1, "faultStep": 25}
    file = stepmark.scenario(
        scale={"workers": [2], "batchPerWorker": 8}, workload={"model": "scripted", "params": params}
    )
    assert stepmark("run", file, "--launcher", "bare", "--out", "out").returncode == 0
    [cell] = stepmark.summary(stepmark.folder / "out")["cells"]
    assert (cell["launches"], cell["launches_failed"], cell["time_split"]) == (2, 0, None)
    assert missing in cell["time_split_missing"]


def test_a_failed_launch_keeps_the_last_lines_of_its_stderr(stepmark: CommandLine) -> None:
    from stepmark.results.store import SqliteStore

    params = {"stepSeconds": 0.004, "fault": "raise"}
    stepmark(
        "run", stepmark.scenario(workload={"model": "scripted", "params": params}), "--launcher", "bare", "--out", "out"
    )
    failures = [record.header.failure for record in SqliteStore.open(stepmark.folder / "out").records()]
    assert all(
        failure and failure.stderr_tail[-1] == "RuntimeError: the script asked for this error" for failure in failures
    )


def test_a_cell_whose_every_launch_failed_is_failed_and_has_no_numbers(stepmark: CommandLine) -> None:
    params = {"stepSeconds": 0.004, "fault": "kill"}
    file = stepmark.scenario(workload={"model": "scripted", "params": params})
    assert stepmark("run", file, "--launcher", "bare", "--out", "out").returncode == 1
    [cell] = stepmark.summary(stepmark.folder / "out")["cells"]
    assert (cell["verdict"], cell["launches"], cell["step_seconds"]) == ("failed", 0, None)


RANKS_KILLED = [
    ("torch", "ddp", Phase.STEPPING),
    ("keras-tensorflow", "multi-worker-mirrored", Phase.STEPPING),
    ("keras-tensorflow", "multi-worker-mirrored", Phase.JOINED),  # It joins with the interpreter's lock held.
]


@pytest.mark.parametrize(("engine", "strategy", "phase"), RANKS_KILLED, ids=["torch", "keras", "keras-joining"])
def test_a_rank_killed_in_training_fails_only_its_launch(
    stepmark: CommandLine, engine: str, strategy: str, phase: Phase
) -> None:
    needs(*catalog.load_engine(engine).SUPPORT.requires)
    measurement = {"launches": 2, "minSteps": 5, "minSeconds": 2, "warmupSteps": 1, "warmupSeconds": 0}
    file = stepmark.scenario(
        candidates=[{"name": "c", "engine": engine, "strategy": strategy}],
        workload={"model": "mlp"},
        scale={"workers": [2], "batchPerWorker": 8},
        measurement=measurement,
    )
    running = stepmark.start("run", file, "--launcher", "bare", "--out", "out")
    zygote = wait_for_descendant(running, "launch.zygote", engine)
    everybody = [*descendants(running), psutil.Process(running.pid)]
    children = wait_for_ranks(zygote, 2, phase)
    everybody += children
    children[1].send_signal(signal.SIGKILL)
    out, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 1, out + err
    [cell] = stepmark.summary(stepmark.folder / "out")["cells"]
    assert (cell["launches"], cell["launches_failed"]) == (1, 1)
    assert "killed by signal 9" in cell["reason"]
    assert_all_gone(everybody)
