"""What the controller's tests share: a scenario object, a profile, and doubles of KubeRay and of the hub."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fake_api import FakeApi, Object, now

from conftest import scenario_document
from stepmark.controller import kube
from stepmark.controller.actions import names
from stepmark.controller.facts import AwaitedRun, Capabilities, Execution, HubView
from stepmark.controller.hub_client import HubError
from stepmark.controller.plan import Here
from stepmark.controller.profiles import Profile
from stepmark.controller.settings import Settings
from stepmark.results.wire import AttemptEnd

NOON = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
CRD = {
    "metadata": {"name": "rayjobs.ray.io"},
    "spec": {
        "versions": [
            {
                "name": "v1",
                "served": True,
                "schema": {
                    "openAPIV3Schema": {
                        "properties": {"spec": {"properties": {"rayClusterSpec": {"properties": {"rayVersion": {}}}}}}
                    }
                },
            }
        ]
    },
}


def scenario(name: str = "cnn", **spec: Any) -> Object:
    """A Scenario object as the API server returns it."""
    document = scenario_document(**({"profile": "default"} | spec))
    document["metadata"] = {
        "name": name,
        "namespace": "runs",
        "uid": f"00000000-{name}",
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": "2026-11-25T12:00:00Z",
    }
    return document


def settings(profiles_file: Path = Path("profiles.yaml"), **changes: Any) -> Settings:
    fixed: dict[str, Any] = {
        "profiles_file": profiles_file,
        "hub_url": "http://hub:8080",
        "hub_token_file": Path("token"),
    }
    return Settings(**(fixed | changes))


def here(profile: Profile | None = None, can: Capabilities | None = None, **changes: Any) -> Here:
    profile = profile or Profile(image="runner:1")
    return Here(settings(**changes), {"default": profile}, can or Capabilities())


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@dataclass
class FakeHub:
    """A hub that knows attempts and says of them what a test tells it."""

    away: bool = False
    tokens: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    views: dict[tuple[str, int], HubView] = field(default_factory=dict)
    ends: dict[tuple[str, int], AttemptEnd] = field(default_factory=dict)
    waiting: list[AwaitedRun] = field(default_factory=list)

    def register(self, scenario: Object, number: int, token: str) -> None:
        if self.away:
            raise HubError(0, "no answer")
        self.tokens.setdefault((scenario["metadata"]["uid"], number), set()).add(token)

    def view(self, run_id: str, number: int) -> HubView | None:
        return None if self.away else self.views.get((run_id, number), HubView(answering_seconds=1000))

    def end(self, run_id: str, number: int, end: AttemptEnd) -> None:
        if self.away:
            raise HubError("no answer")
        self.ends.setdefault((run_id, number), end)

    def awaited(self, namespace: str | None) -> list[AwaitedRun]:
        if self.away:
            raise HubError("no answer")
        waits = [run for run in self.waiting if (run.run_id, run.number) not in self.ends]
        return [run for run in waits if namespace in (None, run.namespace)]


@dataclass
class FakeKubeRay:
    """Plays the operator and the driver, as far as objects and records show them, with one transition a step."""

    api: FakeApi
    hub: FakeHub
    claims: list[tuple[str, str]] = field(default_factory=list)

    def step(self) -> None:
        for job in self.api.only(kube.RAYJOBS):
            self._advance(job)

    def _advance(self, job: Object) -> None:
        state = (job.get("status") or {}).get("jobDeploymentStatus", "")
        uid, number = job["metadata"]["labels"][names.UID], int(job["metadata"]["labels"][names.ATTEMPT])
        view = self.hub.views.get((uid, number), HubView(answering_seconds=1000))
        if state == "":
            self.say(job, jobDeploymentStatus="Initializing", startTime=now())
        elif state == "Initializing":
            self.claims.append((uid, job["metadata"]["uid"]))
            claim = Execution(f"e-{len(self.claims)}", "running")
            self.hub.views[uid, number] = replace(view, executions=(claim, *view.executions))
            self.say(job, jobDeploymentStatus="Running", jobStatus="RUNNING")
        elif state == "Running":
            done = replace(view.executions[0], outcome="complete")
            verdict = ("torch is faster",)
            self.hub.views[uid, number] = replace(
                view, executions=(done, *view.executions[1:]), settled=True, verdict=verdict
            )
            self.say(job, jobDeploymentStatus="Complete", jobStatus="SUCCEEDED", endTime=now())

    def say(self, job: Object, **status: Any) -> None:
        """Write a job's status as KubeRay does, which is no call of the controller."""
        found = self.api.objects[kube.RAYJOBS, "runs", job["metadata"]["name"]]
        found["status"] = (found.get("status") or {}) | status
        found["metadata"]["resourceVersion"] += "0"
