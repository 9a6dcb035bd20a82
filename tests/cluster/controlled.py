"""The controller from the checkout on the test cluster, with a hub on this machine: fixtures for several files.

A file takes them with `pytest_plugins = ["cluster.controlled"]`, and gets a namespace that is named after it.
"""

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from conftest import scenario_document
from stepmark.generate.crd import text

STEPMARK = [sys.executable, "-m", "stepmark"]
WAIT_SECONDS = 400  # This is for what takes one minute on a machine with nothing else to do.
MEASURED = {"launches": 3, "minSteps": 20, "minSeconds": 2, "warmupSteps": 2, "warmupSeconds": 0}
_SMALL: dict[str, Any] = {"cpuPerWorker": "40m", "memoryPerWorker": "1Gi", "head": {"cpu": "40m", "memory": "2Gi"}}
_SMALL |= {"shmSizeBytes": 256 << 20, "objectStoreBytes": 128 << 20, "imagePullPolicy": "Never"}


@dataclass
class World:
    """A namespace, a hub on this machine, and controllers. Processes are ended with the test that started them."""

    cluster: Any
    namespace: str
    folder: Path
    address: str
    image: str
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    hub_url: str = ""
    started: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def profile(self, name: str, **settings: Any) -> None:
        """Write a profile that asks for little. A running controller reads it at its next look."""
        self.profiles[name] = {"image": self.image, **_SMALL, **settings}
        (self.folder / "profiles.yaml").write_text(yaml.safe_dump(self.profiles))

    def start(self, name: str, command: list[str]) -> "subprocess.Popen[bytes]":
        log = (self.folder / f"{name}.log").open("ab")
        process = subprocess.Popen(command, env=self.cluster.environment, stdout=log, stderr=log, cwd=self.folder)
        self.started.append(process)
        return process

    def hub(self) -> "subprocess.Popen[bytes]":
        """Start a hub, at the address of the one before, if there was one."""
        listen = self.hub_url.removeprefix("http://") or f"{self.address}:0"
        log = self.folder / "hub.log"
        before = log.read_text().count("hub on ") if log.exists() else 0
        options = ["--database", f"sqlite:///{self.folder}/hub.db", "--listen", listen, "--metrics-listen"]
        command = [*STEPMARK, "hub", "serve", *options, "127.0.0.1:0", "--admin-token-file", "token"]
        process = self.start("hub", command)
        until(lambda: log.read_text().count("hub on ") > before, 120, "the hub serves")
        self.hub_url = log.read_text().rsplit("hub on ", 1)[1].split(",")[0]
        return process

    def controller(self, *options: str) -> "subprocess.Popen[bytes]":
        fixed = ["--profiles-file", "profiles.yaml", "--hub-url", self.hub_url, "--hub-token-file", "token"]
        ports = ["--listen", "127.0.0.1", "--health-port", "0", "--metrics-port", "0"]
        command = [*STEPMARK, "controller", "run", *fixed, *ports, "--namespaces", self.namespace]
        return self.start("controller", [*command, "--tick-seconds", "1", *options])

    def end(self) -> None:
        for process in self.started:
            process.terminate()
        while self.started:  # A controller finishes the calls that it has begun.
            self.started.pop().wait(WAIT_SECONDS)

    def kubectl(self, *arguments: str, **more: Any) -> str:
        done = self.cluster.kubectl("-n", self.namespace, *arguments, **more)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def objects(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, *arguments, "-o", "json"))["items"]
        return found

    def create(self, name: str, **spec: Any) -> None:
        workers = {"workers": [1, 2], "batchPerWorker": 8}
        document = scenario_document(**({"profile": "default", "scale": workers, "measurement": MEASURED} | spec))
        document["metadata"] = {"name": name}
        self.kubectl("create", "--validate=strict", "-f", "-", input=yaml.safe_dump(document))

    def scenario(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", "scenario", name, "-o", "json"))
        return found

    def uid(self, name: str) -> str:
        return str(self.scenario(name)["metadata"]["uid"])

    def pods(self, name: str, role: str) -> list[dict[str, Any]]:
        """Return the present pods of a scenario. `role`: `head`, `worker` or `submitter`."""
        return self.objects("pods", "-l", f"stepmark.dev/scenario-uid={self.uid(name)},stepmark.dev/role={role}")

    def wait(self, name: str, path: str, seconds: int = WAIT_SECONDS) -> dict[str, Any]:
        """Wait for `path`, as of `kubectl wait --for=`, and return the scenario's status then."""
        done = self.cluster.kubectl(
            "-n", self.namespace, "wait", f"scenario/{name}", f"--for={path}", f"--timeout={seconds}s",
            timeout=seconds + 10,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + self._story(name)
        return dict(self.scenario(name).get("status", {}))

    def measuring(self, name: str, attempt: int = 1) -> dict[str, Any]:
        """Wait until the driver of this attempt has measured something, and return the scenario's status."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not self._seen_measuring(name, attempt):
            assert time.monotonic() < deadline, f"attempt {attempt} has not measured: {self._story(name)}"
        return dict(self.scenario(name)["status"])

    def _seen_measuring(self, name: str, attempt: int) -> bool:
        """Wait for it in one watch. The server ends all watches when a definition changes, as tests of the chart do."""
        columns = "custom-columns=ATTEMPTS:.status.attempts[*].number,MESSAGE:.status.message"
        watch = ("-n", self.namespace, "get", "scenario", name, "--watch", f"--request-timeout={WAIT_SECONDS}s")
        begun = f",{attempt} "  # 1,2   3 of 6 launches
        with self.cluster.lines("kubectl", *watch, "--no-headers", "-o", columns) as lines:
            return any(begun in f",{line}" and " launches" in line for line in lines)

    def _story(self, name: str) -> str:
        """Return what a person needs to understand a failure."""
        return f"{self.scenario(name).get('status')}\n{(self.folder / 'controller.log').read_text()}"

    def ask_hub(self, path: str) -> httpx2.Response:
        token = (self.folder / "token").read_text()
        address = f"{self.hub_url}/api/v1/{path}"
        answer = httpx2.get(address, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer

    def run(self, name: str) -> dict[str, Any]:
        """Return the run at the hub."""
        found: dict[str, Any] = self.ask_hub(f"runs/{self.uid(name)}").json()
        return found


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.5)
    pytest.fail(f"not within {seconds} s: {what}")


def attempts(status: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.get("reason", ""), one["validity"]) for one in status["attempts"]]


def _address_for_pods(engine: str) -> str:
    """Return the address of this machine, as the nodes' network sees it."""
    found = subprocess.run([engine, "network", "inspect", "kind"], capture_output=True, text=True, check=True)
    return str(
        next(one["Gateway"] for one in json.loads(found.stdout)[0]["IPAM"]["Config"] if ":" not in one["Subnet"])
    )


def _create_namespace(world: World) -> None:
    """Create the namespace with Pod Security `restricted`. A killed test does not clean up, so it may exist already."""
    world.cluster.kubectl("delete", "namespace", world.namespace, "--ignore-not-found", "--timeout=180s")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": world.namespace, "labels": labels}}
    world.kubectl("create", "-f", "-", input=json.dumps(namespace))


@pytest.fixture(scope="module")
def place(
    cluster: Any, engine: str, image: Any, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Make the namespace, load the runner's image into the nodes, and create the definition of Scenario."""
    runner = image("runner", "sleeper")
    cluster.load(runner)
    namespace = request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-")
    folder = tmp_path_factory.mktemp(namespace)
    world = World(cluster, namespace, folder, _address_for_pods(engine), f"docker.io/library/{runner}")
    (world.folder / "token").write_text(f"smk_{secrets.token_urlsafe(32)}")
    world.profile("default")
    world.profile("no-image", image="nowhere:1")
    done = cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text())
    assert done.returncode == 0, done.stderr
    _create_namespace(world)
    yield world
    world.kubectl("delete", "namespace", world.namespace, "--wait=false")


@pytest.fixture
def world(place: World) -> Iterator[World]:
    """Yield the namespace with a hub. Tests start their controllers themselves."""
    try:
        place.hub()
        yield place
        place.kubectl("delete", "scenarios", "--all")
    finally:
        place.end()
