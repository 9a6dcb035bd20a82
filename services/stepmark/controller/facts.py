"""Frozen facts about one scenario, read from the API server's objects and from the hub.

Everything that a decision may depend on is here, so that decisions are pure. None stands for what was not looked up or
did not answer.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self

Role = Literal["head", "worker", "submitter"]


@dataclass(frozen=True)
class Capabilities:
    """What the installed KubeRay supports, read from its CRD."""

    rayjobs: bool = True
    auth_options: bool = False
    pre_running_deadline: bool = False


@dataclass(frozen=True)
class Problem:
    """The last failed call for this scenario, until it is tried again. `reason` becomes the reason of a condition."""

    reason: str
    message: str


@dataclass(frozen=True)
class RayJob:
    """A RayJob as KubeRay reports it. `cluster_pods` is how many pods its Ray cluster should have, head included."""

    name: str
    uid: str
    owner_uid: str | None
    created_at: datetime
    deleted_at: datetime | None = None
    suspend: bool = False
    deployment: str = ""
    job_status: str = ""
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cluster_ready_at: datetime | None = None
    cluster_pods: int = 1

    @classmethod
    def of(cls, found: dict[str, Any]) -> Self:
        """Read a RayJob from the API server's object."""
        metadata, status = found["metadata"], found.get("status") or {}
        cluster = status.get("rayClusterStatus") or {}
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            owner_uid=owner_uid(found),
            created_at=_required_time(metadata.get("creationTimestamp")),
            deleted_at=_time(metadata.get("deletionTimestamp")),
            suspend=bool(found.get("spec", {}).get("suspend", False)),
            deployment=status.get("jobDeploymentStatus") or "",
            job_status=status.get("jobStatus") or "",
            reason=status.get("reason") or "",
            message=status.get("message") or "",
            started_at=_time(status.get("startTime")),
            ended_at=_time(status.get("endTime")),
            cluster_ready_at=_time((cluster.get("stateTransitionTimes") or {}).get("ready")),
            cluster_pods=_cluster_pods(found),
        )

    @property
    def finished(self) -> bool:
        """Whether KubeRay has finished with the RayJob, except for removing its Ray cluster."""
        return self.deployment in ("Complete", "Failed")

    @property
    def suspended(self) -> bool:
        """Whether the RayJob is suspended or is being suspended."""
        return self.suspend or self.deployment in ("Suspending", "Suspended")

    @property
    def submitted(self) -> bool:
        """Whether all its pods were ready once and the job was handed to Ray."""
        return self.deployment in ("Running", "Complete", "Failed") and self.reason != "ValidationFailed"


@dataclass(frozen=True)
class Pod:
    """A pod of an attempt."""

    name: str
    role: Role
    created_at: datetime
    deleted_at: datetime | None = None
    ready: bool = False
    restarts: int = 0
    disrupted: str = ""  # the reason of its DisruptionTarget condition
    trouble: str = ""  # why it does not start, in Kubernetes' words

    @classmethod
    def of(cls, found: dict[str, Any]) -> Self:
        """Read a pod from the API server's object."""
        metadata, status = found["metadata"], found.get("status") or {}
        conditions = {c.get("type"): c for c in status.get("conditions") or () if isinstance(c, dict)}
        containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        disruption = conditions.get("DisruptionTarget", {})
        return cls(
            name=metadata["name"],
            role=_role((metadata.get("labels") or {}).get("stepmark.dev/role")),
            created_at=_required_time(metadata.get("creationTimestamp")),
            deleted_at=_time(metadata.get("deletionTimestamp")),
            ready=conditions.get("Ready", {}).get("status") == "True",
            restarts=sum(int(c.get("restartCount") or 0) for c in status.get("containerStatuses") or ()),
            disrupted=disruption.get("reason") or "Disrupted" if disruption.get("status") == "True" else "",
            trouble=_trouble(conditions, containers),
        )


@dataclass(frozen=True)
class Execution:
    """One process that claimed the attempt at the hub.

    `silent_seconds` is the time since its last call, by the hub's clock.
    """

    execution_id: str
    outcome: str
    reason: str = ""
    message: str = ""
    launches: int = 0
    launches_expected: int | None = None
    progress: str = ""
    silent_seconds: float = 0.0

    @property
    def recorded(self) -> bool:
        """Whether the plan reached its end and the hub has every record that the execution reports."""
        every = self.launches_expected is None or self.launches >= self.launches_expected
        return every and self._came_to_its_end

    @property
    def ended_early(self) -> bool:
        """Whether the hub knows that the execution ended before the plan did."""
        return self.outcome in ("interrupted", "cancelled", "failed") and not self._came_to_its_end

    @property
    def _came_to_its_end(self) -> bool:
        return self.outcome == "complete" or (self.outcome == "failed" and self.reason in ("", "launch-failed"))


@dataclass(frozen=True)
class HubView:
    """What the hub knows of the attempt.

    `executions` has the newest first. `answering_seconds` is the time since the hub last failed to answer.
    """

    executions: tuple[Execution, ...] = ()
    settled: bool = False
    problem: str = ""
    verdict: tuple[str, ...] = ()
    answering_seconds: float = 0.0

    @property
    def execution(self) -> Execution | None:
        """The newest execution, or None."""
        return self.executions[0] if self.executions else None


@dataclass(frozen=True)
class AwaitedRun:
    """A run that the hub still waits for. `number` is that of its newest attempt."""

    run_id: str
    name: str
    namespace: str
    number: int


def _cluster_pods(ray_job: dict[str, Any]) -> int:
    """Count the pods of a RayJob's Ray cluster. A RayJob that is not ours may lack the fields that ours have."""
    groups = (ray_job.get("spec", {}).get("rayClusterSpec") or {}).get("workerGroupSpecs") or ()
    return 1 + sum(int(group.get("replicas") or 0) for group in groups)


def owner_uid(found: dict[str, Any]) -> str | None:
    """Return the UID of the object's controller by its ownerReferences, or None."""
    for reference in found.get("metadata", {}).get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference.get("uid"))
    return None


def _role(label: str | None) -> Role:
    return "head" if label == "head" else "submitter" if label == "submitter" else "worker"


def _trouble(conditions: dict[Any, dict[str, Any]], containers: list[dict[str, Any]]) -> str:
    """Return why a pod does not start: the scheduler's message, or the kubelet's for a container that cannot start."""
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return f"{scheduled.get('reason') or 'Unschedulable'}: {scheduled.get('message') or ''}"
    for container in containers:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            return f"{waiting['reason']}: {waiting.get('message') or ''}"
    return ""


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _required_time(text: str | None) -> datetime:
    found = _time(text)
    if found is None:
        raise ValueError("expected creationTimestamp, found none")
    return found
