"""Decide whether a live attempt goes on or ends, and why. This module is pure.

It implements the decision table of docs/kubernetes.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from stepmark.controller import reasons
from stepmark.controller.facts import Execution, HubView, Pod, RayJob
from stepmark.errors import CannotRun
from stepmark.scenario.model import RunPolicy
from stepmark.scenario.status import AttemptState

_RECORD_SECONDS = 60
"""How long after the end of a RayJob its last records may still be on their way to the hub."""
_DERIVE_SECONDS = 300
"""How long the hub may take to derive the verdict after a RayJob's end."""
_SILENT_SECONDS = 30
"""After this silence a driver counts as lost if its head pod is not ready."""
_LOST_SECONDS = 300
"""After this silence a driver counts as lost, whatever the state of its pod."""
_REMOVAL_SECONDS = 120
"""How long the pods of an ended attempt may take to go. After that the next attempt starts anyway."""
_ENDED_WITH = "failed with exit code "
"""How Ray begins a message that continues with the last lines of the driver's log."""
_LINES_OF_A_LOG = 3


@dataclass(frozen=True)
class Wait:
    """The attempt goes on.

    `recorded` is whether the hub has the whole result; None means that the hub does not answer.
    """

    state: AttemptState
    reason: str
    message: str
    recorded: bool | None = False


@dataclass(frozen=True)
class End:
    """The attempt is over. `reason` is a key of `reasons.ENDINGS`."""

    reason: str
    message: str


Judgement = Wait | End


@dataclass(frozen=True)
class Case:
    """An attempt whose RayJob was created.

    `ray_job` is None if the RayJob is gone. `queued` is whether the profile has a queue.
    """

    was: AttemptState
    ray_job: RayJob | None
    pods: tuple[Pod, ...]
    hub: HubView | None
    policy: RunPolicy
    queued: bool


def judge(case: Case, now: datetime) -> Judgement:
    """Decide whether the attempt goes on or ends."""
    ray_job, hub = case.ray_job, case.hub
    if ray_job is not None and ray_job.deployment == "ValidationFailed":
        return End("RejectedByKubeRay", ray_job.message)
    if hub is not None and len(hub.executions) > 1:
        return End("Resubmitted", f"{len(hub.executions)} driver processes claimed the attempt")
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
        return _blame_lost_pod(_ended_early(execution), ray_job, case.pods)
    if ray_job.submitted:
        return _running(case, ray_job, now)
    return _starting(case, ray_job, now)


def _recorded(ray_job: RayJob | None, hub: HubView, execution: Execution, now: datetime) -> Judgement:
    """Judge an attempt that is fully recorded: the record decides, whatever became of the RayJob.

    Only the verdict is still awaited. A job that is preempted at this point does not end by itself: it would start
    again and measure the same cells a second time.
    """
    if ray_job is not None and not ray_job.finished and not ray_job.suspended:
        return Wait("Running", "Finishing", "everything is recorded; the Ray cluster is ending", recorded=True)
    ended = None if ray_job is None else ray_job.ended_at
    preempted = ray_job is not None and not ray_job.finished
    derives = preempted or (ended is not None and _age(ended, now) < _DERIVE_SECONDS)
    if derives and not hub.settled and not hub.problem:
        return Wait("Running", "Deriving", "everything is recorded; the hub derives the verdict", recorded=True)
    if execution.outcome == "complete":
        return End("Complete", "")
    return End("LaunchFailed", execution.message)


def _vanished(hub: HubView | None) -> Judgement:
    if hub is None:
        return Wait("Running", "HubUnavailable", "the RayJob is gone, and the hub does not answer", recorded=None)
    return End("RayJobVanished", "")


