"""Decide what remains to be done about a finished scenario. This module is pure.

Some time after the end, the objects of its attempts are removed from the cluster. The scenario itself stays with its
verdict, unless its own runPolicy says otherwise.
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
    """Return the actions that are due now for a finished scenario."""
    seconds = _seconds_since(draft, now)
    keep = draft.policy().ttl_seconds_after_finished
    if keep is not None and seconds >= keep:
        return [RemoveScenario()]
    if draft.status.removed_at is not None or seconds < settings.ttl_seconds_after_finished:
        return []
    draft.removed()
    return [RemoveChildren(attempt.number) for attempt in draft.status.attempts]


def is_to_be_told(state: str | None, reason: str | None, told: bool) -> bool:
    """Return whether the controller must report an attempt's end to the hub; otherwise its driver has reported it."""
    ending = ENDINGS.get(reason or "")
    return state == "Ended" and not told and ending is not None and ending.hub is not None


def is_due(scenario: dict[str, Any], settings: Settings, now: datetime) -> bool:
    """Return whether a finished scenario may need an action. This check is cheap, since there may be thousands."""
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
    """Return the seconds since the scenario's end, by the condition that records it; infinity where none does."""
    ends = [one for one in draft.status.conditions if one.type in _ENDS and one.status == "True"]
    if not ends:
        return math.inf
    return (now - ends[0].last_transition_time) / timedelta(seconds=1)
