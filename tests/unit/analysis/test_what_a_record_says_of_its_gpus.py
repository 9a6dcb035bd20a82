"""Every check of a GPU's record, from a record made by hand: what is invalid, and what a reader is told."""

from typing import Any

import numpy as np
import pytest

from stepmark.analysis.cells import Facts, cell_result
from stepmark.analysis.device_checks import (
    CHECKS,
    clock_note,
    device_notes,
    invalid_device,
    power_capped_ratio,
    sm_clock_hz,
)
from stepmark.analysis.device_use import device_memory_bytes, power_watts
from stepmark.analysis.launch import Launch, summarize
from stepmark.plan.cells import Cell
from stepmark.results.device import DeviceFacts, DeviceMemory, DeviceUse
from stepmark.results.record import LaunchHeader, LaunchRecord, Parts, RankReport, StartupSeconds, Window

FACTS: dict[str, Any] = {
    "kind": "gpu", "name": "NVIDIA H200", "uuid_tail": "00000000", "memory_bytes": 141 << 30, "mig": False,
    "mps": False, "persistence": True, "application_clocks": False,
    "power_limit_watts": 700.0, "power_default_watts": 700.0,
}  # fmt: skip
USE: dict[str, Any] = {
    "sm_clock_mean_hz": 1.9e9, "utilization_mean_ratio": 0.97, "processes_before": 0, "processes_most": 1,
    "ecc_uncorrected": 0, "power_mean_watts": 600.0, "counted_seconds": 10.0,
    "capped_seconds": {"hardware-thermal": 0.0, "software-power": 2.5},
}  # fmt: skip


def rank(number: int, facts: dict[str, Any], use: dict[str, Any], more: dict[str, Any]) -> RankReport:
    device = FACTS | {"uuid_tail": f"0000000{number}"} | facts
    values: dict[str, Any] = {
        "rank": number, "host": "node", "cpus": (0,), "peak_memory_bytes": None, "first_loss": None, "last_loss": None,
        "startup_seconds": StartupSeconds(spawn=0, import_=0, group=0, build=0, first_step=0),
        "windows": (Window(kind="measured", steps=1000, host_nanoseconds=10_000_000_000, stamp_steps=20),),
        "compilations_after_warmup": None, "compilations_after_window": None, "flags": {},
        "device": DeviceFacts(**device), "device_use": DeviceUse(**(USE | use)),
    }  # fmt: skip
    return RankReport(**(values | more))


def launch(
    facts: dict[str, Any] | None = None,
    use: dict[str, Any] | None = None,
    precision: str = "float32",
    **more: Any,
) -> LaunchHeader:
    """A launch of two ranks; what is given holds for the second."""
    cell = Cell(
        candidate="a", engine="torch", strategy="ddp", variant=None, execution="eager", levels=("default",),
        precision=precision, workers=2, processes=2, batch_per_worker=8, device="gpu",
    )  # fmt: skip
    return LaunchHeader(
        launch_id="x", scenario_digest="0" * 64, cell=cell, block=0, position=0, launcher="bare", forked=True,
        started_at="", wall_seconds=1, ranks=(rank(0, {}, {}, {}), rank(1, facts or {}, use or {}, more)),
    )  # fmt: skip


def test_a_gpu_that_nothing_is_said_against_is_valid_and_has_no_note() -> None:
    assert invalid_device(launch()) is None
    assert device_notes(launch()) == ()


def test_a_rank_on_cpu_cores_is_not_checked() -> None:
    assert invalid_device(launch(device=None, device_use=None)) is None


def test_errors_that_ended_no_launch_are_named() -> None:
    [note] = device_notes(launch(use={"xids": (63, 13, 63)}))
    assert note.startswith("GPUs reported Xid 13, 63 in launches that went on")
    assert device_notes(launch(use={"xids": ()})) == ()


INVALID: list[tuple[str, dict[str, Any]]] = [
    ("2 processes on it before the launch", {"use": {"processes_before": 2}}),
    ("found 3 while it was measured", {"use": {"processes_most": 3}}),
    ("the same GPU as rank 0", {"facts": {"uuid_tail": "00000000"}}),
    ("found MIG on", {"facts": {"mig": True}}),
    ("found MPS", {"facts": {"mps": True}}),
    ("unlike GPUs: rank 1: expected NVIDIA H200", {"facts": {"name": "NVIDIA H100 80GB HBM3"}}),
    ("unlike GPUs", {"facts": {"memory_bytes": 80 << 30}}),
    ("slowed it down in 2% of the windows", {"use": {"capped_seconds": {"hardware-thermal": 0.2}}}),
    ("GPU fault", {"use": {"capped_seconds": {"hardware-power-brake": 0.2}}}),
    ("1 uncorrected memory errors", {"use": {"ecc_uncorrected": 1}}),
    ("TF32 was on in a cell of float32", {"flags": {"tf32_probe": "product 1.1e-07, convolution 2.9e-04"}}),
    (
        "TF32 was off in a cell of tf32",
        {"flags": {"tf32_probe": "product 1.1e-07, convolution 2.9e-04"}, "precision": "tf32"},
    ),
    (
        "reached 164% of the GPU's peak",
        {"parts": Parts(nanoseconds={"matmul": (10_000_000,)}, matmul_flops=2 * 8192**3)},
    ),
]


@pytest.mark.parametrize(("said", "changes"), INVALID)
def test_a_launch_is_invalid_where_its_gpu_was_shared_broken_or_not_as_declared(
    said: str, changes: dict[str, Any]
) -> None:
    found = invalid_device(launch(**changes))
    assert found is not None
    assert said in found
    assert "rank 1" in found