def _finished(ray_job: RayJob, hub: HubView | None, execution: Execution | None, now: datetime) -> Judgement:
    """Judge an attempt whose RayJob has finished before the record is whole.

    The status `Complete` alone does not mean success, since a stopped job has it too.
    """
    if hub is None:
        return Wait("Running", "HubUnavailable", "the job has ended; the hub does not answer", recorded=None)
    if execution is not None and execution.ended_early:
        return _ended_early(execution)
    reason, message = _reason_of(ray_job), words_of(ray_job)
    since = _age(ray_job.ended_at or ray_job.created_at, now)
    alive = execution is not None and execution.outcome == "running" and execution.silent_seconds < _SILENT_SECONDS
    fresh = min(since, hub.answering_seconds) < _RECORD_SECONDS
    if reason != "DeadlineExceeded" and (alive or (execution is not None and fresh)):
        return Wait("Running", "AwaitingRecord", "the job has ended; the hub awaits its last records")
    # Where an execution exists, the job was submitted: what failed is following its log.
    if reason == "SubmissionFailed" and execution is not None:
        return End("HeartbeatLost", f"the submitter lost Ray's head, and the driver stopped reporting: {message}")
    return End(reason, message)


def _ended_early(execution: Execution) -> End:
    """Return the end as the runner reported it when it closed its execution at the hub."""
    unknown = "Stopped" if execution.outcome == "cancelled" else "SessionBroke"
    return End(reasons.OF_RUNNER.get(execution.reason, unknown), execution.message or execution.reason)


def _blame_lost_pod(end: End, ray_job: RayJob, pods: tuple[Pod, ...]) -> End:
    """Replace the driver's report by the loss of a pod, where one explains it.

    A driver that loses its own pod or a worker's may report only the consequence; the pods show the cause.
    """
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
    """Return KubeRay's message. If it contains a driver's log, return only the last lines, where the error is."""
    head, *log = [line for line in ray_job.message.splitlines() if line.strip()] or [""]
    if not log:
        return ray_job.message
    told = " ".join(log[-_LINES_OF_A_LOG:])
    _, found, code = head.partition(_ENDED_WITH)
    return f"exit code {code.partition(',')[0]}: {told}" if found else told


def _disturbance(was: AttemptState, ray_job: RayJob, pods: tuple[Pod, ...]) -> End | None:
    """Return the end of an attempt whose pods were preempted or replaced, else None.

    All numbers of such an attempt are worthless, whatever the driver reports later.
    """
    if ray_job.suspended and was in ("Starting", "Running"):
        return End("Preempted", "the queue took back the run's quota")
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
            yield End("PodReplaced", f"pod {pod.name} was created after the cluster was ready")


def _running(case: Case, ray_job: RayJob, now: datetime) -> Judgement:
    hub, execution = case.hub, None if case.hub is None else case.hub.execution
    if hub is None:
        return Wait("Running", "HubUnavailable", "running; the hub does not answer", recorded=None)
    if execution is None:  # KubeRay reports Running as soon as the submitter's pod exists, whether or not it starts.
        return _late(case, ray_job, now) or Wait(
            "Running", "DriverStarting", _worst(case.pods) or "the driver is starting"
        )
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
    waits = Wait("Starting", "PodsStarting", _worst(case.pods) or f"{ready} of {len(case.pods)} pods are ready")
    return _late(case, ray_job, now) or waits


def _late(case: Case, ray_job: RayJob, now: datetime) -> End | None:
    since = _age(ray_job.started_at or ray_job.created_at, now)
    if since <= case.policy.start_timeout_seconds:
        return None
    return End("StartTimeout", _worst(case.pods) or "not all pods were ready, or no driver had started, in time")


def _worst(pods: tuple[Pod, ...]) -> str:
    """Return why a pod cannot start, for the first such pod; an empty string if there is none."""
    return next((f"pod {pod.name}: {pod.trouble}" for pod in pods if pod.trouble), "")


def _age(since: datetime, now: datetime) -> float:
    return (now - since) / timedelta(seconds=1)


def ending_is_over(ray_job: RayJob | None, now: datetime) -> bool:
    """Return whether nothing of an ended attempt can disturb the next one.

    A deleted RayJob is waited for only for a limited time, since a lost node never confirms that its pods are gone.
    """
    if ray_job is None or ray_job.finished:
        return True
    return ray_job.deleted_at is not None and _age(ray_job.deleted_at, now) > _REMOVAL_SECONDS
