"""Runs on GPUs that the kubelet's device manager hands out: every rank has its own, and a bad one gives no figures.

The GPUs do not exist; everything between the device plugin and the hub does.
"""

import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cluster.controlled import MEASURED, WAIT_SECONDS, World, attempts, until
from cluster.gpu_node import GPU, GPUS, MIXED, TWICE, GpuNode, all_gpus
from conftest import ROOT
from fakes.gpus import uuid
from stepmark.results.record import LaunchHeader
from stepmark.results.store import FILE, SqliteStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
pytest_plugins = ["cluster.controlled", "cluster.gpu_node"]

TOLERATION = {"key": GPU, "operator": "Exists", "effect": "NoSchedule"}
H100 = "NVIDIA H100 80GB HBM3"
ONCE = {"maxAttempts": 1}


def headers(world: World, name: str, folder: Path) -> list[LaunchHeader]:
    (folder / FILE).write_bytes(world.ask_hub(f"runs/{world.uid(name)}/{FILE}").content)
    store = SqliteStore.open(folder)
    try:
        return list(store.headers())
    finally:
        store.close()


def series(world: World) -> str:
    """Return what the hub shows to Prometheus."""
    address = (world.folder / "hub.log").read_text().rpartition("metrics on ")[2].split()[0]
    return httpx2.get(address, trust_env=False).text


def nodes_of(pods: list[dict[str, Any]]) -> list[str]:
    return sorted(pod["spec"]["nodeName"] for pod in pods)


@pytest.fixture
def with_gpus(world: World, gpu_node: GpuNode) -> World:
    """Add profiles with two GPUs in each pod, and start a controller."""
    for name, resource, workers in (("gpus", GPU, 2), ("twice", TWICE, 1), ("mixed", MIXED, 1)):
        devices = {"extendedResource": resource}
        world.profile(name, devices=devices, workersPerPod=workers, tolerations=[TOLERATION])
    world.controller()
    return world


def on(world: World, name: str, profile: str, workers: int, **more: Any) -> None:
    scale = {"workers": [workers], "batchPerWorker": 8}
    world.create(name, profile=profile, device="gpu", scale=scale, **more)


def test_four_ranks_of_two_pods_have_four_gpus_which_record_and_hub_name_though_the_plugin_restarts(
    with_gpus: World, gpu_node: GpuNode, tmp_path: Path
) -> None:
    world = with_gpus
    world.create("plain", profile="no-image")  # These pods have a node and need nothing more.
    on(world, "whole", "gpus", GPUS)
    world.measuring("whole")
    assert nodes_of(world.pods("whole", "worker")) == [gpu_node.name] * 2
    others = [*world.pods("whole", "head"), *world.pods("whole", "submitter"), *world.pods("plain", "worker")]
    assert gpu_node.name not in nodes_of(others)
    gpu_node.restart_plugin()
    assert attempts(world.wait("whole", "condition=Complete"))[-1] == ("Complete", "valid")
    found = headers(world, "whole", tmp_path)
    assert len(found) == 3
    for header in found:
        assert header.cell.device == "gpu"
        seen = [rank.flags["visible GPUs"] for rank in header.ranks]
        assert sorted(seen) == [uuid(number) for number in range(GPUS)]
        for rank, gpu in zip(header.ranks, seen, strict=True):
            assert rank.device is not None
            assert (rank.device.name, rank.device.uuid_tail) == (H100, gpu[-8:])
    until(lambda: "stepmark_throughput_samples_per_second{" in series(world), 120, "the figures are derived")
    (line,) = (one for one in series(world).splitlines() if one.startswith("stepmark_peak_memory_bytes{"))
    assert float(line.split()[-1]) == 500 << 20  # of the GPU, as its driver says
    assert world.ask_hub(f"runs/{world.uid('whole')}/summary").json()["cells"][0]["device_name"] == H100


def test_a_run_with_more_gpus_than_exist_fails_with_the_schedulers_message(with_gpus: World) -> None:
    world = with_gpus
    scale = {"workers": [GPUS + 2], "batchPerWorker": 8}
    world.create("greedy", profile="gpus", scale=scale, runPolicy=ONCE | {"startTimeoutSeconds": 10})
    status = world.wait("greedy", "condition=Failed", 120)
    assert attempts(status) == [("StartTimeout", "invalid")]
    assert f"Insufficient {GPU}" in status["message"]
    assert "executionId" not in status["attempts"][0]
    assert not world.objects("rayjobs")


