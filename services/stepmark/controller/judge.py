"""What is to be thought of a living attempt: wait, or end it, and why. The matrix of docs/kubernetes.md. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from stepmark.controller import reasons
from stepmark.controller.facts import Execution, HubView, Pod, RayJob
from stepmark.errors import CannotRun
from stepmark.scenario.model import RunPolicy
from stepmark.scenario.status import AttemptState

_RECORD_SECONDS = 60
"""How long after the end of a RayJob its last records may be on their way to the hub."""
_DERIVE_SECONDS = 300
"""How long after that the hub may take for the verdict."""
_SILENT_SECONDS = 30
"""A driver that is silent for so long, in a head pod that is not well, is gone."""
_LOST_SECONDS = 300
"""A driver that is silent for so long is gone, whatever its pod looks like."""
_REMOVAL_SECONDS = 120
"""How long an ended attempt's pods may take to go, before the next one starts all the same."""
_ENDED_WITH = "failed with exit code "
"""How Ray begins a message that goes on with the last lines of the driver's log."""
_LINES_OF_A_LOG = 3


@dataclass(frozen=True)
class Wait:
    """It goes on. `recorded`: whether the hub has the whole result; None where the hub does not answer."""

    state: AttemptState
    reason: str
    message: str
    recorded: bool | None = False


@dataclass(frozen=True)
class End:
    """It is over. `reason`: of `reasons.ENDINGS`."""

    reason: str
    message: str


Judgement = Wait | End


@dataclass(frozen=True)
class Case:
    """An attempt whose RayJob was created. `ray_job`: None if it is gone. `queued`: its profile has a queue."""

    was: AttemptState
    ray_job: RayJob | None
    pods: tuple[Pod, ...]
    hub: HubView | None
    policy: RunPolicy
    queued: bool


def judge(case: Case, now: datetime) -> Judgement:
    """The judgement on a living attempt."""
    ray_job, hub = case.ray_job, case.hub
    if ray_job is not None and ray_job.deployment == "ValidationFailed":
        return End("RejectedByKubeRay", ray_job.message)
    if hub is not None and len(hub.executions) > 1:
        return End("Resubmitted", f"{len(hub.executions)} driver processes claimed it")
    execution = None if hub is None else hub.execution
    if hub is not None and execution is not None and execution.recorded:
        return _recorded(ray_job, hub, execution, now)
    if ray_job is None:
        return _vanished(hub)
    if ray_job.finished:
        return _finished(ray_job, hub, execution, now)
    disturbance = _disturbance(case.was, ray_job, case.pods)
    if disturbance is not None:
        return disturbance
    if execution is not None and execution.ended_early:
        return _felt(_ended_early(execution), ray_job, case.pods)
    if ray_job.submitted:
        return _running(case, ray_job, now)
    return _starting(case, ray_job, now)


def _recorded(ray_job: RayJob | None, hub: HubView, execution: Execution, now: datetime) -> Judgement:
    """The hub's record decides, whatever became of the RayJob; only the verdict is still waited for.

    A job that is preempted now does not end by itself: it would begin again, and measure what has been measured.
    """
    if ray_job is not None and not ray_job.finished and not ray_job.suspended:
        return Wait("Running", "Finishing", "everything is recorded; the Ray cluster is ending", recorded=True)
    ended = None if ray_job is None else ray_job.ended_at
    preempted = ray_job is not None and not ray_job.finished
    derives = preempted or (ended is not None and _age(ended, now) < _DERIVE_SECONDS)
    if derives and not hub.settled and not hub.problem:
        return Wait("Running", "Deriving", "everything is recorded; the hub works out the verdict", recorded=True)
    if execution.outcome == "complete":
        return End("Complete", "")
    return End("LaunchFailed", execution.message)


def _vanished(hub: HubView | None) -> Judgement:
    if hub is None:
        return Wait("Running", "HubUnavailable", "the RayJob is gone, and the hub does not answer", recorded=None)
    return End("RayJobVanished", "")


def _finished(ray_job: RayJob, hub: HubView | None, execution: Execution | None, now: datetime) -> Judgement:
    """KubeRay is done, and there is no whole record yet. `Complete` is no success by itself: a stopped job is, too."""
    if hub is None:
        return Wait("Running", "HubUnavailable", "the job has ended; the hub does not answer", recorded=None)
    if execution is not None and execution.ended_early:
        return _ended_early(execution)
    reason, message = _reason_of(ray_job), words_of(ray_job)
    since = _age(ray_job.ended_at or ray_job.created_at, now)
    alive = execution is not None and execution.outcome == "running" and execution.silent_seconds < _SILENT_SECONDS
    fresh = min(since, hub.answering_seconds) < _RECORD_SECONDS
    if reason != "DeadlineExceeded" and (alive or (execution is not None and fresh)):
        return Wait("Running", "AwaitingRecord", "the job has ended; its last records are awaited")
    if reason == "SubmissionFailed" and execution is not None:  # so it was submitted; what failed is to follow its log
        return End("HeartbeatLost", f"the submitter lost Ray's head, and the driver fell silent: {message}")
    return End(reason, message)


