"""How many runs of a namespace go on at once, what holds a run back, and what is left some time after its end."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fake_api import FakeApi, Object
from prometheus_client import CollectorRegistry
from worlds import CRD, FakeHub, FakeKubeRay, scenario, settings

from stepmark.controller import kube
from stepmark.controller.facts import AwaitedRun
from stepmark.controller.meters import Meters
from stepmark.controller.tick import Ticker
from stepmark.controller.work import Rests, Worker

CHILDREN = (kube.RAYJOBS, kube.SECRETS, kube.CONFIG_MAPS, kube.NETWORK_POLICIES)
PROFILES = """
default: {image: 'runner:1'}
queued: {image: 'runner:1', queueName: queue}
theirs: {image: 'runner:1', namespaces: [team]}
wrong: {image: 'runner:1', objectStoreBytes: 4294967296}
"""


class World:
    def __init__(self, folder: Path, **changes: Any) -> None:
        (folder / "profiles.yaml").write_text(PROFILES)
        self.folder, self.api, self.hub = folder, FakeApi(), FakeHub()
        self.api.create(kube.CRDS, None, CRD)
        self.kuberay = FakeKubeRay(self.api, self.hub)
        self.ticker = self.controller(**changes)

    def controller(self, **changes: Any) -> Ticker:
        meters = Meters(CollectorRegistry())
        worker = Worker(self.api, self.hub, meters, rests=Rests(kube.Patience(0.0, 0.0)))
        world = settings(self.folder / "profiles.yaml", **changes)
        return Ticker(self.api, self.hub, world, worker, meters, ThreadPoolExecutor(1))

    def create(self, name: str, namespace: str = "runs", **spec: Any) -> None:
        document = scenario(name, **spec)
        document["metadata"]["namespace"] = namespace
        self.api.create(kube.SCENARIOS, namespace, document)

    def status(self, name: str, namespace: str = "runs") -> Object:
        return dict(self.api.objects[kube.SCENARIOS, namespace, name].get("status") or {})

    def phases(self, *names: str) -> list[str]:
        return [self.status(name)["phase"] for name in names]

    def settle(self, rounds: int = 8) -> None:
        for _ in range(rounds):
            self.ticker.tick()
            self.kuberay.step()

    def age(self, name: str, seconds: float) -> None:
        """Make the scenario's end this many seconds old."""
        then = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
        for condition in self.api.objects[kube.SCENARIOS, "runs", name]["status"]["conditions"]:
            condition["lastTransitionTime"] = then

    def left(self) -> list[int]:
        return [len(self.api.only(kind)) for kind in CHILDREN]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_namespace_has_no_more_runs_at_once_than_allowed_and_the_oldest_that_waits_is_next(tmp_path: Path) -> None:
    world = World(tmp_path, max_runs_per_namespace=2)
    for name in ("a", "b", "c", "d"):
        world.create(name)
    world.create("e", namespace="other")
    world.ticker.tick()
    assert len(world.api.only(kube.RAYJOBS)) == 2
    assert len(world.api.only(kube.RAYJOBS, "other")) == 1
    assert world.phases("c", "d") == ["Queued", "Queued"]
    assert "2 runs of this namespace are running, the most at once" in world.status("c")["message"]
    (admitted,) = (one for one in world.status("c")["conditions"] if one["type"] == "Admitted")
    assert (admitted["status"], admitted["reason"]) == ("False", "TooManyRuns")
    world.settle()
    assert world.phases("a", "b", "c", "d") == ["Complete"] * 4


def test_runs_in_a_queue_of_kueue_do_not_count_towards_the_limit(tmp_path: Path) -> None:
    world = World(tmp_path, max_runs_per_namespace=1)
    for name in ("a", "b", "c"):
        world.create(name, profile="queued")
    for _ in range(6):
        world.ticker.tick()
    assert len(world.api.only(kube.RAYJOBS)) == 3


def test_a_scenario_that_cannot_begin_does_not_count_towards_the_limit(tmp_path: Path) -> None:
    world = World(tmp_path, max_runs_per_namespace=1)
    world.create("a", suspend=True)
    world.create("b", profile="wrong")
    world.create("c")
    world.ticker.tick()
    assert [job["metadata"]["name"][:2] for job in world.api.only(kube.RAYJOBS)] == ["c-"]


def test_a_suspended_scenario_waits_until_it_is_resumed(world: World) -> None:
    world.create("cnn", suspend=True)
    world.ticker.tick()
    assert world.phases("cnn") == ["Queued"]
    assert not world.api.only(kube.RAYJOBS)
    world.api.patch(kube.SCENARIOS, "runs", "cnn", {"spec": {"suspend": False}})
    world.ticker.tick()
    assert world.api.only(kube.RAYJOBS)


def test_a_profile_may_be_for_some_namespaces_only(world: World) -> None:
    world.create("cnn", profile="theirs")
    world.create("cnn", namespace="team", profile="theirs")
    world.ticker.tick()
    assert world.status("cnn")["phase"] == "Failed"
    assert "a profile for namespace runs" in world.status("cnn")["message"]
    assert world.api.only(kube.RAYJOBS, "team")


