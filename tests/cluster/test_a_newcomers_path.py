"""What docs/install.md tells a newcomer to do, from `helm install` to the verdict outside of the cluster.

The scenarios are those that it suggests: one of PyTorch and Keras, and one of scripted steps.
"""

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
import yaml

from cluster.conftest import Done
from conftest import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400)]

# The disk that the image of both frameworks needs to run, and to be built first.
RUN_BYTES, BUILD_BYTES = 5 << 30, 20 << 30
ENGINES = {"torch", "keras-tensorflow"}


@dataclass(frozen=True)
class Trial:
    """A scenario that a newcomer measures, and the engines of its runner."""

    name: str
    engines: str
    scenario: dict[str, Any]

    @property
    def runs(self) -> str:
        """Return the namespace that the chart makes for runs."""
        return f"{self.name}-runs"

    def candidates(self) -> set[str]:
        return {one["name"] for one in self.scenario["spec"]["candidates"]}


def suggested(name: str) -> dict[str, Any]:
    """Read a scenario that the chart's notes, kind-up and docs/install.md name."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "scenarios" / f"{name}.yaml").read_text())
    return found


FRAMEWORKS = Trial("frameworks", "torch keras", suggested("quickstart"))
SCRIPTED = Trial("scripted", "sleeper", suggested("sleeper"))
# The frameworks come first, as where a test is for them alone, so that pytest sees that it is the same world.
both = pytest.mark.parametrize(
    "world", [FRAMEWORKS, pytest.param(SCRIPTED, marks=pytest.mark.core)], indirect=True, ids=lambda trial: trial.name
)
with_frameworks = pytest.mark.parametrize("world", [FRAMEWORKS], indirect=True, ids=lambda trial: trial.name)


@dataclass(frozen=True)
class World:
    """A release of the chart, and a scenario that was submitted and watched to its end."""

    cluster: Any
    trial: Trial
    hub: str
    token_file: Path
    folder: Path
    submitted: Done

    def stepmark(self, *arguments: str) -> Done:
        return stepmark(self.cluster, self.folder, *arguments, "--hub", self.hub, "--hub-token-file", self.token_file)

    def kubectl(self, *arguments: str) -> str:
        return kubectl(self.cluster, self.trial.runs, *arguments)

    def scenario(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", "scenario", "quickstart", "-o", "json"))
        return found


def stepmark(cluster: Any, folder: Path, *arguments: Any) -> Done:
    command = [sys.executable, "-m", "stepmark", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=cluster.environment, capture_output=True, text=True, timeout=1800, check=False
    )


def kubectl(cluster: Any, namespace: str, *arguments: str) -> str:
    done = cluster.kubectl("--namespace", namespace, *arguments)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def world(
    request: pytest.FixtureRequest,
    cluster: Any,
    engine: str,
    image: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    trial: Trial = request.param
    if trial is FRAMEWORKS:
        skip_without_disk(engine)
    folder = tmp_path_factory.mktemp(trial.name)
    (folder / "scenario.yaml").write_text(yaml.safe_dump(trial.scenario))
    kubectl(cluster, trial.name, "create", "namespace", trial.name)
    kubectl(cluster, trial.name, "label", "namespace", trial.name, "pod-security.kubernetes.io/enforce=restricted")
    try:
        install(cluster, image, trial)
        with cluster.forwarded(trial.name, "service/stepmark-hub", 8080) as hub:
            token = folder / "token"
            template = "go-template={{.data.admin | base64decode}}"
            token.write_text(kubectl(cluster, trial.name, "get", "secret", "stepmark-tokens", "-o", template))
            where = ("--namespace", trial.runs, "--name", "quickstart", "--watch")
            outside = ("--hub", hub, "--hub-token-file", token)
            submitted = stepmark(cluster, folder, "submit", "scenario.yaml", *where, *outside)
            yield World(cluster, trial, hub, token, folder, submitted)
    finally:
        cluster.helm("uninstall", "stepmark", "--namespace", trial.name, "--ignore-not-found")
        cluster.kubectl("delete", "namespace", trial.name, trial.runs, "--wait=false", "--ignore-not-found")


def skip_without_disk(engine: str) -> None:
    built = subprocess.run([engine, "image", "inspect", "stepmark-runner:torch-keras"], capture_output=True)
    expected = RUN_BYTES + BUILD_BYTES * (built.returncode != 0)
    free = shutil.disk_usage(os.path.expanduser("~")).free
    if free < expected:
        pytest.skip(f"expected {expected >> 30} GiB of disk for an image of both frameworks, found {free >> 30}")


def install(cluster: Any, image: Callable[..., str], trial: Trial) -> None:
    """Install the chart with the sample values for a small cluster. The runner's image is large, so one node has it."""
    service, runner = image("service"), image("runner", trial.engines)
    node = cluster.nodes()[-1]
    cluster.load(service)
    cluster.load(runner, node)
    repository, tag = service.split(":")
    host = f"kubernetes\\.io/hostname={node}"
    profiles = [
        f"profiles.{name}.{setting}"
        for name in ("default", "sandbox")
        for setting in (f"image={runner}", "imagePullPolicy=Never", f"nodeSelector.{host}", f"head.nodeSelector.{host}")
    ]
    done = cluster.helm(
        *("install", "stepmark", str(ROOT / "charts" / "stepmark"), "--namespace", trial.name),
        *("--values", str(ROOT / "k8s" / "profiles" / "cpu-sandbox.yaml"), "--take-ownership", "--wait"),
        *("--set", f"image.repository={repository},image.tag={tag},image.pullPolicy=Never"),
        *("--set", ",".join(profiles)),
    )
    assert done.returncode == 0, done.stderr


