"""Which links limit a launch: named where all ranks say the same, and unknown otherwise."""

from typing import Any

import pytest

from stepmark.analysis.link_limits import LinkLimit, common_limit, link_limit
from stepmark.plan.cells import Cell
from stepmark.results.device import DeviceFacts
from stepmark.results.record import LaunchHeader, RankReport, StartupSeconds, Window

H100: dict[str, Any] = {
    "kind": "gpu", "name": "NVIDIA H100 80GB HBM3", "nvlinks": 18, "nvlink_generation": 4,
    "nvlink_bytes_per_second": 450_000_000_000, "pcie_generation": 5, "pcie_width": 16,
    "pcie_bytes_per_second": 63_000_000_000,
}  # fmt: skip


def rank(number: int, ways: list[str], host: str, facts: dict[str, Any] | None) -> RankReport:
    device = None if facts is None else DeviceFacts(
        **facts, uuid_tail=str(number), peers={str(other): way for other, way in enumerate(ways) if way}
    )  # fmt: skip
    return RankReport(
        rank=number, host=host, cpus=(0,), peak_memory_bytes=None, first_loss=None, last_loss=None,
        startup_seconds=StartupSeconds(spawn=0, import_=0, group=0, build=0, first_step=0),
        windows=(Window(kind="measured", steps=1, host_nanoseconds=1),),
        compilations_after_warmup=None, compilations_after_window=None, flags={}, device=device,
    )  # fmt: skip


def launch(
    ways: list[list[str]], hosts: str = "nnnn", facts: list[dict[str, Any] | None] | None = None, workers: int = 0
) -> LaunchHeader:
    """A launch whose rank r is connected with the GPUs of its session as row r of `ways` says."""
    count = len(ways)
    cell = Cell(
        candidate="a", engine="torch", strategy="ddp", variant=None, execution="eager", levels=("default",),
        precision="float32", workers=workers or count, processes=count, batch_per_worker=1, device="gpu",
    )  # fmt: skip
    ranks = tuple(rank(r, ways[r], hosts[r], facts[r] if facts else H100) for r in range(count))
    return LaunchHeader(
        launch_id="x", scenario_digest="0" * 64, cell=cell, block=0, position=0, launcher="bare", forked=True,
        started_at="", wall_seconds=1, ranks=ranks,
    )  # fmt: skip


SWITCHED = [["", "NV18 p2p", "NV18 p2p"], ["NV18 p2p", "", "NV18 p2p"], ["NV18 p2p", "NV18 p2p", ""]]


def test_links_to_a_switch_lead_to_every_gpu_and_count_once() -> None:
    assert link_limit(launch(SWITCHED)) == LinkLimit(name="NVLink 4, 18 links", bytes_per_second=450e9)


def test_only_the_direct_links_to_the_ranks_of_the_launch_count() -> None:
    found = link_limit(launch([["", "NV4 p2p", "NV4 p2p"], ["NV4 p2p", "", "NV4 p2p"]]))  # A third GPU is idle.
    assert found == LinkLimit(name="NVLink 4, 4 links", bytes_per_second=100e9)


def test_pcie_limits_gpus_without_nvlink_between_them() -> None:
    found = link_limit(launch([["", "NODE p2p"], ["NODE p2p", ""]]))
    assert found == LinkLimit(name="PCIe 5, 16 lanes", bytes_per_second=63e9)


TWO = [["", "NV18"], ["NV18", ""]]
UNKNOWN: dict[str, LaunchHeader] = {
    "one rank": launch([[""]]),
    "two hosts": launch(TWO, hosts="nm"),
    "a process with two GPUs": launch([["", "NV18"]], workers=2),
    "CPU cores": launch(TWO, facts=[None, None]),
    "CPU cores on one rank": launch(TWO, facts=[H100, None]),
    "unlike GPUs": launch(TWO, facts=[H100, H100 | {"nvlinks": 12, "nvlink_bytes_per_second": 300_000_000_000}]),
    "NVLink to some": launch(
        [["", "NV4", "SYS", "NV4"], ["NV4", "", "NV4", "SYS"], ["SYS", "NV4", "", "NV4"], ["NV4", "SYS", "NV4", ""]]
    ),
    "a way that is unknown": launch([["", "SYS", ""], ["SYS", "", "SYS"], ["", "SYS", ""]]),
    "rates that are unknown": launch(TWO, facts=[H100 | {"nvlink_bytes_per_second": None}] * 2),
    "a rate of nothing": launch([["", "SYS"], ["SYS", ""]], facts=[H100 | {"pcie_bytes_per_second": 0}] * 2),
    "no link": launch([["", "NV0"], ["NV0", ""]]),
    "PCIe that is unknown": launch([["", "SYS"], ["SYS", ""]], facts=[H100 | {"pcie_bytes_per_second": None}] * 2),
}


@pytest.mark.parametrize("header", UNKNOWN.values(), ids=UNKNOWN)
def test_a_limit_that_is_not_certain_is_unknown(header: LaunchHeader) -> None:
    assert link_limit(header) is None


def test_launches_that_differ_have_no_common_limit() -> None:
    one, other = LinkLimit(name="a", bytes_per_second=1), LinkLimit(name="b", bytes_per_second=2)
    assert common_limit([one, one]) == one
    assert common_limit([one, other]) is None
    assert common_limit([one, None]) is None
    assert common_limit([]) is None