REFUSED = [
    ("twice", f"expected a GPU for each, found one for both ({uuid(4)}). Time slicing"),
    ("mixed", "expected GPUs of one kind, found NVIDIA "),
]


@pytest.mark.parametrize(("profile", "found"), REFUSED, ids=[profile for profile, _ in REFUSED])
def test_gpus_that_cannot_be_compared_end_a_run_with_ranks_and_node(
    with_gpus: World, gpu_node: GpuNode, profile: str, found: str
) -> None:
    world = with_gpus
    on(world, profile, profile, 2, runPolicy=ONCE)
    (attempt,) = world.wait(profile, "condition=Failed")["attempts"]
    assert attempt["validity"] == "invalid"
    where = f"rank 0 on node {gpu_node.name} and rank 1 on node {gpu_node.name}"
    assert f"{where}: {found}" in attempt["message"]


def test_a_gpu_that_is_lost_while_a_launch_is_measured_gives_no_figures_but_its_name(
    with_gpus: World, gpu_node: GpuNode, tmp_path: Path
) -> None:
    world = with_gpus
    on(world, "lost", "gpus", GPUS, measurement=MEASURED | {"minSeconds": 20})
    until(lambda: "1 of 3 launches" in str(world.scenario("lost").get("status")), WAIT_SECONDS, "a launch has ended")
    try:
        gpu_node.write(all_gpus(lost=1))
        gpu_node.until_it_has(GPUS - 1)
        world.wait("lost", "jsonpath={.status.result}")
    finally:
        gpu_node.write(all_gpus())
    gpu_node.until_it_has(GPUS)
    failures = [header.failure for header in headers(world, "lost", tmp_path)]
    assert failures[0] is None
    assert len(failures) == 3
    for failure in failures[1:]:
        assert failure is not None
        assert f"expected the GPU {uuid(1)} of the session's start, found that the driver has lost it" in failure.cause


SMALLER = {
    "image: &image stepmark/runner:0.1.0": "imagePullPolicy: Never\n          image: &image {image}",
    "image: *image": "image: *image\n              imagePullPolicy: Never",
    "/opt/stepmark-engines/torch/bin/python": "/opt/stepmark/bin/python",
    "--ranks 8": f"--ranks {GPUS} --only machine",
    'num-gpus: "8"': f'num-gpus: "{GPUS}"',
    f"{GPU}: 8": f"{GPU}: {GPUS}",
    "cpu: 16, memory: 64Gi": "cpu: 40m, memory: 2Gi",
    "memory: 64Gi": "memory: 2Gi",
    "536870912": "134217728",
    "8Gi": "256Mi",
}


def test_gpu_check_as_a_ray_job_prints_what_it_finds(with_gpus: World) -> None:
    """This image has no framework, so of the checks the one of driver and GPUs is made."""
    world, document = with_gpus, (ROOT / "k8s" / "gpu-check.yaml").read_text()
    for there, here in SMALLER.items():
        assert there in document
        document = document.replace(there, here)
    world.kubectl("create", "configmap", "gpu-check", "--from-file", str(ROOT / "scripts" / "gpu_check"))
    world.kubectl("create", "-f", "-", input=document.replace("{image}", world.image))
    complete = "--for=jsonpath={.status.jobDeploymentStatus}=Complete"
    world.kubectl("wait", "rayjob/gpu-check", complete, f"--timeout={WAIT_SECONDS}s", timeout=WAIT_SECONDS + 10)
    log = world.kubectl("logs", "job/gpu-check")
    lines = re.findall("^gpu.json: ({.*})$", log, re.MULTILINE)
    assert len(lines) == 1, log
    world.kubectl("delete", "rayjob", "gpu-check")
    machine = json.loads(lines[0])["machine"]
    assert machine["problems"] == []
    assert machine["figures"]["gpus"] == GPUS
    assert machine["figures"]["gpu3"]["name"] == H100
