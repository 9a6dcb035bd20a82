"""Whole runs with GPUs that do not exist: the real nvidia-ml-py over a C library, and an engine that only sleeps."""

from pathlib import Path
from typing import Any

import pytest

from conftest import PATIENCE_SECONDS, CommandLine, wait_for_descendant, wait_for_line, wait_for_ranks
from fakes.gpus import FakeDriver, FakeGpu, some_gpus, uuid
from stepmark.launch.buffer import Phase
from stepmark.results.record import LaunchHeader
from stepmark.results.store import SqliteStore

LAUNCHERS = ["bare", "ray"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> FakeDriver:
    return FakeDriver(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def driver(built: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """A driver with two GPUs, which all processes of the test find."""
    built.write(some_gpus(2, links=18))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(built.folder))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return built


def headers(out: Path) -> list[LaunchHeader]:
    store = SqliteStore.open(out)
    try:
        return list(store.headers())
    finally:
        store.close()


def scenario(stepmark: CommandLine, workers: list[int], device: str = "gpu", **spec: Any) -> Path:
    return stepmark.scenario(device=device, scale={"workers": workers, "batchPerWorker": 8}, **spec)


def seen(header: LaunchHeader) -> list[str]:
    return [rank.flags["visible GPUs"] for rank in header.ranks]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_every_rank_sees_one_gpu_of_its_own(stepmark: CommandLine, driver: FakeDriver, launcher: str) -> None:
    done = stepmark("run", scenario(stepmark, [1, 2]), "--out", "out", "--launcher", launcher)
    assert done.returncode == 0, done.stderr
    found = headers(stepmark.folder / "out")
    assert {header.cell.device for header in found} == {"gpu"}
    for header in found:
        assert seen(header) == [uuid(number) for number in range(header.cell.workers)]
        assert {rank.flags["device"] for rank in header.ranks} == {"cuda:0"}


def test_records_say_what_the_gpu_is_and_how_it_was_used(stepmark: CommandLine, driver: FakeDriver) -> None:
    driver.write(some_gpus(2, links=18, used_mib=700, cores=0b10))
    assert stepmark("run", scenario(stepmark, [2]), "--out", "out", "--launcher", "bare").returncode == 0
    for header in headers(stepmark.folder / "out"):
        assert header.forked
        for rank in header.ranks:
            assert rank.device is not None
            assert rank.device_use is not None
            assert rank.device_memory is not None
            assert (rank.device.name, rank.device.uuid_tail) == ("NVIDIA H100 80GB HBM3", uuid(rank.rank)[-8:])
            assert rank.device.peers == {str(1 - rank.rank): "NV18 p2p"}
            assert rank.device_use.memory_used_before_bytes == 700 << 20
            assert (rank.device_use.processes_before, rank.device_use.sm_clock_mean_hz) in ((0, 1.5e9), (0, None))
            assert rank.device_memory.used_peak_bytes == 700 << 20
            assert rank.energy_joules == 0  # the counter stands still


def test_a_scenario_for_cpu_cores_sees_no_gpu(stepmark: CommandLine, driver: FakeDriver) -> None:
    done = stepmark("run", scenario(stepmark, [1], "cpu"), "--out", "out", "--launcher", "bare")
    assert done.returncode == 0, done.stderr
    for header in headers(stepmark.folder / "out"):
        assert (header.cell.device, seen(header)) == ("cpu", [""])
        assert header.ranks[0].device is None


def test_more_workers_than_gpus_are_unsupported_in_words(stepmark: CommandLine, driver: FakeDriver) -> None:
    done = stepmark("plan", scenario(stepmark, [2, 3]))
    assert "plain.eager.float32.w3, the cell needs 3 workers, and only 2 fit here (one GPU each)" in done.stdout
    assert "w2, it needs" not in done.stdout


def test_a_gpu_that_is_not_there_is_refused_before_anything_runs(stepmark: CommandLine, driver: FakeDriver) -> None:
    driver.write([])
    done = stepmark("run", scenario(stepmark, [1]), "--out", "out", "--launcher", "bare")
    assert done.returncode == 3
    assert "spec.device: expected gpu, found no GPU that the driver shows here" in done.stderr


def test_hidden_gpus_are_said_to_be_hidden(
    stepmark: CommandLine, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    done = stepmark("plan", scenario(stepmark, [1]))
    assert "spec.device: expected gpu, found 2 GPUs that CUDA_VISIBLE_DEVICES hides" in done.stderr


def unlike() -> list[FakeGpu]:
    return [FakeGpu(uuid(0)), FakeGpu(uuid(1), name="NVIDIA L4", memory_mib=23_034)]


def half_in_mig_mode() -> list[FakeGpu]:
    return [FakeGpu(uuid(0)), FakeGpu(uuid(1), mig=1)]


TWICE = ["rank 0 on node ", "rank 1 on node ", f"found one for both ({uuid(0)})"]


@pytest.mark.parametrize(
    ("launcher", "gpus", "visible", "words"),
    [
        ("bare", some_gpus(2), "0,0", TWICE),
        ("ray", some_gpus(2), "0,0", TWICE),
        ("bare", unlike(), None, ["rank 0 on node ", "NVIDIA H100 80GB HBM3 with 80 GiB and NVIDIA L4"]),
        ("bare", half_in_mig_mode(), None, ["rank 1 on node ", "expected a whole GPU, found", f"mode ({uuid(1)})"]),
    ],
    ids=["one twice", "one twice by Ray", "unlike", "MIG"],
)
def test_gpus_that_cannot_be_compared_end_the_session_with_ranks_and_nodes(
    stepmark: CommandLine,
    driver: FakeDriver,
    monkeypatch: pytest.MonkeyPatch,
    launcher: str,
    gpus: list[FakeGpu],
    visible: str | None,
    words: list[str],
) -> None:
    driver.write(gpus)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    done = stepmark("run", scenario(stepmark, [2]), "--out", "out", "--launcher", launcher)
    assert done.returncode == 1
    for text in words:
        assert text in done.stderr


def test_a_gpu_that_vanishes_fails_its_launches_with_its_name(stepmark: CommandLine, driver: FakeDriver) -> None:
    measurement = {"launches": 3, "minSteps": 50, "minSeconds": 0, "warmupSteps": 2, "warmupSeconds": 0}
    running = stepmark.start(
        "run", scenario(stepmark, [2], measurement=measurement), "--out", "out", "--launcher", "bare"
    )
    wait_for_line(running, "b000")
    driver.write([FakeGpu(uuid(0)), FakeGpu(uuid(1), lost=1)])
    running.communicate(timeout=PATIENCE_SECONDS)
    failures = [header.failure for header in headers(stepmark.folder / "out")]
    assert failures[0] is None
    assert failures[-1] is not None
    assert f"expected the GPU {uuid(1)} of the session's start" in failures[-1].cause
    assert failures[-1].rank == 1


def test_a_gpu_that_reports_a_fault_ends_its_launch_at_once_with_the_cause(
    stepmark: CommandLine, driver: FakeDriver
) -> None:
    params = {"stepSeconds": 0.004, "fault": "hang", "faultRank": 1, "faultBlock": 0}
    file = scenario(stepmark, [2], workload={"model": "scripted", "params": params})
    running = stepmark.start("run", file, "--out", "out", "--launcher", "bare")
    wait_for_ranks(wait_for_descendant(running, "launch.zygote", "sleeper"), 2, Phase.STEPPING)
    driver.write([FakeGpu(uuid(0)), FakeGpu(uuid(1), xid=48)])
    running.communicate(timeout=PATIENCE_SECONDS)
    [failure, none] = [header.failure for header in headers(stepmark.folder / "out")]
    assert none is None
    assert failure is not None
    words = f"{uuid(1)} reported Xid 48 (double-bit memory error) during the windows. "
    assert (failure.rank, failure.cause.startswith(words)) == (1, True)
    assert "no step for" not in failure.cause
