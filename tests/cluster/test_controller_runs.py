"""The controller from the checkout against a real cluster, a real hub and real Ray: each fault is made, not played."""

import hashlib
import json
import random
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from conftest import scenario_document
from stepmark.scenario.crd import text

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

NAMESPACE = "controlled"
_MEASURED = {"launches": 3, "minSteps": 20, "minSeconds": 2, "warmupSteps": 2, "warmupSeconds": 0}


STEPMARK = [sys.executable, "-m", "stepmark"]


@dataclass
class World:
    """A namespace, a hub on this machine, and controllers. Processes are ended with the test that started them."""

    cluster: Any
    folder: Path
    address: str
    hub_url: str = ""
    started: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def start(self, name: str, command: list[str]) -> "subprocess.Popen[bytes]":
        log = (self.folder / f"{name}.log").open("ab")
        process = subprocess.Popen(command, env=self.cluster.environment, stdout=log, stderr=log, cwd=self.folder)
        self.started.append(process)
        return process

    def hub(self) -> "subprocess.Popen[bytes]":
        """At the address that it had before, if it had one."""
        listen = self.hub_url.removeprefix("http://") or f"{self.address}:0"
        log = self.folder / "hub.log"
        before = log.read_text().count("hub on ") if log.exists() else 0
        options = ["--database", f"sqlite:///{self.folder}/hub.db", "--listen", listen, "--metrics-listen"]
        command = [*STEPMARK, "hub", "serve", *options, "127.0.0.1:0", "--admin-token-file", "token"]
        process = self.start("hub", command)
        _until(lambda: log.read_text().count("hub on ") > before, 120, "the hub serves")
        self.hub_url = log.read_text().rsplit("hub on ", 1)[1].split(",")[0]
        return process

    def controller(self, *options: str) -> "subprocess.Popen[bytes]":
        fixed = ["--profiles-file", "profiles.yaml", "--hub-url", self.hub_url, "--hub-token-file", "token"]
        ports = ["--listen", "127.0.0.1", "--health-port", "0", "--metrics-port", "0"]
        command = [*STEPMARK, "controller", "run", *fixed, *ports, "--namespaces", NAMESPACE]
        return self.start("controller", [*command, "--tick-seconds", "1", *options])

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
        self.started.clear()

    def kubectl(self, *arguments: str, **more: Any) -> str:
        done = self.cluster.kubectl("-n", NAMESPACE, *arguments, **more)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def create(self, name: str, **spec: Any) -> None:
        workers = {"workers": [1, 2], "batchPerWorker": 8}
        document = scenario_document(**({"profile": "default", "scale": workers, "measurement": _MEASURED} | spec))
        document["metadata"] = {"name": name}
        self.kubectl("create", "--validate=strict", "-f", "-", input=yaml.safe_dump(document))

    def scenario(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", "scenario", name, "-o", "json"))
        return found

    def wait(self, name: str, path: str, seconds: int = 240) -> dict[str, Any]:
        """`path`: as of `kubectl wait --for=`. The scenario's status then."""
        done = self.cluster.kubectl(
            "-n", NAMESPACE, "wait", f"scenario/{name}", f"--for={path}", f"--timeout={seconds}s", timeout=seconds + 10
        )
        status: dict[str, Any] = self.scenario(name).get("status", {})
        assert done.returncode == 0, (done.stderr, status, (self.folder / "controller.log").read_text())
        return status

    def measuring(self, name: str, attempt: int = 1) -> dict[str, Any]:
        """Until the driver of this attempt has measured something."""

        def has_begun() -> bool:
            status = self.scenario(name).get("status", {})
            return len(status.get("attempts", [])) == attempt and " of 6 launches" in status.get("message", "")

        _until(has_begun, 240, f"attempt {attempt} of {name} measures")
        return self.scenario(name)["status"]

    def run(self, name: str) -> dict[str, Any]:
        """The run at the hub."""
        token = (self.folder / "token").read_text()
        address = f"{self.hub_url}/api/v1/runs/{self.scenario(name)['metadata']['uid']}"
        answer = httpx2.get(address, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def _until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.5)
    pytest.fail(f"not within {seconds} s: {what}")


@pytest.fixture(scope="module")
def place(cluster: Any, engine: str, image: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The namespace, with Pod Security `restricted`; the runner's image in the nodes; the hub's address for pods."""
    runner = image("runner", "sleeper")
    cluster.load(runner)
    found = subprocess.run([engine, "network", "inspect", "kind"], capture_output=True, text=True, check=True)
    address = next(one["Gateway"] for one in json.loads(found.stdout)[0]["IPAM"]["Config"] if ":" not in one["Subnet"])
    world = World(cluster, tmp_path_factory.mktemp("controlled"), address)
    (world.folder / "token").write_text(f"smk_{secrets.token_urlsafe(32)}")
    small = {"cpuPerWorker": "40m", "memoryPerWorker": "1Gi", "head": {"cpu": "40m", "memory": "2Gi"}}
    small |= {"shmSizeBytes": 256 << 20, "objectStoreBytes": 128 << 20, "imagePullPolicy": "Never"}
    profiles = {
        "default": {"image": f"docker.io/library/{runner}", **small},
        "no-image": {"image": "nowhere:1", **small},
    }
    (world.folder / "profiles.yaml").write_text(yaml.safe_dump(profiles))
    done = cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text())
    assert done.returncode == 0, done.stderr
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    world.kubectl("create", "-f", "-", input=json.dumps(namespace))
    yield world
    world.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
def world(place: World) -> Iterator[World]:
    """With a hub. Tests start their controllers themselves."""
    try:
        place.hub()
        yield place
        place.kubectl("delete", "scenarios", "--all")
    finally:
        place.end()


def attempts(status: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.get("reason", ""), one["validity"]) for one in status["attempts"]]


def test_a_submitted_scenario_completes_and_the_table_is_that_of_a_local_run(world: World) -> None:
    world.controller()
    document = scenario_document(profile="default", scale={"workers": [1, 2], "batchPerWorker": 8})
    (world.folder / "s.yaml").write_text(yaml.safe_dump(document))
    where = ["-n", NAMESPACE, "--name", "good", "--watch", "--hub", world.hub_url, "--hub-token-file", "token"]
    done = subprocess.run(
        [*STEPMARK, "submit", "s.yaml", *where],
        cwd=world.folder,
        env=world.cluster.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "plain eager (default) float32" in done.stdout
    assert "Running: " in done.stderr
    status = world.wait("good", "condition=Complete", 10)
    assert attempts(status) == [("Complete", "valid")]
    assert world.run("good")["run"]["outcome"] == "complete"
    said = {(c["type"], c["status"]) for c in status["conditions"]}
    assert {("Accepted", "True"), ("Admitted", "True"), ("ResultRecorded", "True"), ("Failed", "False")} <= said
    events = json.loads(world.kubectl("get", "events", "-o", "json"))["items"]
    ours = {e["reason"] for e in events if e["involvedObject"].get("uid") == world.scenario("good")["metadata"]["uid"]}
    assert ours == {"AttemptStarted", "Complete"}


def test_disturbed_attempts_are_worthless_and_the_next_one_counts(world: World) -> None:
    world.controller()
    world.create("disturbed", runPolicy={"maxAttempts": 3})
    first = world.measuring("disturbed")["attempts"][0]["rayJobName"]
    world.kubectl("delete", "rayjob", first)
    second = world.measuring("disturbed", 2)["attempts"][1]["rayJobName"]
    workers = "stepmark.dev/attempt=2,stepmark.dev/role=worker,ray.io/cluster"
    pod = world.kubectl("get", "pods", "-l", workers, "-o", "name").split()[0]
    world.kubectl("delete", pod, "--grace-period=0", "--force", "--wait=false")
    status = world.wait("disturbed", "condition=Complete", 400)
    reasons, validity = zip(*attempts(status), strict=True)
    assert validity == ("invalid", "invalid", "valid")
    assert reasons[0] == "RayJobVanished"
    assert reasons[1] in ("PodReplaced", "SessionBroke", "HeartbeatLost")
    assert world.cluster.kubectl("-n", NAMESPACE, "get", "rayjob", first).returncode != 0
    assert second != status["attempts"][2]["rayJobName"]
    run = world.run("disturbed")
    assert run["run"]["attempt"] == 3
    assert run["run"]["outcome"] == "complete"


def test_cancel_removes_the_pods_and_the_hub_says_so(world: World) -> None:
    world.controller()
    world.create("unwanted")
    world.measuring("unwanted")
    world.kubectl("patch", "scenario", "unwanted", "--type=merge", "-p", '{"spec": {"cancel": true}}')
    status = world.wait("unwanted", "jsonpath={.status.phase}=Cancelled", 120)
    assert attempts(status) == [("Cancelled", "invalid")]
    assert not json.loads(world.kubectl("get", "rayjobs", "-o", "json"))["items"]
    assert world.run("unwanted")["run"]["outcome"] == "cancelled"


def test_pods_that_never_start_fail_with_the_words_of_the_kubelet(world: World) -> None:
    world.controller()
    world.create("stuck", profile="no-image", runPolicy={"startTimeoutSeconds": 10, "maxAttempts": 2})
    status = world.wait("stuck", "condition=Failed", 200)
    assert attempts(status) == [("StartTimeout", "invalid")] * 2
    assert "ErrImageNeverPull" in status["message"]
    left = json.loads(world.kubectl("get", "rayjobs", "-o", "json"))["items"]
    assert not left


def test_a_hub_that_is_away_for_a_while_loses_nothing(world: World) -> None:
    world.controller()
    world.create("patient")
    world.measuring("patient")
    hub = world.started[0]
    hub.kill()
    hub.wait()
    status = world.wait("patient", "condition=ResultRecorded=Unknown", 60)
    assert status["phase"] == "Running"
    world.hub()
    assert attempts(world.wait("patient", "condition=Complete", 240)) == [("Complete", "valid")]


def test_controllers_that_are_killed_and_doubled_all_the_time_make_one_job_each(world: World) -> None:
    names, draw = [f"many-{number}" for number in range(6)], random.Random(7)
    running = [world.controller(), world.controller()]
    for name in names:
        world.create(name, profile="no-image", runPolicy={"maxAttempts": 1})
    for _ in range(10):  # a controller needs about a second to come up
        time.sleep(draw.uniform(0.5, 2.5))
        victim = draw.randrange(2)
        running[victim].kill()
        running[victim].wait()
        running[victim] = world.controller()
    for name in names:
        world.wait(name, "jsonpath={.status.phase}=Starting", 60)
    jobs = json.loads(world.kubectl("get", "rayjobs", "-o", "json"))["items"]
    told = [world.scenario(name)["status"]["attempts"] for name in names]
    assert sorted(job["metadata"]["name"] for job in jobs) == sorted(one[0]["rayJobName"] for one in told)
    assert {len(one) for one in told} == {1}
    with sqlite3.connect(world.folder / "hub.db") as database:
        hashes = dict(database.execute("SELECT run_id, token_sha256 FROM attempts"))
    for name, (attempt,) in zip(names, told, strict=True):
        secret = json.loads(world.kubectl("get", "secret", attempt["rayJobName"], "-o", "json"))
        token = b64decode(secret["data"]["token"])
        assert hashes[world.scenario(name)["metadata"]["uid"]] == hashlib.sha256(token).hexdigest()


def test_one_of_two_controllers_works_and_the_other_takes_over(world: World) -> None:
    options = ("--lease-namespace", NAMESPACE, "--lease-seconds", "3")
    running = [world.controller(*options), world.controller(*options)]

    def holder() -> str:
        done = world.cluster.kubectl("-n", NAMESPACE, "get", "lease", "stepmark-controller", "-o", "json")
        return json.loads(done.stdout)["spec"]["holderIdentity"] if done.returncode == 0 else ""

    _until(lambda: holder() != "", 30, "one has the Lease")
    first = holder()
    victim = next(process for process in running if first.endswith(f"-{process.pid}"))
    victim.kill()
    victim.wait()
    _until(lambda: holder() not in ("", first), 30, "the other has taken over")
    world.create("taken-over", profile="no-image")
    world.wait("taken-over", "jsonpath={.status.phase}=Starting", 60)
