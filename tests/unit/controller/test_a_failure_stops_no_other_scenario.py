"""A namespace that cannot be listed, a hostile object, or a scenario that raises an error does not stop the others."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fake_api import FakeApi
from prometheus_client import CollectorRegistry
from worlds import CRD, FakeHub, scenario, settings

from stepmark.controller import kube, log, work
from stepmark.controller.actions.names import ATTEMPT, UID
from stepmark.controller.meters import Meters
from stepmark.controller.serve import Controller
from stepmark.controller.tick import Ticker
from stepmark.controller.work import Rests, Worker

PLACES = ("broken", "runs")


class World:
    """Two namespaces with a scenario in each."""

    def __init__(self, folder: Path) -> None:
        (folder / "profiles.yaml").write_text("default: {image: 'runner:1'}\n")
        self.api, self.hub, self.registry = FakeApi(), FakeHub(), CollectorRegistry()
        self.api.create(kube.CRDS, None, CRD)
        for place in PLACES:
            self.create("cnn", place)
        self.settings = settings(folder / "profiles.yaml", namespaces=PLACES)
        meters = Meters(self.registry)
        worker = Worker(self.api, self.hub, meters, rests=Rests(kube.Patience(0.0, 0.0)))
        self.ticker = Ticker(self.api, self.hub, self.settings, worker, meters, ThreadPoolExecutor(1))

    def create(self, name: str, place: str) -> None:
        document = scenario(name)
        document["metadata"]["namespace"] = place
        self.api.create(kube.SCENARIOS, place, document)

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"stepmark_controller_{name}", labels) or 0.0

    def jobs(self, place: str) -> list[Any]:
        return self.api.only(kube.RAYJOBS, place)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("status", [403, 404, 500, 0])
def test_a_namespace_that_cannot_be_listed_stops_no_other(
    world: World, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    world.api.refusals["broken"] = status
    world.ticker.tick()
    world.ticker.tick()
    assert len(world.jobs("runs")) == 1
    assert not world.jobs("broken")
    listed = [world.count("namespace_listed", namespace=place) for place in PLACES]
    assert listed == [0, 1]
    assert world.count("errors_total", kind="namespace") == 2
    assert caplog.text.count("could not be listed") == 1
    world.api.refusals.clear()
    world.ticker.tick()
    assert len(world.jobs("broken")) == 1
    assert world.count("namespace_listed", namespace="broken") == 1


def test_where_jobs_cannot_be_listed_the_scenario_says_so_and_no_attempt_is_lost(world: World) -> None:
    world.ticker.tick()

    def refuse(verb: str, resource: str, committed: bool) -> None:
        if (verb, resource) == ("list", kube.RAYJOBS):
            raise kube.ApiError(403, "no role", verb, resource, None)

    world.api.on_call = refuse
    world.ticker.tick()
    for place in PLACES:
        (found,) = world.api.only(kube.SCENARIOS, place)
        assert len(found["status"]["attempts"]) == 1
        assert {"Forbidden"} <= {one["reason"] for one in found["status"]["conditions"]}
        assert f"in namespace {place}" in found["status"]["message"]


def test_a_look_fails_only_where_every_namespace_is_refused(world: World) -> None:
    world.api.refusals = dict.fromkeys(PLACES, 403)
    with pytest.raises(kube.ApiError):
        world.ticker.tick()


HOSTILE = ["x", "", "-1", "0", "10", "1e3", "\u0661", "9" * 60]


@pytest.mark.parametrize("label", HOSTILE)
def test_a_rayjob_with_a_hostile_label_stops_nothing_and_is_left_alone(world: World, label: str) -> None:
    labels = {"app.kubernetes.io/managed-by": "stepmark-controller", ATTEMPT: label, UID: "anybody"}
    job = {"metadata": {"name": "hostile", "namespace": "broken", "labels": labels}, "spec": {}}
    world.api.create(kube.RAYJOBS, "broken", job)
    world.ticker.tick()
    assert [len(world.jobs(place)) for place in PLACES] == [2, 1]
    assert world.count("errors_total", kind="sweep") == 0


@pytest.mark.parametrize("error", [AssertionError, RecursionError, IndexError, OverflowError, RuntimeError, ValueError])
def test_a_scenario_that_raises_an_error_is_logged_with_its_place_and_the_other_goes_on(
    world: World, error: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    as_ever = work.plan  # type: ignore[attr-defined]

    def plan(scenario: dict[str, Any], *more: Any) -> Any:
        if scenario["metadata"]["namespace"] == "broken":
            raise error("this one breaks us")
        return as_ever(scenario, *more)

    monkeypatch.setattr(work, "plan", plan)
    world.ticker.tick()
    assert len(world.jobs("runs")) == 1
    assert world.count("errors_total", kind="scenario") == 1
    (line,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    said = json.loads(log._Lines("json").format(line))
    assert (said["level"], said["namespace"], said["scenario"]) == ("error", "broken", "cnn")
    assert said["error"] == f"{error.__name__}: this one breaks us"
    assert "work.py" in said["where"]


def test_a_swept_job_that_cannot_be_deleted_stops_no_other(world: World) -> None:
    for place in PLACES:
        labels = {"app.kubernetes.io/managed-by": "stepmark-controller", ATTEMPT: "1"}
        (found,) = world.api.only(kube.SCENARIOS, place)
        owner = [{"uid": found["metadata"]["uid"], "controller": True}]
        metadata = {"name": "old", "namespace": place, "labels": labels, "ownerReferences": owner}
        world.api.create(kube.RAYJOBS, place, {"metadata": metadata, "spec": {}})
        world.api.objects[kube.SCENARIOS, place, "cnn"]["status"] = {"phase": "Failed"}
    left = iter([True, False])

    def refuse_once(verb: str, resource: str, committed: bool) -> None:
        if verb == "delete" and not committed and next(left, False):
            raise RuntimeError("anything")

    world.api.on_call = refuse_once
    world.ticker.tick()
    assert [len(world.jobs(place)) for place in PLACES] == [1, 0]
    assert world.count("errors_total", kind="sweep") == 1


def test_a_look_that_raises_an_error_does_not_end_the_loop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Controller(world.settings, world.api, world.hub)
    monkeypatch.setattr(controller._ticker, "tick", lambda: 1 // 0)
    assert controller._look() > 0
    assert controller.registry.get_sample_value("stepmark_controller_errors_total", {"kind": "tick"}) == 1


def test_counters_are_exposed_before_anything_has_happened(world: World) -> None:
    names = {(one.name, *one.labels.values()) for found in world.registry.collect() for one in found.samples}
    assert ("stepmark_controller_errors_total", "sweep") in names
    assert ("stepmark_controller_attempts_ended_total", "StartTimeout") in names


def test_the_log_has_the_events_of_a_scenario_and_no_token(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world.ticker.tick()
    world.ticker.tick()
    lines = [log._Lines("text").format(one) for one in caplog.records]
    told = "\n".join(lines)
    assert "AttemptStarted: attempt 1: RayJob cnn-" in told
    assert "created RayJob cnn-" in told
    assert 'namespace="runs" scenario="cnn"' in told
    tokens = {token for drawn in world.hub.tokens.values() for token in drawn}
    assert tokens
    assert not any(token in told for token in tokens)
