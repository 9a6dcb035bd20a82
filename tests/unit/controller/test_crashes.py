"""The controller may end at any call, and two may run at once: everything converges, and nothing is done twice.

Each world has a fake API server, doubles of KubeRay and the hub, and one scenario. Controllers are killed before a call
reaches the server, or after it was carried out and before its answer was read.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fake_api import FakeApi, Killed
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from worlds import CRD, FakeHub, FakeKubeRay, scenario, settings

from stepmark.controller import kube
from stepmark.controller.actions.names import child_name
from stepmark.controller.facts import Capabilities, Execution, HubView
from stepmark.controller.meters import Meters
from stepmark.controller.plan import Here, Seen
from stepmark.controller.profiles import Profile
from stepmark.controller.tick import Ticker
from stepmark.controller.work import Rests, Worker

PROFILE = "default: {image: 'runner:1'}\n"


class World:
    """One scenario on a cluster. `controller` makes a new controller each time, as a new process does."""

    def __init__(self, folder: Path, **spec: Any) -> None:
        (folder / "profiles.yaml").write_text(PROFILE)
        self.settings = settings(folder / "profiles.yaml", namespaces=("runs",))
        self.api, self.hub = FakeApi(), FakeHub()
        self.kuberay = FakeKubeRay(self.api, self.hub)
        self.api.create(kube.CRDS, None, CRD)
        self.api.create(kube.SCENARIOS, "runs", scenario(**spec))
        self.pool = ThreadPoolExecutor(1)

    def controller(self) -> Ticker:
        meters = Meters(CollectorRegistry())
        worker = Worker(self.api, self.hub, meters, rests=Rests(kube.Patience(0.0, 0.0)))
        return Ticker(self.api, self.hub, self.settings, worker, meters, self.pool)

    @property
    def scenario(self) -> dict[str, Any]:
        return self.api.only(kube.SCENARIOS)[0]

    @property
    def phase(self) -> str:
        return (self.scenario.get("status") or {}).get("phase", "")

    def settle(self, steps: int = 12) -> None:
        """Let a new controller and KubeRay take this many steps, without faults from here on."""
        ticker = self.controller()
        for _ in range(steps):
            ticker.tick()
            self.kuberay.step()

    def assert_one_good_run(self) -> None:
        assert self.phase == "Complete", self.scenario.get("status")
        status = self.scenario["status"]
        assert [a["state"] for a in status["attempts"]] == ["Ended"]
        created = [name for verb, resource, name in self.api.log if (verb, resource) == ("create", kube.RAYJOBS)]
        assert len(created) == len(set(created)) == 1
        assert len(self.kuberay.claims) == 1
        secret = self.api.only(kube.SECRETS)[0]
        assert len(self.hub.tokens) == 1
        assert {len(tokens) for tokens in self.hub.tokens.values()} == {1}
        assert secret["metadata"]["ownerReferences"][0]["uid"] == self.scenario["metadata"]["uid"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.pool.shutdown()


class Countdown:
    """Raises an error at one of all calls."""

    def __init__(self, call: int, committed: bool, error: Callable[[], BaseException] = Killed) -> None:
        self.left, self._committed, self._error = call, committed, error

    def __call__(self, verb: str, resource: str, committed: bool) -> None:
        if committed is self._committed:
            self.left -= 1
            if self.left == 0:
                raise self._error()


def test_a_scenario_completes_where_nothing_fails(world: World) -> None:
    world.settle()
    world.assert_one_good_run()
    said = [event["reason"] for event in world.api.only(kube.EVENTS)]
    assert sorted(said) == ["AttemptStarted", "Complete"]


def calls_of_a_run(folder: Path, committed: bool) -> int:
    world, counter = World(folder), Countdown(-1, committed)
    world.api.on_call = counter
    world.settle()
    return -1 - counter.left


@pytest.mark.parametrize("committed", [False, True])
def test_after_a_controller_is_killed_at_any_call_the_next_one_completes_the_run(
    tmp_path: Path, committed: bool
) -> None:
    total = calls_of_a_run(tmp_path, committed)
    assert total > 8
    for call in range(1, total + 1):
        world = World(tmp_path)
        world.api.on_call = Countdown(call, committed)
        ticker = world.controller()
        for _ in range(12):
            try:
                ticker.tick()
            except Killed:
                world.api.on_call = lambda *call: None
                ticker = world.controller()
            world.kuberay.step()
        world.assert_one_good_run()
        world.pool.shutdown()


FAULTS = st.sampled_from(
    [
        lambda: kube.ApiError(500, "no leader", "any", "any", None),
        lambda: kube.ApiError(429, "too many", "any", "any", 0.0),
        lambda: kube.ApiError(0, "no answer", "any", "any", None),
        lambda: kube.Conflict(409, "changed", "any", "any", None),
        lambda: kube.ApiError(403, "forbidden", "create", "rayjobs", None),
        Killed,
    ]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.integers(0, 1)),
        st.tuples(st.just("fault"), st.tuples(st.integers(1, 12), st.booleans(), FAULTS)),
        st.tuples(st.just("kuberay"), st.none()),
        st.tuples(st.just("hub"), st.booleans()),
        st.tuples(st.just("restart"), st.integers(0, 1)),
    ),
    max_size=40,
)


@example_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_fails_in_whatever_order_two_controllers_make_one_run(tmp_path: Path, steps: list[Any]) -> None:
    world = World(tmp_path)
    controllers = [world.controller(), world.controller()]
    for what, detail in steps:
        if what == "tick":
            with suppress(Killed, kube.ApiError):
                controllers[detail].tick()
        elif what == "fault":
            call, committed, error = detail
            # A server refuses before it commits; only a missing answer and a killed controller may come after that.
            world.api.on_call = Countdown(call, committed and error().__class__ in (Killed, kube.ApiError), error)
        elif what == "kuberay":
            world.kuberay.step()
        elif what == "hub":
            world.hub.away = detail
        else:
            controllers[detail] = world.controller()
    world.api.on_call, world.hub.away = lambda *call: None, False
    world.settle()
    world.assert_one_good_run()
    world.pool.shutdown()


def test_two_controllers_that_interleave_at_every_call_make_one_run(tmp_path: Path) -> None:
    """The second controller runs a whole tick in the middle of the first one's, at each call in turn."""
    for call in range(1, calls_of_a_run(tmp_path, False) + 1):
        world = World(tmp_path)
        other = world.controller()
        left, nested = call, False

        def between(verb: str, resource: str, committed: bool, world: World = world, other: Ticker = other) -> None:
            nonlocal left, nested
            left -= not committed
            if left == 0 and not nested:
                nested = True
                other.pool = ThreadPoolExecutor(1)  # the only thread of the first one's pool is in use
                other.tick()
                other.pool.shutdown()

        world.api.on_call = between
        world.settle()
        world.assert_one_good_run()
        world.pool.shutdown()