@pytest.mark.parametrize(
    ("memory", "most"),
    [
        (DeviceMemory(allocated_peak_bytes=7, reserved_peak_bytes=8, used_peak_bytes=9), 7),
        (DeviceMemory(used_peak_bytes=9), 9),
        (DeviceMemory(), None),
        (None, 5),
    ],
)
def test_the_memory_of_a_cell_on_gpus_is_the_gpus(memory: DeviceMemory | None, most: int | None) -> None:
    ranks = tuple(rank(n, {}, {}, {"peak_memory_bytes": 5, "device_memory": memory}) for n in (0, 1))
    header = launch().model_copy(update={"ranks": ranks})
    record = LaunchRecord(header, np.full((2, 50), 200_000_000, dtype=np.int64))
    assert summarize(record).peak_memory_bytes == most


SHARING = [
    {"use": {"processes_before": 2}},
    {"use": {"processes_most": 3}},
    {"facts": {"uuid_tail": "00000000"}},
    {"facts": {"mig": True}},
    {"facts": {"mps": True}},
    {},
]


@pytest.mark.parametrize("changes", SHARING)
def test_sharing_that_a_profile_accepts_is_valid_and_marked(changes: dict[str, Any]) -> None:
    header = launch(**(changes | {"facts": changes.get("facts", {}) | {"shared": True}}))
    assert invalid_device(header) is None
    (note,) = device_notes(header)
    assert note.startswith("GPUs may be shared or parts of one")


def test_a_shared_gpu_that_breaks_is_invalid_all_the_same() -> None:
    header = launch(facts={"shared": True}, use={"ecc_uncorrected": 1})
    assert "GPU fault" in (invalid_device(header) or "")


def test_slowing_down_for_less_than_a_hundredth_of_the_windows_is_no_fault() -> None:
    assert invalid_device(launch(use={"capped_seconds": {"hardware-thermal": 0.05}})) is None


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ("slowed down by heat", {"use": {"capped_seconds": {"software-thermal": 0.2}}}),
        ("limited to 500 W, and 700 W are usual", {"facts": {"power_limit_watts": 500.0}}),
        ("application clocks set", {"facts": {"application_clocks": True}}),
        ("persistence mode off", {"facts": {"persistence": False}}),
        (
            "idle most of the time",
            {
                "use": {"utilization_mean_ratio": 0.3},
                "windows": (Window(kind="measured", steps=5000, host_nanoseconds=10_000_000_000),),
            },
        ),
    ],
)
def test_a_reader_is_told_what_may_have_slowed_the_gpus_down(said: str, changes: dict[str, Any]) -> None:
    assert invalid_device(launch(**changes)) is None
    (note,) = device_notes(launch(**changes))
    assert said in note


def test_long_steps_on_an_idle_gpu_are_not_blamed_on_the_host() -> None:
    assert device_notes(launch(use={"utilization_mean_ratio": 0.3})) == ()


def test_every_check_of_an_invalid_launch_has_an_example() -> None:
    names = {check.name for check in CHECKS if check.consequence == "invalid"}
    found = {(invalid_device(launch(**changes)) or "").partition(":")[0] for _, changes in INVALID}
    assert found == names


def test_clocks_are_compared_between_the_launches_of_a_cell() -> None:
    assert clock_note([1.90e9, 1.91e9]) is None
    assert "differed between launches by 6%" in (clock_note([1.90e9, 1.80e9]) or "")
    assert clock_note([1.9e9]) is None


def test_a_clock_that_a_rank_does_not_know_is_unknown() -> None:
    assert sm_clock_hz(launch()) == 1.9e9
    assert sm_clock_hz(launch(use={"sm_clock_mean_hz": None})) is None


def test_power_is_the_mean_over_ranks_and_unknown_where_one_does_not_know_it() -> None:
    assert power_watts(launch()) == 600
    assert power_watts(launch(use={"power_mean_watts": 700.0})) == 650
    assert power_watts(launch(use={"power_mean_watts": None})) is None


def test_device_memory_is_the_most_that_a_rank_used_and_never_mixes_two_ways_of_counting() -> None:
    whole = DeviceMemory(allocated_peak_bytes=1, reserved_peak_bytes=3, used_peak_bytes=5)
    header = launch(device_memory=whole)
    assert device_memory_bytes(header) is None
    first, second = header.ranks
    for first_memory, expected in (
        (whole.model_copy(update={"used_peak_bytes": 6}), 6),
        (whole.model_copy(update={"used_peak_bytes": None}), 3),
        (DeviceMemory(), None),
    ):
        known = first.model_copy(update={"device_memory": first_memory})
        assert device_memory_bytes(header.model_copy(update={"ranks": (known, second)})) == expected


def test_the_share_of_the_power_limit_is_that_of_the_rank_that_it_held_back_most() -> None:
    assert power_capped_ratio(launch(use={"capped_seconds": {"software-power": 5.0}})) == 0.5
    assert power_capped_ratio(launch(device_use=None, use={})) == 0.25


def test_a_cell_that_its_own_processes_find_unsupported_is_not_called_failed() -> None:
    cell = launch().cell
    why = "bfloat16: GPUs have it from compute capability 8.0 on"
    bad = [Launch(cell.key, block, f"failed: rank 0: unsupported here: {why}") for block in range(2)]
    facts = Facts(level=0.95, flops_per_sample=None, price_per_worker_hour=None)
    found = cell_result(cell, bad, None, facts)
    assert (found.verdict, found.reason) == ("unsupported", why)
    mixed = cell_result(cell, [bad[0], Launch(cell.key, 1, "failed: rank 0: killed by signal 9")], None, facts)
    assert mixed.verdict == "failed"
