"""Define what the gate says: the model behind `stepmark compare --json`, and its differences in words."""

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
    """Serve as the base of the models of a gate report: frozen, no extra fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GateSide(GateModel):
    """Identify one of the two runs."""

    folder: Text
    scenario: Text
    scenario_digest: str
    stepmark_version: Text
    host: Text


class GateCell(GateModel):
    """Store the gate's answer for one cell, matched by its key.

    `ratio` is the new step time over the old, with its interval at the report's `interval_level`; above 1 the cell
    became slower. It is None where a side was not measured, and its ends are None where a side has fewer than two
    launches. `p_value` is Welch's, two-sided; `p_adjusted` is that after Holm's correction. Seconds are the mean step
    time of a typical launch. `fails` says whether the cell makes the gate fail. `notes` say what speaks against either
    side's figures. `campaign_spread` is the standard deviation of log step time between campaigns that the interval
    includes, from `campaigns` campaigns of this cell, the old run among them; None without a history.
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
        """Return whether there is an interval to judge by."""
        return self.ratio is not None and self.ratio.low is not None


class LeftOut(GateModel):
    """Store an earlier run that was given but does not count, with the reason."""

    folder: Text
    reason: Text


class GateHistory(GateModel):
    """List earlier runs of the same thing.

    They and the old run are what the variance between campaigns is estimated from.
    """

    used: tuple[Text, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


class GateReport(GateModel):
    """Store the whole answer: what `stepmark compare --json` prints.

    `family_error` is how often at most, over all cells together, a difference is claimed where there is none.
    `interval_level` is that of every cell's interval, so that it excludes 1 exactly where Holm's procedure claims a
    difference. `unlike` lists differences of machine and settings that were allowed; it is empty in an ordinary
    comparison. `changed` lists what the difference may come from. `warnings` say what no interval here includes, and
    what to do.

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
    """Describe a difference in words. None, which is not known or not there, is written as none."""
    old, new = ("none" if value is None else value for value in (one.old, one.new))
    if one.kind == "changed":
        text = f"{one.field}: {old} -> {new}"
    else:
        text = f"{one.kind}: {one.field}: expected {old} as in the old run, found {new} in the new one"
    return f"{text} ({named(one.cells)})" if one.cells else text


def named(keys: Sequence[str]) -> str:
    """Return the first few cells by name, and how many more there are."""
    more = f" and {len(keys) - _CELLS_NAMED} more" if len(keys) > _CELLS_NAMED else ""
    return ", ".join(keys[:_CELLS_NAMED]) + more
