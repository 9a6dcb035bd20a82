"""Faults of the whole cluster while a run measures. Other tests would not survive them, so these run alone."""

import subprocess
from collections.abc import Iterator

import pytest

from cluster.controlled import World, attempts, until

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(1200)]
pytest_plugins = ["cluster.controlled"]


@pytest.fixture
def drained(world: World) -> Iterator[list[str]]:
    """Yield a list for nodes that a test drains; they are made schedulable again at the end."""
    nodes: list[str] = []
    yield nodes
    for node in nodes:
        world.cluster.kubectl("uncordon", node)


def test_a_drained_node_counts_as_preemption_and_a_restarted_api_server_disturbs_nothing(
    world: World, drained: list[str], engine: str
) -> None:
    world.controller()
    world.create("moved", runPolicy={"maxAttempts": 1})
    world.measuring("moved")
    node = world.pods("moved", "worker")[0]["spec"]["nodeName"]
    drained.append(node)
    selector = "--pod-selector=stepmark.dev/scenario-uid"
    done = world.cluster.kubectl("drain", node, selector, "--delete-emptydir-data", "--force", "--timeout=120s")
    assert done.returncode == 0, done.stderr
    world.wait("moved", "jsonpath={.status.attempts[0].reason}=Preempted", 120)
    world.cluster.kubectl("uncordon", node)

    world.measuring("moved", 2)
    stop = "kill -9 $(pidof kube-apiserver)"
    subprocess.run([engine, "exec", world.cluster.nodes()[0], "sh", "-c", stop], check=True)
    until(lambda: world.cluster.kubectl("get", "--raw", "/readyz").returncode == 0, 120, "the API server is back")
    status = world.wait("moved", "condition=Complete")
    assert attempts(status) == [("Preempted", "invalid"), ("Complete", "valid")]
    run = world.run("moved")["run"]
    assert (run["attempt"], run["outcome"]) == (2, "complete")
