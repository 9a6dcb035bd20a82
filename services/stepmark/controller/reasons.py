"""Why an attempt ended and what follows for its scenario, in one table. docs/kubernetes.md explains it to people."""

from dataclasses import dataclass
from typing import Literal

from stepmark.results.wire import EndReason

Then = Literal["complete", "failed", "retry", "preempted", "cancelled"]


@dataclass(frozen=True)
class Ending:
    """What follows from an attempt's end.

    `then` is what happens next. `valid` is whether the attempt's numbers may count as a result.
    """

    then: Then
    valid: bool
    meaning: str
    hub: EndReason | None
    """The reason that the controller reports to the hub; None where the driver has reported the end."""

    @property
    def outcome(self) -> Literal["failed", "interrupted", "cancelled"]:
        """The outcome that is reported to the hub."""
        if self.then == "cancelled":
            return "cancelled"
        return "interrupted" if self.hub in ("preempted", "stopped") else "failed"


ENDINGS: dict[str, Ending] = {
    "Complete": Ending("complete", True, "everything in the plan was measured", None),
    "LaunchFailed": Ending("failed", True, "some launches failed; the hub has their causes", None),
    "CannotRun": Ending("failed", False, "the runner's image cannot do what the scenario asks for", "cannot-run"),
    "DeadlineExceeded": Ending(
        "failed", False, "the attempt took longer than spec.runPolicy.activeDeadlineSeconds", "deadline"
    ),
    "RejectedByKubeRay": Ending("failed", False, "KubeRay refused the RayJob that the controller made", "rejected"),
    "NameTaken": Ending("failed", False, "an object with the attempt's name belongs to somebody else", "name-taken"),
    "StartTimeout": Ending(
        "retry",
        False,
        "not all pods were ready, or no driver had started, after spec.runPolicy.startTimeoutSeconds",
        "start-timeout",
    ),
    "SubmissionFailed": Ending("retry", False, "the job could not be handed to Ray", "submission-failed"),
    "DriverFailed": Ending(
        "retry", False, "the driver ended with an error of its own, or without a record at the hub", "driver-failed"
    ),
    "SessionBroke": Ending("retry", False, "the Ray Train run ended before the plan did", "session-broke"),
    "PodReplaced": Ending("retry", False, "a pod was replaced or restarted while it measured", "worker-replaced"),
    "Resubmitted": Ending("retry", False, "a second driver process claimed the attempt", "superseded"),
    "HeartbeatLost": Ending("retry", False, "the driver stopped reporting to the hub", "heartbeat-lost"),
    "RayJobVanished": Ending("retry", False, "the attempt's RayJob was deleted by somebody else", "vanished"),
    "ResultMissing": Ending(
        "retry", False, "the job ended without an error, but the hub's record of it is not complete", "result-missing"
    ),
    "Stopped": Ending("retry", False, "the Ray job was stopped from outside", "stopped"),
    "KubeRayFailed": Ending("retry", False, "KubeRay gave up the job", "gave-up"),
    "Preempted": Ending(
        "preempted", False, "the attempt's pods were evicted for others, or their node was drained", "preempted"
    ),
    "Cancelled": Ending("cancelled", False, "spec.cancel is true", "stopped"),
}

OF_KUBERAY = {
    "SubmissionFailed": "SubmissionFailed",
    "DeadlineExceeded": "DeadlineExceeded",
    "PreRunningDeadlineExceeded": "StartTimeout",
    "AppFailed": "DriverFailed",
}
"""Maps KubeRay's reason of a failed RayJob that has no record at the hub. Any other reason is KubeRayFailed."""

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
"""Maps the reason that the runner gave the hub for an execution that ended early. Any other is SessionBroke."""