def test_a_cancel_at_any_moment_leaves_no_job_running(tmp_path: Path) -> None:
    for ticks in range(4):
        world = World(tmp_path)
        ticker = world.controller()
        for _ in range(ticks):
            ticker.tick()
            world.kuberay.step()
        stored = world.api.objects[kube.SCENARIOS, "runs", "cnn"]
        if stored.get("status", {}).get("phase") == "Complete":
            break
        stored["spec"]["cancel"] = True
        stored["metadata"]["resourceVersion"] += "0"
        world.settle(4)
        left = [job for job in world.api.only(kube.RAYJOBS) if job["status"]["jobDeploymentStatus"] != "Complete"]
        assert not left
        assert world.phase in ("Cancelled", "Complete")
        world.pool.shutdown()


def test_a_rayjob_that_a_paused_controller_made_too_late_is_deleted(world: World) -> None:
    before = world.scenario
    world.settle()
    world.assert_one_good_run()
    job = world.api.objects.pop((kube.RAYJOBS, "runs", world.scenario["status"]["attempts"][0]["rayJobName"]))
    late = {key: job[key] for key in ("apiVersion", "kind", "spec")}
    late["metadata"] = {key: job["metadata"][key] for key in ("name", "namespace", "labels", "ownerReferences")}
    assert before["metadata"]["uid"] == late["metadata"]["ownerReferences"][0]["uid"]
    world.api.create(kube.RAYJOBS, "runs", late)
    world.controller().tick()
    assert not world.api.only(kube.RAYJOBS)


