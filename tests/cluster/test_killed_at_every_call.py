"""A controller is killed at each of its calls to a real API server, and the next one resumes all that it left."""

import itertools
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from conftest import ROOT, scenario_document
from stepmark.controller import kube
from stepmark.controller.meters import Meters
from stepmark.controller.tick import Ticker
from stepmark.controller.work import Rests, Worker
from stepmark.generate.crd import text

sys.path.insert(0, str(ROOT / "tests" / "unit" / "controller"))
from fake_api import Killed
from worlds import FakeHub, settings

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

NAMESPACE = "killed"
TICKS_MOST = 20


class KillingApi:
    """The real API. It kills the process before a call reaches it (committed False), or before its answer is read."""

    def __init__(self, api: kube.Kube, call: int, committed: bool) -> None:
        self._api, self._left, self._committed = api, call, committed
        self.killed = False

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._committed:
                self._die()
            answer = getattr(self._api, verb)(*arguments, **more)
            answer = iter(list(answer)) if isinstance(answer, Iterator) else answer
            if self._left == 0:
                self._die()
            return answer

        return call

    def _die(self) -> None:
        self.killed = True
        raise Killed


class World:
    def __init__(self, api: kube.Kube, folder: Path) -> None:
        self.api, self.hub, self.pool = api, FakeHub(), ThreadPoolExecutor(1)
        profiles = folder / "profiles.yaml"
        profiles.write_text(
            "default: {image: 'nowhere:1', imagePullPolicy: Never, cpuPerWorker: 10m, head: {cpu: 10m}}\n"
        )
        self._settings = settings(profiles, namespaces=(NAMESPACE,))

    def controller(self, api: Any) -> Ticker:
        meters = Meters(CollectorRegistry())
        worker = Worker(api, self.hub, meters, rests=Rests(kube.Patience(0.0, 0.0)))
        return Ticker(api, self.hub, self._settings, worker, meters, self.pool)

    def starts(self, name: str, killing: KillingApi) -> dict[str, Any]:
        """Return the scenario once its attempt starts, under a controller that is killed once and then replaced."""
        ticker = self.controller(killing)
        for _ in range(TICKS_MOST):
            try:
                ticker.tick()
            except Killed:
                ticker = self.controller(self.api)
            found = self.api.get(kube.SCENARIOS, NAMESPACE, name)
            if found.get("status", {}).get("phase") == "Starting":
                return found
        pytest.fail(f"{name} has not started after {TICKS_MOST} ticks: {found.get('status')}")


@pytest.fixture
def world(cluster: Any, tmp_path: Path) -> Iterator[World]:
    for arguments in (["apply", "--server-side", "--force-conflicts", "-f", "-"], ["create", "namespace", NAMESPACE]):
        done = cluster.kubectl(*arguments, input=text() if "-f" in arguments else "")
        assert done.returncode == 0, done.stderr
    made = World(kube.Kube.connect(2, kubeconfig=cluster.kubeconfig), tmp_path)
    yield made
    made.pool.shutdown()
    cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")


def test_a_controller_that_is_killed_at_any_call_is_replaced_and_one_rayjob_made(world: World) -> None:
    calls = {committed: _every_call(world, committed) for committed in (False, True)}
    assert min(calls.values()) > 8, calls


def _every_call(world: World, committed: bool) -> int:
    """Kill a controller at each of its calls in turn; return how many there were."""
    for call in itertools.count(1):
        name = f"{'after' if committed else 'before'}-{call}"
        document = scenario_document(profile="default")
        document["metadata"] = {"name": name, "namespace": NAMESPACE}
        world.api.create(kube.SCENARIOS, NAMESPACE, document)
        killing = KillingApi(world.api, call, committed)
        scenario = world.starts(name, killing)
        _assert_one_job(world, scenario)
        world.api.delete(kube.SCENARIOS, NAMESPACE, name, scenario["metadata"]["uid"])
        if not killing.killed:
            return call - 1
    raise AssertionError


def _assert_one_job(world: World, scenario: dict[str, Any]) -> None:
    (attempt,) = scenario["status"]["attempts"]
    uid = scenario["metadata"]["uid"]
    owned = [one for one in world.api.every(kube.RAYJOBS, NAMESPACE) if _owner(one) == uid]
    assert [one["metadata"]["name"] for one in owned] == [attempt["rayJobName"]]
    assert len(world.hub.tokens[uid, 1]) == 1


def _owner(one: dict[str, Any]) -> str:
    return str(one["metadata"]["ownerReferences"][0]["uid"])