def _ended_early(execution: Execution) -> End:
    """As the runner says it, with what was finished at the hub."""
    unknown = "Stopped" if execution.outcome == "cancelled" else "SessionBroke"
    return End(reasons.OF_RUNNER.get(execution.reason, unknown), execution.message or execution.reason)


def _felt(end: End, ray_job: RayJob, pods: tuple[Pod, ...]) -> End:
    """A driver that loses a pod, its own or a worker's, may say first what it felt: here is what happened to it."""
    measured = [pod for pod in pods if pod.role != "submitter"]
    if end.reason not in ("SessionBroke", "Stopped"):
        return end
    if len(measured) < ray_job.cluster_pods:
        return End("PodReplaced", f"{len(measured)} of the Ray cluster's {ray_job.cluster_pods} pods are left")
    going = next((pod for pod in measured if pod.deleted_at is not None), None)
    return end if going is None else End("PodReplaced", f"pod {going.name} is being deleted")


def _reason_of(ray_job: RayJob) -> str:
    if ray_job.deployment == "Failed":
        if ray_job.reason == "AppFailed" and f"{_ENDED_WITH}{CannotRun.exit_code}," in ray_job.message:
            return "CannotRun"
        return reasons.OF_KUBERAY.get(ray_job.reason, "KubeRayFailed")
    return {"SUCCEEDED": "ResultMissing", "STOPPED": "Stopped"}.get(ray_job.job_status, "KubeRayFailed")


def words_of(ray_job: RayJob) -> str:
    """KubeRay's message. Of a driver's log, which it may hold, the last lines: there is what went wrong."""
    head, *log = [line for line in ray_job.message.splitlines() if line.strip()] or [""]
    if not log:
        return ray_job.message
    told = " ".join(log[-_LINES_OF_A_LOG:])
    _, found, code = head.partition(_ENDED_WITH)
    return f"exit code {code.partition(',')[0]}: {told}" if found else told


def _disturbance(was: AttemptState, ray_job: RayJob, pods: tuple[Pod, ...]) -> End | None:
    """What makes every number of the attempt worthless, whatever the driver says later."""
    if ray_job.suspended and was in ("Starting", "Running"):
        return End("Preempted", "the queue took its quota back")
    for pod in pods:
        if pod.disrupted:
            return End("Preempted", f"pod {pod.name}: {pod.disrupted}")
    return next(_replaced(ray_job, pods), None)


def _replaced(ray_job: RayJob, pods: tuple[Pod, ...]) -> Iterator[End]:
    ready = ray_job.cluster_ready_at
    for pod in pods:
        if pod.role == "submitter":
            continue
        if pod.restarts and ray_job.submitted:
            yield End("PodReplaced", f"pod {pod.name} was restarted")
        if ready is not None and pod.created_at > ready:
            yield End("PodReplaced", f"pod {pod.name} came after the cluster was ready")


def _running(case: Case, ray_job: RayJob, now: datetime) -> Judgement:
    hub, execution = case.hub, None if case.hub is None else case.hub.execution
    if hub is None:
        return Wait("Running", "HubUnavailable", "running; the hub does not answer", recorded=None)
    if execution is None:  # KubeRay calls it running as soon as the submitter's pod exists, whether it starts or not
        return _late(case, ray_job, now) or Wait("Running", "DriverStarting", _worst(case.pods) or "the driver starts")
    head_is_well = any(pod.role == "head" and pod.ready for pod in case.pods)
    silent = min(execution.silent_seconds, hub.answering_seconds)
    if silent > _LOST_SECONDS or (silent > _SILENT_SECONDS and not head_is_well):
        return End("HeartbeatLost", f"nothing was heard of the driver for {silent:.0f} s")
    return Wait("Running", "Measuring", execution.progress or "measuring")


def _starting(case: Case, ray_job: RayJob, now: datetime) -> Judgement:
    # KubeRay leaves the old start time in place until it has seen that the job is no longer suspended.
    not_begun = ray_job.deployment in ("", "Suspended", "Suspending")
    if ray_job.suspended or (case.queued and not_begun):
        return Wait("Queued", "Queued", "waiting in the queue for quota")
    ready = sum(pod.ready for pod in case.pods)
    waits = Wait("Starting", "PodsStarting", _worst(case.pods) or f"{ready} of {len(case.pods)} pods ready")
    return _late(case, ray_job, now) or waits


def _late(case: Case, ray_job: RayJob, now: datetime) -> End | None:
    since = _age(ray_job.started_at or ray_job.created_at, now)
    if since <= case.policy.start_timeout_seconds:
        return None
    return End("StartTimeout", _worst(case.pods) or "the pods were not ready, or no driver spoke up, in time")


def _worst(pods: tuple[Pod, ...]) -> str:
    """The first pod that cannot start, by its words."""
    return next((f"pod {pod.name}: {pod.trouble}" for pod in pods if pod.trouble), "")


def _age(since: datetime, now: datetime) -> float:
    return (now - since) / timedelta(seconds=1)


def ending_is_over(ray_job: RayJob | None, now: datetime) -> bool:
    """Whether nothing of an ended attempt disturbs the next one. A lost node never says that its pods are gone."""
    if ray_job is None or ray_job.finished:
        return True
    return ray_job.deleted_at is not None and _age(ray_job.deleted_at, now) > _REMOVAL_SECONDS
