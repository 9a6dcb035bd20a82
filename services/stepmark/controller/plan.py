"""Decide which actions follow from what is seen of one scenario. This module is pure and level-triggered.

The same facts give the same actions, whatever was done before, by whom, or how completely, and each action brings the
scenario nearer to its end. An attempt is written into the status before any of its objects is created, and it is over
only when its RayJob is.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from stepmark.controller import afterwards, reasons
from stepmark.controller.acceptance import Accepted, Refused, accept
from stepmark.controller.actions import manifests
from stepmark.controller.actions.kinds import (
    Action,
    CreateChild,
    DeleteRayJob,
    GiveToken,
    TellEnd,
)
from stepmark.controller.draft import Draft
from stepmark.controller.facts import Capabilities, HubView, Pod, Problem, RayJob
from stepmark.controller.judge import Case, End, Wait, ending_is_over, judge
from stepmark.controller.profiles import Profiles
from stepmark.controller.settings import Settings
from stepmark.results.wire import AttemptEnd
from stepmark.scenario.status import Attempt, ScenarioStatus

FINAL = ("Complete", "Failed", "Cancelled")
PREEMPTIONS_MOST = 4


@dataclass(frozen=True)
class Here:
    """What holds for all scenarios: the cluster's profiles, the settings, and what the installed KubeRay supports."""

    settings: Settings
    profiles: Profiles
    can: Capabilities


@dataclass(frozen=True)
class Seen:
    """What was seen of one scenario.

    `hub` is None where the hub did not answer. `problem` is set while a failed call is backed off. `has_turn` is
    whether another run of the namespace may start.
    """

    ray_job: RayJob | None = None
    pods: tuple[Pod, ...] = ()
    hub: HubView | None = None
    problem: Problem | None = None
    has_turn: bool = True


def plan(scenario: dict[str, Any], seen: Seen, here: Here, now: datetime) -> list[Action]:
    """Return the actions that are due now for this scenario; none if it is finished or goes on as it should.

    `scenario` is the object as the API server returned it. A PatchStatus always comes last, since what follows from it
    is decided once it has been written.
    """
    status = status_of(scenario)
    if scenario["metadata"].get("deletionTimestamp"):
        return []
    draft = Draft(scenario, status, now)
    untold = [one for one in status.attempts if afterwards.is_to_be_told(one.state, one.reason, one.told)]
    if untold and seen.problem is None:
        actions: list[Action] = [TellEnd(attempt.number, _end_of(attempt)) for attempt in untold]
        draft.told()
    elif is_final(scenario):
        actions = [] if seen.problem is not None else afterwards.actions(draft, here.settings, now)
    else:
        actions = _of_the_living(draft, seen, here)
    patch = draft.patch()
    return actions if patch is None else [*actions, patch]


def _end_of(attempt: Attempt) -> AttemptEnd:
    ending = reasons.ENDINGS[attempt.reason or ""]
    assert ending.hub is not None, "others are not told"
    return AttemptEnd(outcome=ending.outcome, reason=ending.hub, message=attempt.message)


def _of_the_living(draft: Draft, seen: Seen, here: Here) -> list[Action]:
    """Plan a scenario that has not finished."""
    accepted = accept(draft.scenario, here.profiles)
    alive = living(draft.status)
    if alive is None:
        return _without_attempt(draft, accepted, seen, here)
    return _with_attempt(draft, alive, seen, accepted, here)


def status_of(scenario: dict[str, Any]) -> ScenarioStatus:
    """Return the status of a scenario.

    A status that cannot be read counts as empty; the children are then found again by their names.
    """
    try:
        return ScenarioStatus.model_validate_json(json.dumps(scenario.get("status") or {}))
    except ValidationError:
        return ScenarioStatus()


def is_final(scenario: dict[str, Any]) -> bool:
    """Return whether the scenario has reached a final phase."""
    status = scenario.get("status")
    return isinstance(status, dict) and status.get("phase") in FINAL


def living(status: ScenarioStatus) -> Attempt | None:
    """Return the attempt that has not ended, or None. It can only be the last one."""
    last = status.attempts[-1] if status.attempts else None
    return None if last is None or last.state == "Ended" else last


def _without_attempt(draft: Draft, accepted: Accepted | Refused, seen: Seen, here: Here) -> list[Action]:
    """Plan a scenario before its first attempt or between two attempts."""
    if draft.scenario["spec"].get("cancel") is True:
        draft.cancelled()
    elif isinstance(accepted, Refused):
        _refuse(draft, accepted)
    elif draft.scenario["spec"].get("suspend") is True:
        draft.accepted(accepted)
        draft.held_back("Suspended", "spec.suspend is true; set it to false to start")
    elif not seen.has_turn:
        most = here.settings.max_runs_per_namespace
        draft.accepted(accepted)
        draft.held_back(
            "TooManyRuns", f"{most} runs of this namespace are running, the most at once (maxRunsPerNamespace)"
        )
    elif not here.can.rayjobs:
        draft.accepted(accepted)
        draft.problem(Problem("KubeRayMissing", "expected the RayJob kind, found none. Install KubeRay."))
    else:
        draft.accepted(accepted)
        draft.begin()
    return []


