"""Conditions of a status: one of each type, whose `lastTransitionTime` changes only when its `status` does."""

from datetime import datetime
from typing import Literal

from stepmark.errors import printable
from stepmark.scenario.status import Condition, ConditionType, ScenarioStatus

_MESSAGE_MOST = 1024


def condition(status: ScenarioStatus, kind: ConditionType) -> Condition | None:
    """Return the condition of this type, or None."""
    return next((one for one in status.conditions if one.type == kind), None)


def with_condition(
    status: ScenarioStatus,
    kind: ConditionType,
    state: Literal["True", "False", "Unknown"],
    reason: str,
    message: str,
    now: datetime,
) -> ScenarioStatus:
    """Return the status with this condition set, at its old place if it was there."""
    before = condition(status, kind)
    new = Condition(
        type=kind,
        status=state,
        reason=reason,
        message=clipped(message, _MESSAGE_MOST),
        last_transition_time=before.last_transition_time if before and before.status == state else now,
        observed_generation=status.observed_generation,
    )
    if before is None:
        return status.model_copy(update={"conditions": (*status.conditions, new)})
    kept = tuple(new if one.type == kind else one for one in status.conditions)
    return status.model_copy(update={"conditions": kept})


def clipped(text: str, most: int) -> str:
    """Return foreign text on one line, without control characters, cut to at most `most` characters."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= most else line[: most - 3] + "..."