def test_a_scenario_with_an_invalid_profile_waits_and_stops_no_other(world: World) -> None:
    world.create("patient", profile="wrong")
    world.create("fine")
    world.ticker.tick()
    assert world.phases("fine", "patient") == ["Pending", "Pending"]
    (admitted,) = (one for one in world.status("patient")["conditions"] if one["type"] == "Admitted")
    assert admitted["reason"] == "InvalidProfile"
    assert "profiles.wrong" in admitted["message"]
    assert "shmSizeBytes" in admitted["message"]
    assert len(world.api.only(kube.RAYJOBS)) == 1
    (world.folder / "profiles.yaml").write_text(PROFILES.replace("objectStoreBytes: 4294967296", "cpuPerWorker: 1"))
    world.ticker.tick()
    assert len(world.api.only(kube.RAYJOBS)) == 2


def test_an_hour_after_its_end_the_children_of_a_scenario_are_removed_and_its_verdict_stays(world: World) -> None:
    world.create("cnn")
    world.settle()
    assert world.left() == [1, 1, 1, 1]
    world.age("cnn", 3599)
    world.ticker.tick()
    assert world.left() == [1, 1, 1, 1]
    world.age("cnn", 3601)
    world.ticker.tick()
    assert world.left() == [0, 0, 0, 0]
    status = world.status("cnn")
    assert (status["phase"], status["result"]["verdict"]) == ("Complete", "torch is faster")
    assert "removedAt" in status
    calls = len(world.api.log)
    world.ticker.tick()
    assert len(world.api.log) == calls


def test_an_object_of_somebody_else_under_an_attempts_name_is_not_removed(world: World) -> None:
    world.create("cnn")
    world.settle()
    name = world.status("cnn")["attempts"][0]["rayJobName"]
    world.api.objects[kube.SECRETS, "runs", name]["metadata"]["ownerReferences"] = []
    world.age("cnn", 3601)
    world.ticker.tick()
    assert world.left() == [0, 1, 0, 0]


def test_a_scenario_is_deleted_after_its_end_where_its_policy_says_so(world: World) -> None:
    world.create("cnn", runPolicy={"ttlSecondsAfterFinished": 60})
    world.settle()
    world.age("cnn", 61)
    world.ticker.tick()
    assert not world.api.only(kube.SCENARIOS)


def test_a_removal_that_fails_is_tried_again(world: World) -> None:
    world.create("cnn")
    world.settle()
    world.age("cnn", 3601)

    def refuse(verb: str, resource: str, committed: bool) -> None:
        if (verb, resource) == ("delete", kube.CONFIG_MAPS) and not committed:
            raise kube.ApiError(403, "no", verb, resource, None)

    world.api.on_call = refuse
    world.ticker.tick()
    assert "removedAt" not in world.status("cnn")
    world.api.on_call = lambda *call: None
    world.ticker.tick()
    world.ticker.tick()
    assert world.left() == [0, 0, 0, 0]
    assert "removedAt" in world.status("cnn")


def timed_out(world: World) -> None:
    """Create a scenario whose only attempt never started."""
    world.create("cnn", runPolicy={"startTimeoutSeconds": 10, "maxAttempts": 1})
    world.ticker.tick()
    (job,) = world.api.only(kube.RAYJOBS)
    long_ago = (datetime.now(UTC) - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    world.kuberay.say(job, jobDeploymentStatus="Initializing", startTime=long_ago)


def test_the_hub_hears_of_an_attempt_that_never_had_a_driver(world: World) -> None:
    timed_out(world)
    for _ in range(3):
        world.ticker.tick()
    (end,) = world.hub.ends.values()
    assert (end.outcome, end.reason) == ("failed", "start-timeout")
    assert [one["told"] for one in world.status("cnn")["attempts"]] == [True]
    assert "not all pods were ready" in world.status("cnn")["attempts"][0]["message"]


def test_a_hub_that_was_away_hears_of_the_end_later_though_the_scenario_is_over(world: World) -> None:
    timed_out(world)
    world.hub.away = True
    for _ in range(4):
        world.ticker.tick()
    assert world.phases("cnn") == ["Failed"]
    assert not world.hub.ends
    world.hub.away = False
    world.ticker = world.controller()
    world.ticker.tick()
    assert [end.reason for end in world.hub.ends.values()] == ["start-timeout"]


def test_the_hub_hears_nothing_more_of_an_end_that_the_driver_has_told(world: World) -> None:
    world.create("cnn")
    world.settle()
    assert world.phases("cnn") == ["Complete"]
    assert not world.hub.ends


def test_the_hub_hears_of_a_scenario_that_was_deleted(world: World) -> None:
    for name in ("gone", "here"):
        world.create(name)
    world.ticker.tick()
    uid = {name: world.api.objects[kube.SCENARIOS, "runs", name]["metadata"]["uid"] for name in ("gone", "here")}
    world.hub.waiting = [AwaitedRun(uid[name], name, "runs", 1) for name in ("gone", "here")]
    world.api.delete(kube.SCENARIOS, "runs", "gone", uid["gone"])
    world.ticker.tick()
    assert {run: end.reason for (run, _), end in world.hub.ends.items()} == {uid["gone"]: "deleted"}
