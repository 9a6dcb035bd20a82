"""Where the real scheduler puts a run's pods: on nodes of their own, and on GPU nodes only if they ask for GPUs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.controlled import World, attempts
from stepmark.results.store import FILE, SqliteStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
pytest_plugins = ["cluster.controlled"]

GPU, GPUS = "nvidia.com/gpu", 4
TOLERATION = {"key": GPU, "operator": "Exists", "effect": "NoSchedule"}


def nodes_of(pods: list[dict[str, Any]]) -> list[str]:
    return sorted(pod["spec"]["nodeName"] for pod in pods)


def hosts_in_the_record(world: World, name: str, folder: Path) -> list[list[str]]:
    """Return the hosts of each launch's ranks, as recorded."""
    (folder / FILE).write_bytes(world.ask_hub(f"runs/{world.uid(name)}/{FILE}").content)
    store = SqliteStore.open(folder)
    try:
        return [sorted(rank.host for rank in record.header.ranks) for record in store.records()]
    finally:
        store.close()


def test_three_pods_with_one_pod_per_node_are_on_three_nodes_that_the_record_names(
    world: World, tmp_path: Path
) -> None:
    world.profile("apart", onePodPerNode=True)
    world.controller()
    world.create("apart", profile="apart", scale={"workers": [3], "batchPerWorker": 8})
    world.measuring("apart")
    nodes = nodes_of(world.pods("apart", "worker"))
    assert nodes == sorted(world.cluster.nodes())
    assert attempts(world.wait("apart", "condition=Complete")) == [("Complete", "valid")]
    assert hosts_in_the_record(world, "apart", tmp_path) == [nodes] * 3


@pytest.fixture
def gpu_node(cluster: Any) -> Iterator[str]:
    """Make a node announce GPUs, as the device plugin would, with the label and the taint of such nodes."""
    node = cluster.nodes()[1]
    paths = [f"/status/{part}/{GPU.replace('/', '~1')}" for part in ("capacity", "allocatable")]
    try:
        must(cluster, "label", "node", node, f"{GPU}.present=true", "--overwrite")
        must(cluster, "taint", "node", node, f"{GPU}=present:NoSchedule", "--overwrite")
        patch_status(cluster, node, [{"op": "add", "path": path, "value": str(GPUS)} for path in paths])
        yield node
    finally:
        patch_status(cluster, node, [{"op": "remove", "path": path} for path in paths])
        must(cluster, "taint", "node", node, f"{GPU}-")
        must(cluster, "label", "node", node, f"{GPU}.present-")


def must(cluster: Any, *arguments: str) -> None:
    done = cluster.kubectl(*arguments)
    assert done.returncode == 0, done.stderr


def patch_status(cluster: Any, node: str, patch: list[dict[str, str]]) -> None:
    must(cluster, "patch", "node", node, "--subresource=status", "--type=json", "-p", json.dumps(patch))


@pytest.fixture
def with_gpus(world: World, gpu_node: str) -> World:
    """Add a profile with two GPUs for each worker, and start a controller."""
    devices = {"extendedResource": GPU, "countPerWorker": 2}
    world.profile("gpus", devices=devices, tolerations=[TOLERATION])
    world.controller()
    return world


def test_workers_with_gpus_get_the_gpu_node_and_other_pods_do_not(with_gpus: World, gpu_node: str) -> None:
    world = with_gpus
    world.create("plain", profile="no-image")  # These pods have a node and need nothing more.
    world.create("gpus", profile="gpus")
    world.measuring("gpus")
    workers, (head,) = world.pods("gpus", "worker"), world.pods("gpus", "head")
    assert nodes_of(workers) == [gpu_node] * 2
    assert [gpus_of(pod) for pod in [*workers, head]] == [("2", "2"), ("2", "2"), (None, None)]
    for pod, count in zip([*workers, head], (2, 2, 0), strict=True):
        assert f"--num-gpus={count} " in started_with(pod)
    plain = [*world.pods("plain", "head"), *world.pods("plain", "worker")]
    assert len(plain) == 3
    assert gpu_node not in nodes_of([head, *world.pods("gpus", "submitter"), *plain])
    assert attempts(world.wait("gpus", "condition=Complete")) == [("Complete", "valid")]


def gpus_of(pod: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the GPUs that a pod requests, and their limit."""
    resources = pod["spec"]["containers"][0]["resources"]
    return resources["requests"].get(GPU), resources["limits"].get(GPU)


def started_with(pod: dict[str, Any]) -> str:
    return " ".join(pod["spec"]["containers"][0]["args"]) + " "


def test_a_run_with_more_gpus_than_exist_fails_with_the_schedulers_message(with_gpus: World) -> None:
    world = with_gpus
    policy = {"startTimeoutSeconds": 10, "maxAttempts": 1}
    world.create("greedy", profile="gpus", scale={"workers": [3], "batchPerWorker": 8}, runPolicy=policy)
    status = world.wait("greedy", "condition=Failed", 120)
    assert attempts(status) == [("StartTimeout", "invalid")]
    assert f"Insufficient {GPU}" in status["message"]
    assert "executionId" not in status["attempts"][0]
    assert not world.objects("rayjobs")
