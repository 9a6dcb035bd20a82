"""What is still done about a scenario that is over: some time later, what its attempts left in the cluster is removed.

The scenario with its verdict stays, unless its own runPolicy says otherwise. Pure.
"""

import math
from datetime import datetime, timedelta
from typing import Any

from stepmark.controller.actions.kinds import Action, RemoveChildren, RemoveScenario
from stepmark.controller.draft import Draft
from stepmark.controller.reasons import ENDINGS
from stepmark.controller.settings import Settings

_ENDS = ("Complete", "Failed")


def actions(draft: Draft, settings: Settings, now: datetime) -> list[Action]:
    """What is due now, of a scenario that is over."""
    seconds = _seconds_since(draft, now)
    keep = draft.policy().ttl_seconds_after_finished
    if keep is not None and seconds >= keep:
        return [RemoveScenario()]
    if draft.status.removed_at is not None or seconds < settings.ttl_seconds_after_finished:
        return []
    draft.removed()
    return [RemoveChildren(attempt.number) for attempt in draft.status.attempts]


def is_to_be_told(state: str | None, reason: str | None, told: bool) -> bool:
    """Of an attempt: whether the hub must hear of its end. Of the others their drivers have told it."""
    ending = ENDINGS.get(reason or "")
    return state == "Ended" and not told and ending is not None and ending.hub is not None


def is_due(scenario: dict[str, Any], settings: Settings, now: datetime) -> bool:
    """Of one that is over, quickly, since there may be thousands: whether there may be something to do."""
    status = scenario["status"]
    attempts = status.get("attempts") or ()
    if any(is_to_be_told(one.get("state"), one.get("reason"), one.get("told", False)) for one in attempts):
        return True
    ends = [one for one in status.get("conditions") or () if one["type"] in _ENDS and one["status"] == "True"]
    seconds = (now - datetime.fromisoformat(ends[0]["lastTransitionTime"])).total_seconds() if ends else math.inf
    keep = (scenario["spec"].get("runPolicy") or {}).get("ttlSecondsAfterFinished", math.inf)
    removed = status.get("removedAt") is not None
    return bool(seconds >= keep or (not removed and seconds >= settings.ttl_seconds_after_finished))


def _seconds_since(draft: Draft, now: datetime) -> float:
    """Its end, by the condition that says so. One whose status says nothing is as old as it can be."""
    ends = [one for one in draft.status.conditions if one.type in _ENDS and one.status == "True"]
    if not ends:
        return math.inf
    return (now - ends[0].last_transition_time) / timedelta(seconds=1)
