"""Where the real scheduler puts a run's pods that are to be on nodes of their own."""

from pathlib import Path
from typing import Any

import pytest

from cluster.controlled import World, attempts
from stepmark.results.store import FILE, SqliteStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
pytest_plugins = ["cluster.controlled"]


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
