"""The next status of a scenario while it is built. Each decision writes its words for people and for programs here."""

from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from stepmark.controller import reasons
from stepmark.controller.acceptance import Accepted, Refused
from stepmark.controller.actions import names
from stepmark.controller.actions.kinds import Event, PatchStatus
from stepmark.controller.conditions import clipped, with_condition
from stepmark.controller.facts import Capabilities, HubView, Problem, RayJob
from stepmark.controller.judge import End, Wait
from stepmark.scenario.model import RunPolicy
from stepmark.scenario.status import Attempt, ConditionType, Phase, Result, ScenarioStatus

_MESSAGE_MOST, _ATTEMPT_MOST = 200, 300
_GUARDED = "all pods are ready; Ray asks for its token"
_UNGUARDED = (
    "all pods are ready; Ray asks for no token, since the installed KubeRay has no authOptions: "
    "only the run's NetworkPolicy keeps others away"
)


class Draft:
    """The next status of one scenario. It starts as the current status, and `patch` returns what has changed."""

    def __init__(self, scenario: dict[str, Any], status: ScenarioStatus, now: datetime) -> None:
        self.scenario, self.now = scenario, now.astimezone(UTC).replace(microsecond=0)
        self.before = status
        self.status = status.model_copy(update={"observed_generation": scenario["metadata"].get("generation")})
        self._events: list[Event] = []

    @property
    def wants_cancel(self) -> bool:
        """Whether spec.cancel is true."""
        return self.scenario["spec"].get("cancel") is True

    @property
    def counted(self) -> int:
        """The number of attempts so far that count against maxAttempts."""
        return (self.status.attempts[-1].number if self.status.attempts else 0) - self.status.preemptions

    def policy(self) -> RunPolicy:
        """Return the scenario's run policy, or the default one if it is not valid.

        It is read on its own, so it holds even where the rest of the scenario is no longer accepted.
        """
        try:
            return RunPolicy.model_validate(self.scenario["spec"].get("runPolicy") or {})
        except ValidationError:
            return RunPolicy()

    def patch(self) -> PatchStatus | None:
        """Return the action that writes the new status and its events, or None if nothing has changed."""
        if self.status == self.before:
            return None
        return PatchStatus(self.status, tuple(self._events))

    def accepted(self, accepted: Accepted) -> None:
        """Record that the scenario may run, with the digests of the scenario and its profile."""
        self._update(spec_digest=accepted.scenario.digest(), profile_digest=accepted.profile.digest())
        self._condition("Accepted", "True", "Accepted", "the scenario is valid, and within its profile's limits")

    def refused(self, refused: Refused) -> None:
        """Record that the scenario is refused for good: it cannot change, and a new one is a new object."""
        self._condition("Accepted", "False", refused.reason, refused.message)
        self._finish("Failed", "Failed", refused.reason, refused.message)

    def problem(self, problem: Problem) -> None:
        """Record that a call failed and will be tried again. Nothing ends because of it."""
        created = bool(self.status.attempts) and self.status.attempts[-1].ray_job_uid is not None
        self._condition("ClusterReady" if created else "Admitted", "Unknown", problem.reason, problem.message)
        self._update(message=clipped(problem.message, _MESSAGE_MOST))

    def held_back(self, reason: str, message: str) -> None:
        """Record that the next attempt may not start yet."""
        self._update(phase="Queued", message=clipped(message, _MESSAGE_MOST))
        self._condition("Admitted", "False", reason, message)

    def told(self) -> None:
        """Record that the hub was told of the end of every attempt that has ended."""
        attempts = (one.model_copy(update={"told": one.told or one.state == "Ended"}) for one in self.status.attempts)
        self._update(attempts=tuple(attempts))

    def removed(self) -> None:
        """Record that nothing of the scenario's attempts is left in the cluster."""
        self._update(removed_at=self.now)

    def begin(self) -> None:
        """Record the next attempt. Its objects are created only after this has been written."""
        number = self.status.attempts[-1].number + 1 if self.status.attempts else 1
        name = names.child_name(self.scenario, number)
        attempt = Attempt(number=number, ray_job_name=name, state="Creating")
        self._update(attempts=(*self.status.attempts, attempt)[-10:], phase="Pending")
        self._update(message=f"attempt {number}: its objects are being created")
        self._event(Event("Normal", "AttemptStarted", f"attempt {number}: RayJob {name}"))

    def created(self, attempt: Attempt, ray_job: RayJob) -> Attempt:
        """Record that the attempt's RayJob was seen."""
        return self._attempt(attempt, ray_job_uid=ray_job.uid, started_at=ray_job.created_at)

    def wait(self, attempt: Attempt, wait: Wait, hub: HubView | None, can: Capabilities) -> None:
        """Record that the attempt goes on, with its state and the conditions that follow from it."""
        execution = hub.execution.execution_id if hub and hub.execution else attempt.execution_id
        self._attempt(attempt, state=wait.state, reason=wait.reason, execution_id=execution)
        phase: Phase = "Queued" if wait.state == "Queued" else "Starting" if wait.state == "Starting" else "Running"
        number = f"attempt {attempt.number}: " if attempt.number > 1 else ""
        self._update(phase=phase, message=clipped(number + wait.message, _MESSAGE_MOST))
        if phase == "Queued":
            self._condition("Admitted", "False", wait.reason, wait.message)
            return
        self._condition("Admitted", "True", "Admitted", "KubeRay works on the RayJob")
        if phase == "Starting":
            self._condition("ClusterReady", "False", wait.reason, wait.message)
            return
        self._condition("ClusterReady", "True", "PodsReady", _GUARDED if can.auth_options else _UNGUARDED)
        self._condition("Running", "True", wait.reason, "")
        recorded = {True: "True", False: "False", None: "Unknown"}[wait.recorded]
        why = {True: "Recorded", False: "NotYet", None: "HubUnavailable"}[wait.recorded]
        self._condition("ResultRecorded", recorded, why, wait.message if wait.recorded is None else "")

    def end(self, attempt: Attempt, end: End, hub: HubView | None, page: str | None = None) -> None:
        """Record the decision that the attempt is over, and why.

        `conclude` follows once nothing of the attempt is left to wait for.
        """
        ending = reasons.ENDINGS[end.reason]
        execution = hub.execution.execution_id if hub and hub.execution else attempt.execution_id
        said = f"{ending.meaning}: {end.message}" if end.message else ending.meaning
        self._attempt(
            attempt,
            reason=end.reason,
            message=clipped(end.message or ending.meaning, _ATTEMPT_MOST),
            validity="valid" if ending.valid else "invalid",
            ended_at=self.now,
            execution_id=execution,
        )
        # A message from outside says most and may be long, so nothing is put before it but the reason.
        short = f"{end.reason}: {end.message}" if end.message else said
        self._update(message=clipped(f"attempt {attempt.number}: {short}", _MESSAGE_MOST))
        if ending.then not in ("complete", "cancelled"):  # For these two the scenario's own event says the same.
            self._event(Event("Warning", end.reason, clipped(f"attempt {attempt.number}: {said}", 1000)))
        self._condition("Running", "False", end.reason, said)
        if ending.valid and hub is not None:
            self._update(result=_result(self.scenario, hub, page))
            self._condition("ResultRecorded", "True", "Recorded", "")
        else:
            self._condition("ResultRecorded", "False", end.reason, "none of the attempt's numbers is a result")

    def conclude(self) -> str:
        """Record that the last attempt has ended, and return its reason."""
        last = self.status.attempts[-1]
        reason = last.reason or "Cancelled"
        self._attempt(last, state="Ended")
        self._condition("ClusterReady", "False", reason, "")
        if reasons.ENDINGS[reason].then == "preempted":
            self._update(preemptions=self.status.preemptions + 1)
        return reason

    def complete(self) -> None:
        """Record that the scenario is complete, with its verdict."""
        verdict = self.status.result.verdict if self.status.result else ""
        self._finish("Complete", "Complete", "Complete", verdict)

    def failed(self, reason: str) -> None:
        """Record that the scenario failed, in the words of its last attempt.

        The condition has room for more of them than the status message.
        """
        last = self.status.attempts[-1]
        self._finish("Failed", "Failed", reason, f"attempt {last.number}: {last.reason}: {last.message}")

    def cancelled(self) -> None:
        """Record that the scenario was cancelled."""
        self._finish("Cancelled", "Failed", "Cancelled", "cancelled, as spec.cancel asks for")

    def _finish(self, phase: Phase, kind: ConditionType, reason: str, message: str) -> None:
        other: ConditionType = "Failed" if kind == "Complete" else "Complete"
        self._condition(kind, "True", reason, message)
        self._condition(other, "False", reason, "")
        self._update(phase=phase, message=clipped(message, _MESSAGE_MOST))
        self._event(Event("Normal" if phase == "Complete" else "Warning", phase, clipped(message, 1000)))

    def _attempt(self, attempt: Attempt, **changes: Any) -> Attempt:
        new = self.status.attempts[-1].model_copy(update=changes)
        assert new.number == attempt.number, "only the last attempt changes"
        self._update(attempts=(*self.status.attempts[:-1], new))
        return new

    def _condition(self, kind: ConditionType, state: Any, reason: str, message: str) -> None:
        self.status = with_condition(self.status, kind, state, reason, message, self.now)

    def _update(self, **changes: Any) -> None:
        self.status = self.status.model_copy(update=changes)

    def _event(self, event: Event) -> None:
        self._events.append(event)


def _result(scenario: dict[str, Any], hub: HubView, page: str | None) -> Result:
    lines = [clipped(line, _MESSAGE_MOST) for line in hub.verdict]
    verdict = lines[0] if lines else hub.problem or "measured; no candidates to compare"
    return Result(
        run_id=scenario["metadata"]["uid"],
        verdict=clipped(verdict, 120),
        url=page,
        headlines=tuple(lines[:10]),
    )
