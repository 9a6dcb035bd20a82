"""Conditions: one of each type, and `lastTransitionTime` moves only when `status` does."""

from datetime import datetime
from typing import Literal

from stepmark.errors import printable
from stepmark.scenario.status import Condition, ConditionType, ScenarioStatus

_MESSAGE_MOST = 1024


def condition(status: ScenarioStatus, kind: ConditionType) -> Condition | None:
    """The condition of this type, where there is one."""
    return next((one for one in status.conditions if one.type == kind), None)


def with_condition(
    status: ScenarioStatus,
    kind: ConditionType,
    state: Literal["True", "False", "Unknown"],
    reason: str,
    message: str,
    now: datetime,
) -> ScenarioStatus:
    """The status with this condition in it, at its old place if it had one."""
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
    """Foreign text on one line, without control characters, of at most so many characters."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= most else line[: most - 3] + "..."
