"""Runs on GPUs that the kubelet's device manager hands out: every rank has its own, and a bad one gives no figures.

The GPUs do not exist; everything between the device plugin and the hub does.
"""

from pathlib import Path
from typing import Any

import pytest

from cluster.controlled import World, attempts
from cluster.gpu_node import GPU, GPUS, MIXED, TWICE, GpuNode, all_gpus
from fakes.gpus import uuid
from stepmark.results.record import LaunchHeader
from stepmark.results.store import FILE, SqliteStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
pytest_plugins = ["cluster.controlled", "cluster.gpu_node"]

TOLERATION = {"key": GPU, "operator": "Exists", "effect": "NoSchedule"}
ONCE = {"maxAttempts": 1}


def headers(world: World, name: str, folder: Path) -> list[LaunchHeader]:
    (folder / FILE).write_bytes(world.ask_hub(f"runs/{world.uid(name)}/{FILE}").content)
    store = SqliteStore.open(folder)
    try:
        return list(store.headers())
    finally:
        store.close()


def nodes_of(pods: list[dict[str, Any]]) -> list[str]:
    return sorted(pod["spec"]["nodeName"] for pod in pods)


@pytest.fixture
def with_gpus(world: World, gpu_node: GpuNode) -> World:
    """Add profiles with two GPUs in each pod, and start a controller."""
    for name, resource in (("gpus", GPU), ("twice", TWICE), ("mixed", MIXED)):
        devices = {"extendedResource": resource}
        world.profile(name, devices=devices, workersPerPod=2, tolerations=[TOLERATION], memoryPerWorker="512Mi")
    world.controller()
    return world


def on(world: World, name: str, profile: str, workers: int, **more: Any) -> None:
    scale = {"workers": [workers], "batchPerWorker": 8}
    world.create(name, profile=profile, device="gpu", scale=scale, runPolicy=ONCE, **more)


def test_four_ranks_of_two_pods_have_four_gpus_which_record_and_hub_name(
    with_gpus: World, gpu_node: GpuNode, tmp_path: Path
) -> None:
    world = with_gpus
    world.create("plain", profile="no-image")  # These pods have a node and need nothing more.
    on(world, "whole", "gpus", GPUS)
    world.measuring("whole")
    assert nodes_of(world.pods("whole", "worker")) == [gpu_node.name] * 2
    others = [*world.pods("whole", "head"), *world.pods("whole", "submitter"), *world.pods("plain", "worker")]
    assert gpu_node.name not in nodes_of(others)
    assert attempts(world.wait("whole", "condition=Complete")) == [("Complete", "valid")]
    found = headers(world, "whole", tmp_path)
    assert len(found) == 3
    for header in found:
        assert header.cell.device == "gpu"
        seen = [rank.flags["visible GPUs"] for rank in header.ranks]
        assert sorted(seen) == [uuid(number) for number in range(GPUS)]
        for rank, gpu in zip(header.ranks, seen, strict=True):
            assert rank.device is not None
            assert (rank.device.name, rank.device.uuid_tail) == ("NVIDIA H100 80GB HBM3", gpu[-8:])
