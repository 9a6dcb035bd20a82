"""A scenario over several decisions of plan(), and the facts that tests show it."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from worlds import NOON, here, later, scenario

from stepmark.controller.actions.kinds import Action, CreateChild, GiveToken, PatchStatus
from stepmark.controller.conditions import condition
from stepmark.controller.facts import Execution, HubView, Pod, RayJob
from stepmark.controller.plan import Here, Seen, plan, status_of
from stepmark.scenario.status import ScenarioStatus

SCENARIO = scenario()
JOB = RayJob("cnn-f3e5-1", "job-1", SCENARIO["metadata"]["uid"], NOON)
RUNNING = replace(
    JOB, deployment="Running", job_status="RUNNING", started_at=NOON, cluster_ready_at=later(20), cluster_pods=2
)
HEAD = Pod("head", "head", NOON, ready=True)
WORKER = Pod("worker", "worker", NOON, ready=True)
MEASURING = Execution("e-1", "running", progress="3 of 10 launches")
QUIET = HubView(answering_seconds=1000)


def hub(*executions: Execution, **changes: Any) -> HubView:
    return HubView(executions=executions, answering_seconds=1000, **changes)


class Run:
    """A scenario and its status over several decisions."""

    def __init__(self, world: Here | None = None, **spec: Any) -> None:
        self.here, self.object = world or here(), scenario(**spec)

    def decide(self, seen: Seen = Seen(), now: datetime = NOON) -> list[Action]:  # noqa: B008
        actions = plan(self.object, seen, self.here, now)
        for action in actions:
            if isinstance(action, PatchStatus):
                assert action is actions[-1]
                self.object["status"] = action.status.model_dump(mode="json", by_alias=True, exclude_none=True)
        return actions

    def begun(self, world_job: RayJob = RUNNING) -> "Run":
        """Bring the newest attempt to running, and return the run."""
        self.decide()
        self.decide(
            Seen(replace(world_job, name=self.status.attempts[-1].ray_job_name), (HEAD, WORKER), hub(MEASURING))
        )
        return self

    def see(self, job: RayJob | None, *pods: Pod, hub: HubView | None = QUIET, after: float = 60) -> list[Action]:
        """Decide on these facts until nothing changes or more than the status does, and return all actions."""
        named = None if job is None else replace(job, name=self.status.attempts[-1].ray_job_name)
        every: list[Action] = []
        while actions := self.decide(Seen(named, pods or (HEAD, WORKER), hub), later(after)):
            every += actions
            if not isinstance(actions[-1], PatchStatus):
                break
        return every

    @property
    def status(self) -> ScenarioStatus:
        return status_of(self.object)

    def condition(self, kind: Any) -> tuple[str, str] | None:
        found = condition(self.status, kind)
        return None if found is None else (found.status, found.reason)


def kinds(actions: list[Action]) -> list[str]:
    return [
        action.manifest["kind"] if isinstance(action, CreateChild | GiveToken) else type(action).__name__
        for action in actions
    ]


def failed(reason: str, after: float = 0) -> RayJob:
    return replace(RUNNING, deployment="Failed", job_status="FAILED", reason=reason, ended_at=later(60 - after))
