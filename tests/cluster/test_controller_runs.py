"""The controller from the checkout on a real cluster, with a real hub and real Ray. No fault is simulated."""

import hashlib
import json
import random
import sqlite3
import subprocess
import time
from base64 import b64decode

import httpx2
import pytest
import yaml

from cluster.controlled import MEASURED, STEPMARK, WAIT_SECONDS, World, attempts, until
from conftest import scenario_document

pytestmark = [pytest.mark.cluster, pytest.mark.core, pytest.mark.timeout(1500)]
pytest_plugins = ["cluster.controlled"]


def progress_seen_by_prometheus(world: World, name: str) -> float:
    """Return the progress at the port of the head that a PodMonitor scrapes."""
    (head,) = world.pods(name, "head")
    (port,) = (one for one in head["spec"]["containers"][0]["ports"] if one["name"] == "live")
    pod = f"pod/{head['metadata']['name']}"
    with world.cluster.forwarded(world.namespace, pod, port["containerPort"]) as address:
        shown = httpx2.get(f"{address}/metrics", trust_env=False).text
    (sample,) = (line for line in shown.splitlines() if line.startswith("stepmark_live_progress_ratio{"))
    return float(sample.split()[-1])


ASK = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=20).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


def asked_by_a_stranger(world: World, name: str) -> int:
    """Return the status with which Ray's dashboard, which runs what it is told to, answers a pod of another namespace.

    The network of this cluster enforces no NetworkPolicy, so that only Ray's token keeps the stranger out.
    """
    (head,) = world.pods(name, "head")
    address = f"http://{head['status']['podIP']}:8265/api/jobs/"
    command = ["python3", "-c", ASK, address]
    options = ("--image", world.image, "--image-pull-policy=Never", "--restart=Never", "--command", "--", *command)
    stranger = f"stranger-{name}"
    ended = ("--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    for said in (("run", stranger, *options), ("wait", f"pod/{stranger}", *ended), ("logs", stranger)):
        done = world.cluster.kubectl("-n", "default", *said, timeout=90)
        assert done.returncode == 0, done.stderr
    world.cluster.kubectl("-n", "default", "delete", "pod", stranger, "--wait=false")
    return int(done.stdout)


def test_a_scenario_whose_hub_was_away_completes_with_the_table_of_a_local_run(world: World) -> None:
    world.controller()
    settings = {"profile": "default", "scale": {"workers": [1, 2], "batchPerWorker": 8}, "measurement": MEASURED}
    (world.folder / "s.yaml").write_text(yaml.safe_dump(scenario_document(**settings)))
    where = ["-n", world.namespace, "--name", "good", "--watch", "--hub", world.hub_url, "--hub-token-file", "token"]
    with subprocess.Popen(
        [*STEPMARK, "submit", "s.yaml", *where],
        cwd=world.folder,
        env=world.cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as submit:
        world.wait("good", "create", 60)
        world.measuring("good")
        assert asked_by_a_stranger(world, "good") == 401
        assert 0 <= progress_seen_by_prometheus(world, "good") < 1
        hub = world.started[0]
        hub.kill()
        hub.wait()
        assert world.wait("good", "condition=ResultRecorded=Unknown", 60)["phase"] == "Running"
        world.hub()
        stdout, stderr = submit.communicate(timeout=WAIT_SECONDS)
    assert submit.returncode == 0, stderr
    assert "plain eager (default)" in stdout
    assert "Running: " in stderr
    status = world.wait("good", "condition=Complete", 10)
    assert attempts(status) == [("Complete", "valid")]
    assert world.run("good")["run"]["outcome"] == "complete"
    said = {(c["type"], c["status"]) for c in status["conditions"]}
    assert {("Accepted", "True"), ("Admitted", "True"), ("ResultRecorded", "True"), ("Failed", "False")} <= said
    ours = {e["reason"] for e in world.objects("events") if e["involvedObject"].get("uid") == world.uid("good")}
    assert ours == {"AttemptStarted", "Complete"}


def test_cancelling_removes_the_pods_and_the_hub_shows_it(world: World) -> None:
    world.controller()
    world.create("unwanted", measurement=MEASURED | {"minSeconds": 60})  # It is not complete before the cancel comes.
    world.measuring("unwanted")
    world.kubectl("patch", "scenario", "unwanted", "--type=merge", "-p", '{"spec": {"cancel": true}}')
    status = world.wait("unwanted", "jsonpath={.status.phase}=Cancelled", 120)
    assert attempts(status) == [("Cancelled", "invalid")]
    assert not json.loads(world.kubectl("get", "rayjobs", "-o", "json"))["items"]
    assert world.run("unwanted")["run"]["outcome"] == "cancelled"


def test_pods_that_never_start_fail_with_the_kubelets_message_and_leave_nothing(world: World) -> None:
    world.controller("--ttl-seconds-after-finished", "0")
    world.create("stuck", profile="no-image", runPolicy={"startTimeoutSeconds": 10, "maxAttempts": 2})
    status = world.wait("stuck", "condition=Failed", 200)
    assert attempts(status) == [("StartTimeout", "invalid")] * 2
    assert "ErrImageNeverPull" in status["message"]
    world.wait("stuck", "jsonpath={.status.removedAt}", 60)
    kinds = "rayjobs,secrets,configmaps,networkpolicies"
    ours = ("-l", f"stepmark.dev/scenario-uid={world.uid('stuck')}")
    world.cluster.kubectl("-n", world.namespace, "wait", kinds, *ours, "--for=delete", "--timeout=60s", timeout=70)
    assert not world.objects(kinds, *ours)
    assert world.scenario("stuck")["status"]["phase"] == "Failed"


def test_two_controllers_that_are_killed_repeatedly_make_one_rayjob_per_scenario(world: World) -> None:
    names, draw = [f"many-{number}" for number in range(6)], random.Random(7)
    many = ("--max-runs-per-namespace", "6")
    running = [world.controller(*many), world.controller(*many)]
    for name in names:
        world.create(name, profile="no-image", runPolicy={"maxAttempts": 1})
    for _ in range(10):  # A controller needs about a second to start.
        time.sleep(draw.uniform(0.5, 2.5))
        victim = draw.randrange(2)
        running[victim].kill()
        running[victim].wait()
        running[victim] = world.controller(*many)
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
    options = ("--lease-namespace", world.namespace, "--lease-seconds", "3")
    running = [world.controller(*options), world.controller(*options)]

    def holder() -> str:
        done = world.cluster.kubectl("-n", world.namespace, "get", "lease", "stepmark-controller", "-o", "json")
        return json.loads(done.stdout)["spec"]["holderIdentity"] if done.returncode == 0 else ""

    until(lambda: holder() != "", 30, "one has the Lease")
    first = holder()
    victim = next(process for process in running if first.endswith(f"-{process.pid}"))
    victim.kill()
    victim.wait()
    until(lambda: holder() not in ("", first), 30, "the other has taken over")
    world.create("taken-over", profile="no-image")
    world.wait("taken-over", "jsonpath={.status.phase}=Starting", 60)