def _refuse(draft: Draft, refused: Refused) -> None:
    """Record the refusal: for good if it is the scenario's fault, else as a problem for the cluster's owner."""
    if refused.for_good:
        draft.refused(refused)
    else:
        draft.problem(Problem(refused.reason, refused.message))


def _with_attempt(draft: Draft, attempt: Attempt, seen: Seen, accepted: Accepted | Refused, here: Here) -> list[Action]:
    ray_job = _ours(draft.scenario, attempt, seen.ray_job)
    if seen.problem is not None and seen.problem.reason != "NameTaken":
        draft.problem(seen.problem)
    elif attempt.ended_at is not None:
        return _ending(draft, attempt, ray_job, accepted)
    elif draft.wants_cancel and not _is_recorded(seen.hub):
        draft.end(attempt, End("Cancelled", ""), seen.hub)
    elif seen.problem is not None:
        draft.end(attempt, End("NameTaken", seen.problem.message), seen.hub)
    elif attempt.ray_job_uid is None and ray_job is None:
        return _create(draft, attempt, accepted, here)
    else:
        _go_on(draft, attempt, ray_job, seen, accepted, here)
    return []


def _is_recorded(hub: HubView | None) -> bool:
    """Return whether the hub has the whole result. It is too late then to cancel the attempt."""
    return hub is not None and hub.execution is not None and hub.execution.recorded


def _go_on(
    draft: Draft, attempt: Attempt, ray_job: RayJob | None, seen: Seen, accepted: Accepted | Refused, here: Here
) -> None:
    """Judge an attempt whose RayJob was created, and record what follows."""
    if attempt.ray_job_uid is None and ray_job is not None:
        attempt = draft.created(attempt, ray_job)
    queued = isinstance(accepted, Accepted) and accepted.profile.queue_name is not None
    judgement = judge(Case(attempt.state, ray_job, seen.pods, seen.hub, draft.policy(), queued), draft.now)
    if isinstance(judgement, Wait):
        draft.wait(attempt, judgement, seen.hub, here.can)
        return
    draft.end(attempt, judgement, seen.hub, _page(draft.scenario, here.settings))
    if ending_is_over(ray_job, draft.now):
        _conclude(draft, accepted)


def _page(scenario: dict[str, Any], settings: Settings) -> str | None:
    base = settings.hub_public_url
    return None if base is None else f"{base.rstrip('/')}/runs/{scenario['metadata']['uid']}"


def _ours(scenario: dict[str, Any], attempt: Attempt, ray_job: RayJob | None) -> RayJob | None:
    """Return the attempt's RayJob, or None if somebody else made an object of that name."""
    if ray_job is None or ray_job.name != attempt.ray_job_name or ray_job.owner_uid != scenario["metadata"]["uid"]:
        return None
    return None if attempt.ray_job_uid not in (None, ray_job.uid) else ray_job


def _create(draft: Draft, attempt: Attempt, accepted: Accepted | Refused, here: Here) -> list[Action]:
    """Return the actions that create the objects of a recorded attempt.

    The RayJob comes last, since everything starts with it.
    """
    if isinstance(accepted, Refused) and not accepted.for_good:
        draft.problem(Problem(accepted.reason, accepted.message))
        return []
    if isinstance(accepted, Refused):  # The profile was changed just now.
        draft.end(attempt, End("Cancelled", accepted.message), None)
        return []
    scenario, number = draft.scenario, attempt.number
    profile, can, settings = accepted.profile, here.can, here.settings
    return [
        CreateChild(manifests.config_map(scenario, number, profile)),
        GiveToken(manifests.secret(scenario, number), number),
        CreateChild(manifests.network_policy(scenario, number, settings)),
        CreateChild(manifests.ray_job(scenario, number, accepted.scenario, profile, can, settings)),
    ]


def _ending(draft: Draft, attempt: Attempt, ray_job: RayJob | None, accepted: Accepted | Refused) -> list[Action]:
    """Plan an attempt that is decided to be over: its RayJob must go before anything else starts."""
    if ray_job is not None and ray_job.deleted_at is None and not ray_job.finished:
        return [DeleteRayJob(ray_job.name, ray_job.uid)]
    if not ending_is_over(ray_job, draft.now):
        return []
    _conclude(draft, accepted)
    return []


def _conclude(draft: Draft, accepted: Accepted | Refused) -> None:
    """Conclude the last attempt, once nothing of it is left to wait for: finish the scenario, or let another follow."""
    reason = draft.conclude()
    then = reasons.ENDINGS[reason].then
    if draft.wants_cancel and then != "complete":
        draft.cancelled()
    elif then == "complete":
        draft.complete()
    elif then == "failed":
        draft.failed(reason)
    elif isinstance(accepted, Refused):
        _refuse(draft, accepted)
    elif draft.status.preemptions > PREEMPTIONS_MOST:
        draft.failed("PreemptedTooOften")
    elif draft.counted >= accepted.scenario.spec.run_policy.max_attempts:
        draft.failed(reason)
