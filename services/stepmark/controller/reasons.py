"""Why an attempt ended, and what that means for its scenario: one table; docs/kubernetes.md says it to people."""

from dataclasses import dataclass
from typing import Literal

Then = Literal["complete", "failed", "retry", "preempted", "cancelled"]


@dataclass(frozen=True)
class Ending:
    """`then`: what follows. `valid`: whether the attempt's numbers may be looked at as a result."""

    then: Then
    valid: bool
    meaning: str


ENDINGS: dict[str, Ending] = {
    "Complete": Ending("complete", True, "everything that was to be measured was"),
    "LaunchFailed": Ending("failed", True, "some launches failed; the hub has their causes"),
    "CannotRun": Ending("failed", False, "the runner's image cannot do what the scenario asks for"),
    "DeadlineExceeded": Ending("failed", False, "it took longer than spec.runPolicy.activeDeadlineSeconds"),
    "RejectedByKubeRay": Ending("failed", False, "KubeRay refused the RayJob that the controller made"),
    "NameTaken": Ending("failed", False, "an object of the attempt's name belongs to somebody else"),
    "StartTimeout": Ending(
        "retry", False, "its pods were not all ready, or the driver not there, after spec.runPolicy.startTimeoutSeconds"
    ),
    "SubmissionFailed": Ending("retry", False, "the job could not be handed to Ray"),
    "DriverFailed": Ending("retry", False, "the driver ended with an error of its own, or without a record at the hub"),
    "SessionBroke": Ending("retry", False, "the Ray Train run ended before the plan did"),
    "PodReplaced": Ending("retry", False, "a pod was replaced or restarted while it measured"),
    "Resubmitted": Ending("retry", False, "a second driver process claimed the attempt"),
    "HeartbeatLost": Ending("retry", False, "the driver stopped speaking to the hub"),
    "RayJobVanished": Ending("retry", False, "its RayJob was deleted by somebody else"),
    "ResultMissing": Ending("retry", False, "the job ended well, yet the hub has no whole record of it"),
    "Stopped": Ending("retry", False, "the Ray job was stopped from outside"),
    "KubeRayFailed": Ending("retry", False, "KubeRay gave the job up"),
    "Preempted": Ending("preempted", False, "its pods were evicted for others, or their node was drained"),
    "Cancelled": Ending("cancelled", False, "spec.cancel is true"),
}

OF_KUBERAY = {
    "SubmissionFailed": "SubmissionFailed",
    "DeadlineExceeded": "DeadlineExceeded",
    "PreRunningDeadlineExceeded": "StartTimeout",
    "AppFailed": "DriverFailed",
}
"""KubeRay's reasons of a failed RayJob, where the hub has no record. Any other: KubeRayFailed."""

OF_RUNNER = {
    "cannot-run": "CannotRun",
    "deadline": "DeadlineExceeded",
    "stopped": "Stopped",
    "session-broke": "SessionBroke",
    "worker-replaced": "PodReplaced",
    "superseded": "Resubmitted",
    "preempted": "Preempted",
    "heartbeat-lost": "HeartbeatLost",
    "unknown": "DriverFailed",
}
"""Reasons of an execution that ended early, as the runner told the hub. Any other: SessionBroke."""
