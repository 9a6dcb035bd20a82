"""What docs/install.md tells a newcomer to do, with PyTorch and Keras: from `helm install` to the verdict outside."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cluster.conftest import Done
from conftest import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400)]

NAMESPACE = "quickstart"
RUN_BYTES, BUILD_BYTES = 5 << 30, 20 << 30  # to run the image of both frameworks, and to build it first
QUICKSTART = ROOT / "scenarios" / "quickstart.yaml"
ENGINES = {"torch", "keras-tensorflow"}


@dataclass(frozen=True)
class World:
    """The chart with both frameworks, and a scenario that was submitted and watched to its end."""

    cluster: Any
    hub: str
    prometheus: str
    token_file: Path
    folder: Path
    submitted: Done

    def stepmark(self, *arguments: str) -> Done:
        return stepmark(self.cluster, self.folder, *arguments, "--hub", self.hub, "--hub-token-file", self.token_file)

    def scenario(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(kubectl(self.cluster, "get", "scenario", "quickstart", "-o", "json"))
        return found

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Once it has an answer."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = httpx2.get(f"{self.prometheus}/api/v1/query", params={"query": promql}, trust_env=False).json()
            if answer["data"]["result"]:
                found: list[dict[str, Any]] = answer["data"]["result"]
                return found
            time.sleep(1)
        pytest.fail(f"Prometheus has no answer to {promql}")


def stepmark(cluster: Any, folder: Path, *arguments: Any) -> Done:
    command = [sys.executable, "-m", "stepmark", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=cluster.environment, capture_output=True, text=True, timeout=1800, check=False
    )


def kubectl(cluster: Any, *arguments: str, **more: Any) -> str:
    done = cluster.kubectl("--namespace", NAMESPACE, *arguments, **more)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def world(
    cluster: Any, engine: str, image: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    built = subprocess.run([engine, "image", "inspect", "stepmark-runner:torch-keras"], capture_output=True)
    expected = RUN_BYTES + BUILD_BYTES * (built.returncode != 0)
    free = shutil.disk_usage(os.path.expanduser("~")).free
    if free < expected:
        pytest.skip(f"expected {expected >> 30} GiB of disk for an image of both frameworks, found {free >> 30}")
    folder = tmp_path_factory.mktemp("quickstart")
    kubectl(cluster, "create", "namespace", NAMESPACE)
    kubectl(cluster, "label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    try:
        install(cluster, image)
        scrape(cluster, "stepmark-hub-metrics", 9090)
        with (
            cluster.forwarded(NAMESPACE, "service/stepmark-hub", 8080) as hub,
            cluster.forwarded("monitoring", "service/prometheus", 9090) as prometheus,
        ):
            token = folder / "token"
            template = "go-template={{.data.admin | base64decode}}"
            token.write_text(kubectl(cluster, "get", "secret", "stepmark-tokens", "-o", template))
            where = ("--namespace", NAMESPACE, "--name", "quickstart", "--watch")
            submitted = stepmark(cluster, folder, "submit", QUICKSTART, *where, "--hub", hub, "--hub-token-file", token)
            yield World(cluster, hub, prometheus, token, folder, submitted)
    finally:
        cluster.helm("uninstall", "stepmark", "--namespace", NAMESPACE, "--ignore-not-found")
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def install(cluster: Any, image: Callable[..., str]) -> None:
    """With the values that the sample has for a small cluster. The large image is in one node alone."""
    service, runner = image("service"), image("runner", "torch keras")
    node = cluster.nodes()[-1]
    cluster.load(service)
    cluster.load(runner, node)
    repository, tag = service.split(":")
    profile = f"profiles.default.image={runner},profiles.default.imagePullPolicy=Never"
    host = f"kubernetes\\.io/hostname={node}"
    done = cluster.helm(
        *("install", "stepmark", str(ROOT / "charts" / "stepmark"), "--namespace", NAMESPACE),
        *("--values", str(ROOT / "k8s" / "profiles" / "cpu-sandbox.yaml"), "--take-ownership", "--wait"),
        *("--set", f"image.repository={repository},image.tag={tag},image.pullPolicy=Never,{profile}"),
        *("--set", f"profiles.default.nodeSelector.{host},profiles.default.head.nodeSelector.{host}"),
    )
    assert done.returncode == 0, done.stderr


def scrape(cluster: Any, service: str, port: int) -> None:
    cluster.add("prometheus")
    targets = json.dumps([{"targets": [f"{service}.{NAMESPACE}:{port}"]}])
    for arguments in (
        ("delete", "configmap", "prometheus-more", "--ignore-not-found"),  # of the last time
        ("create", "configmap", "prometheus-more", f"--from-literal=hub.json={targets}"),
        ("delete", "pods", "--all"),
        ("rollout", "status", "deployment/prometheus", "--timeout=120s"),
    ):
        done = cluster.kubectl("--namespace", "monitoring", *arguments)
        assert done.returncode == 0, done.stderr


def test_submit_shows_progress_and_then_the_table_of_both_frameworks(world: World) -> None:
    done = world.submitted
    assert done.returncode == 0, done.stderr
    assert "Running: " in done.stderr
    table = world.stepmark("results", world.scenario()["metadata"]["uid"])
    assert table.returncode == 0, table.stderr
    assert table.stdout in done.stdout


def test_the_scenario_is_complete_and_says_who_won(world: World) -> None:
    kubectl(world.cluster, "wait", "--for=condition=Complete", "scenario/quickstart", "--timeout=10s")
    status = world.scenario()["status"]
    assert [one["validity"] for one in status["attempts"]] == ["valid"]
    shown = kubectl(world.cluster, "get", "scenarios").splitlines()
    assert len(shown) == 2
    assert status["result"]["verdict"] in shown[1]


def test_every_engine_has_a_verdict_in_the_hub_and_series_in_prometheus(world: World) -> None:
    series = world.query("stepmark_throughput_samples_per_second")
    assert {one["metric"]["engine"] for one in series} == ENGINES
    assert {one["metric"]["workers"] for one in series} == {"1", "2"}
    assert all(float(one["value"][1]) > 0 for one in series)


def test_pods_of_one_node_do_not_compute_on_the_same_cores(world: World) -> None:
    """Each sees all of the node's: with threads for all of them PyTorch's step was seven times as long as locally."""
    run, token = world.scenario()["metadata"]["uid"], world.token_file.read_text()
    address, bearer = f"{world.hub}/api/v1/runs/{run}/results.db", {"Authorization": f"Bearer {token}"}
    (world.folder / "results.db").write_bytes(httpx2.get(address, headers=bearer, trust_env=False).content)
    with sqlite3.connect(world.folder / "results.db") as database:
        headers = [json.loads(text) for (text,) in database.execute("SELECT header FROM launches")]
    share = len(os.sched_getaffinity(0)) // 2
    for ranks in (header["ranks"] for header in headers):
        cores = {core for rank in ranks for core in rank["cpus"]}
        assert len(cores) == len(ranks) * share


def test_the_report_of_the_hubs_run_is_written_here(world: World) -> None:
    run = world.scenario()["metadata"]["uid"]
    done = world.stepmark("report", run)
    assert done.returncode == 0, done.stderr
    assert {"torch", "keras"} <= set((world.folder / "out" / run / "report.md").read_text().split())


def test_a_gate_from_outside_finds_a_run_as_fast_as_itself(world: World) -> None:
    run = world.scenario()["metadata"]["uid"]
    done = world.stepmark("compare", run, run)
    assert done.returncode == 0, done.stdout + done.stderr
