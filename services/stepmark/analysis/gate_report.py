"""What the gate says: the model behind `stepmark compare --json`, and its differences in words."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from stepmark.analysis.alike import Difference, Text
from stepmark.analysis.intervals import Estimate

Verdict = Literal[
    "slower",
    "faster",
    "no measurable difference",
    "inconclusive",
    "no longer runs",
    "missing in new",
    "not measured in old",
    "measured in neither",
]
_CELLS_NAMED = 3


class GateModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GateSide(GateModel):
    """Which run it was."""

    folder: Text
    scenario: Text
    scenario_digest: str
    stepmark_version: Text
    host: Text


class GateCell(GateModel):
    """One cell, matched by its key.

    `ratio`: new step time over old, with its interval at the report's `interval_level`; above 1 it became slower.
    None where a side was not measured; its ends None where a side has fewer than two launches. `p_value`: Welch's,
    two-sided; `p_adjusted`: after Holm. Seconds are geometric means of launch medians. `fails`: it is why the gate
    fails. `notes`: what speaks against either side's figures. `campaign_spread`: standard deviation of log step time
    between campaigns that is in the interval, from `campaigns` of this cell, the old run among them; None without.
    """

    key: Text
    verdict: Verdict
    reason: Text
    fails: bool
    ratio: Estimate | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    old_seconds: float | None = None
    new_seconds: float | None = None
    old_launches: int = 0
    new_launches: int = 0
    notes: tuple[Text, ...] = ()
    campaign_spread: float | None = None
    campaigns: int = 0

    @property
    def compared(self) -> bool:
        """Whether there is an interval to judge by."""
        return self.ratio is not None and self.ratio.low is not None


class LeftOut(GateModel):
    """An earlier run that was given and does not count."""

    folder: Text
    reason: Text


class GateHistory(GateModel):
    """Earlier runs of the same thing: what the variance between campaigns is estimated from, beside the old run."""

    used: tuple[Text, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


class GateReport(GateModel):
    """The whole answer: what `stepmark compare --json` prints.

    `family_error`: how often at most, over all cells together, a difference is claimed where there is none.
    `interval_level`: of every cell's interval, so that it excludes 1 exactly where Holm's procedure claims a
    difference. `unlike`: differences of machine and settings that were allowed; empty in an ordinary comparison.
    `changed`: what the difference may come from. `warnings`: what no interval here holds, and what to do.

    Schema history
        1  first version
        2  history, warnings, the spread between campaigns
    """

    schema_version: Literal[2] = 2
    passed: bool
    old: GateSide
    new: GateSide
    minimum_effect: float
    family_error: float
    interval_level: float
    unlike: tuple[Difference, ...]
    changed: tuple[Difference, ...]
    cells: tuple[GateCell, ...]
    history: GateHistory = GateHistory()
    warnings: tuple[Text, ...] = ()


def sentence(one: Difference) -> str:
    """A difference in words. None is said as what it may be: not known, or not there."""
    old, new = ("none" if value is None else value for value in (one.old, one.new))
    if one.kind == "changed":
        text = f"{one.field}: {old} -> {new}"
    else:
        text = f"{one.kind}: {one.field}: expected {old} as in the old run, found {new} in the new one"
    return f"{text} ({named(one.cells)})" if one.cells else text


def named(keys: Sequence[str]) -> str:
    """The first few cells by name, and how many more there are."""
    more = f" and {len(keys) - _CELLS_NAMED} more" if len(keys) > _CELLS_NAMED else ""
    return ", ".join(keys[:_CELLS_NAMED]) + more
