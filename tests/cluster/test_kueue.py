"""Runs in a queue of the real Kueue: admitted by quota, waiting, preempted. The queues are the sample's, made small."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from cluster.controlled import World, attempts
from conftest import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
pytest_plugins = ["cluster.controlled"]

SAMPLE = ROOT / "k8s" / "kueue" / "queues.yaml"
ONE_RUN = "200m"  # A head and a worker have 40m each, and the submitter 50m.
GPU = "nvidia.com/gpu"
ONE_WORKER = {"workers": [1], "batchPerWorker": 8}


def small_queues(namespace: str) -> str:
    """Return the sample for this namespace, with CPUs for one run, and with the sample's own quota on the GPU nodes."""
    documents = list(yaml.safe_load_all(SAMPLE.read_text().replace("benchmarks", namespace)))
    (queue,) = (one for one in documents if one["kind"] == "ClusterQueue")
    cpu = queue["spec"]["resourceGroups"][0]["flavors"][0]
    assert (cpu["name"], cpu["resources"][0]["name"]) == ("cpu", "cpu")
    cpu["resources"][0]["nominalQuota"] = ONE_RUN
    return yaml.safe_dump_all(documents)


@pytest.fixture(scope="module")
def queues(place: World) -> Iterator[None]:
    """Create the queues. Kueue stays in the cluster: it does nothing to jobs without a queue, as a test here shows."""
    place.cluster.add("kueue")
    name, documents = place.namespace, small_queues(place.namespace)
    done = place.cluster.kubectl("apply", "-f", "-", input=documents)
    assert done.returncode == 0, done.stderr
    place.profile("queued", queueName=name)
    urgent = {"kueue.x-k8s.io/priority-class": "urgent"}
    place.profile("urgent", queueName=name, extraRayJobLabels=urgent)
    devices = {"extendedResource": GPU}
    place.profile("gpus", queueName=name, devices=devices, tolerations=[{"key": GPU, "operator": "Exists"}])
    yield
    done = place.cluster.kubectl("delete", "-f", "-", "--ignore-not-found", "--timeout=180s", input=documents)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def queued(queues: None, world: World) -> World:
    world.controller()
    return world


def ray_job(world: World, name: str, attempt: int = 1) -> dict[str, Any]:
    of = f"stepmark.dev/scenario-uid={world.uid(name)},stepmark.dev/attempt={attempt}"
    (found,) = world.objects("rayjobs", "-l", of)
    return found


def test_a_run_waits_for_quota_and_a_run_without_a_queue_does_not(queued: World) -> None:
    world = queued
    world.create("first", profile="queued", scale=ONE_WORKER)
    world.measuring("first")
    world.create("second", profile="queued", scale=ONE_WORKER)
    world.create("free", profile="no-image")
    status = world.wait("second", "condition=Admitted=False", 60)
    assert (status["phase"], status["message"]) == ("Queued", "waiting in the queue for quota")
    assert ray_job(world, "second")["spec"].get("suspend") is True
    assert not world.pods("second", "worker")
    world.wait("free", "condition=Admitted", 60)
    for name in ("first", "second"):
        assert attempts(world.wait(name, "condition=Complete")) == [("Complete", "valid")]
    ended, started = (ray_job(world, name)["status"] for name in ("first", "second"))
    assert ended["endTime"] <= started["startTime"]


def test_an_urgent_run_preempts_another_whose_attempt_is_invalid_and_not_counted(queued: World) -> None:
    world = queued
    world.create("modest", profile="queued", scale=ONE_WORKER, runPolicy={"maxAttempts": 1})
    world.measuring("modest")
    world.create("urgent", profile="urgent", scale=ONE_WORKER)
    world.wait("modest", "jsonpath={.status.attempts[0].reason}=Preempted", 60)
    assert attempts(world.wait("urgent", "condition=Complete")) == [("Complete", "valid")]
    status = world.wait("modest", "condition=Complete")
    assert attempts(status) == [("Preempted", "invalid"), ("Complete", "valid")]
    assert status["preemptions"] == 1
    run = world.run("modest")["run"]
    assert (run["attempt"], run["outcome"]) == (2, "complete")


def test_workers_with_gpus_get_the_flavor_of_gpu_nodes_and_their_head_another(queued: World) -> None:
    world = queued
    world.create("gpus", profile="gpus", scale=ONE_WORKER)
    world.wait("gpus", "condition=Admitted", 60)
    cluster = ray_job(world, "gpus")["spec"]["rayClusterSpec"]
    worker, head = cluster["workerGroupSpecs"][0]["template"]["spec"], cluster["headGroupSpec"]["template"]["spec"]
    assert worker["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert not head.get("nodeSelector")