def test_a_job_that_is_suspended_while_the_hub_is_asked_counts_as_preempted_and_not_as_stopped(world: World) -> None:
    world.settle(2)
    ended = Execution("e-1", "interrupted", reason="stopped")

    class Hub(FakeHub):  # type: ignore[misc]
        def view(self, run_id: str, number: int) -> HubView | None:
            job = world.api.only(kube.RAYJOBS)[0]["metadata"]["name"]
            world.api.objects[kube.RAYJOBS, "runs", job]["spec"]["suspend"] = True
            return HubView((ended,), answering_seconds=1000)

    world.hub = Hub()
    world.controller().tick()
    assert world.scenario["status"]["attempts"][0]["reason"] == "Preempted"


@pytest.mark.parametrize(("lost", "reason"), [(True, "PodReplaced"), (False, "SessionBroke")])
def test_a_pod_that_is_lost_while_the_hub_is_asked_is_the_reason_of_the_drivers_end(
    world: World, lost: bool, reason: str
) -> None:
    world.settle(2)
    job = world.api.only(kube.RAYJOBS)[0]["metadata"]
    for role in ("head", "worker"):
        pod = {"name": role, "namespace": "runs", "labels": {**job["labels"], "stepmark.dev/role": role}}
        world.api.create(kube.PODS, "runs", {"kind": "Pod", "metadata": pod})

    class Hub(FakeHub):  # type: ignore[misc]
        def view(self, run_id: str, number: int) -> HubView | None:
            if lost:
                world.api.objects.pop((kube.PODS, "runs", "worker"), None)
            return HubView((Execution("e-1", "interrupted", reason="session-broke"),), answering_seconds=1000)

    world.hub = Hub()
    world.controller().tick()
    assert world.scenario["status"]["attempts"][0]["reason"] == reason


def test_a_foreign_secret_of_the_attempts_name_is_not_used(world: World) -> None:
    name = child_name(world.scenario, 1)
    foreign = {"kind": "Secret", "metadata": {"name": name, "namespace": "runs"}, "data": {"token": "c3B5"}}
    world.api.create(kube.SECRETS, "runs", foreign)
    world.settle(3)
    assert world.scenario["status"]["conditions"][-1]["reason"] == "NameTaken"
    assert not world.hub.tokens
    assert ("create", kube.RAYJOBS, name) not in world.api.log


def test_a_forbidden_create_names_the_right_that_is_missing(world: World) -> None:
    def refuse(verb: str, resource: str, committed: bool) -> None:
        if (verb, resource) == ("create", kube.RAYJOBS):
            raise kube.ApiError(403, "rayjobs is forbidden", "create", resource, None)

    world.api.on_call = refuse
    world.controller().tick()
    found = next(c for c in world.scenario["status"]["conditions"] if c["reason"] == "Forbidden")
    assert "create ray.io/v1/rayjobs in namespace runs" in found["message"]
    world.api.on_call = lambda *call: None
    world.settle()
    world.assert_one_good_run()


def test_a_status_that_somebody_wrote_meanwhile_is_not_overwritten(world: World) -> None:
    stale = world.scenario
    world.settle()
    world.controller().worker.work(
        stale, Seen(), Here(world.settings, {"default": Profile(image="r:1")}, Capabilities())
    )
    world.assert_one_good_run()