@both
def test_submit_prints_progress_and_then_the_table(world: World) -> None:
    done = world.submitted
    assert done.returncode == 0, done.stderr
    assert "Running: " in done.stderr
    table = world.stepmark("results", world.scenario()["metadata"]["uid"])
    assert table.returncode == 0, table.stderr
    assert table.stdout in done.stdout


@both
def test_the_submitted_scenario_is_complete_and_has_its_verdict(world: World) -> None:
    world.kubectl("wait", "--for=condition=Complete", "scenario/quickstart", "--timeout=10s")
    status = world.scenario()["status"]
    assert [one["validity"] for one in status["attempts"]] == ["valid"]
    shown = world.kubectl("get", "scenarios").splitlines()
    assert len(shown) == 2
    assert status["result"]["verdict"] in shown[1]


@both
def test_report_writes_the_report_of_a_run_in_the_hub(world: World) -> None:
    run = world.scenario()["metadata"]["uid"]
    done = world.stepmark("report", run)
    assert done.returncode == 0, done.stderr
    assert world.trial.candidates() <= set((world.folder / "out" / run / "report.md").read_text().split())


@both
def test_compare_from_outside_finds_a_run_as_fast_as_itself(world: World) -> None:
    run = world.scenario()["metadata"]["uid"]
    done = world.stepmark("compare", run, run)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def prometheus(world: World) -> Iterator[str]:
    """Yield the address of a Prometheus in the cluster, which finds the hub by itself."""
    cluster = world.cluster
    cluster.add("prometheus")
    with cluster.forwarded("monitoring", "service/prometheus", 9090) as address:
        yield address


def query(prometheus: str, promql: str) -> list[dict[str, Any]]:
    """Ask Prometheus until it has an answer."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = httpx2.get(f"{prometheus}/api/v1/query", params={"query": promql}, trust_env=False).json()
        if answer["data"]["result"]:
            found: list[dict[str, Any]] = answer["data"]["result"]
            return found
        time.sleep(1)
    pytest.fail(f"Prometheus has no answer to {promql}")


@with_frameworks
def test_every_engine_has_a_verdict_in_the_hub_and_series_in_prometheus(world: World, prometheus: str) -> None:
    of_ours = f'namespace="{world.trial.name}"'
    assert query(prometheus, f"stepmark_controller_last_sync_timestamp_seconds{{{of_ours}}} > 0")
    series = query(prometheus, f"stepmark_throughput_samples_per_second{{{of_ours}}}")
    assert {one["metric"]["engine"] for one in series} == ENGINES
    assert {one["metric"]["workers"] for one in series} == {"1", "2"}
    assert all(float(one["value"][1]) > 0 for one in series)


@with_frameworks
def test_pods_of_one_node_do_not_compute_on_the_same_cores(world: World) -> None:
    """A pod sees all cores of its node. With threads for all of them PyTorch's step took seven times as long."""
    run, token = world.scenario()["metadata"]["uid"], world.token_file.read_text()
    address, bearer = f"{world.hub}/api/v1/runs/{run}/results.db", {"Authorization": f"Bearer {token}"}
    (world.folder / "results.db").write_bytes(httpx2.get(address, headers=bearer, trust_env=False).content)
    with sqlite3.connect(world.folder / "results.db") as database:
        headers = [json.loads(text) for (text,) in database.execute("SELECT header FROM launches")]
    share = len(os.sched_getaffinity(0)) // 2
    for ranks in (header["ranks"] for header in headers):
        cores = {core for rank in ranks for core in rank["cpus"]}
        assert len(cores) == len(ranks) * share
