"""Decide whether cells became slower between two runs of one scenario on one kind of machine, as a gate for CI.

Nothing is paired, since the campaigns are independent. Each cell has Welch's interval on log launch means (`welch.py`),
and Holm's procedure corrects all cells together. No launch shows how much campaigns differ by chance (the machine's
state on the day): that is estimated from earlier runs (`campaigns.py`), and without them the report carries a warning.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stepmark.analysis import stopping
from stepmark.analysis.alike import Difference, Side, differences
from stepmark.analysis.campaigns import Between, Tested, between, tested
from stepmark.analysis.cells import CellResult
from stepmark.analysis.compare import judge
from stepmark.analysis.earlier import alike_runs, campaigns_of, means_of, warnings_of
from stepmark.analysis.gate_report import GateCell, GateReport, GateSide, Verdict, named, sentence
from stepmark.analysis.intervals import CONFIDENCE, Estimate
from stepmark.errors import CannotRun, StepmarkError

_LENT = "no earlier run has this cell, so how much campaigns differ is taken from the other cells"


class Unlike(StepmarkError):
    """Signal that two runs must not be compared: they are unlike and nobody allowed it, or share no measured cell."""

    exit_code = 2

    def __init__(self, message: str, unlike: tuple[Difference, ...] = ()) -> None:
        super().__init__(message, unlike)
        self.message, self.unlike = message, unlike

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Choices:
    """Store what the caller of the gate chose. `minimum_effect` 0.05 is 5 %; None takes that of the new scenario."""

    minimum_effect: float | None = None
    allow_unlike_machines: bool = False
    allow_unlike_settings: bool = False
    allow_missing: bool = False


def gate(old: Side, new: Side, choices: Choices | None = None, earlier: Sequence[Side] = ()) -> GateReport:
    """Compare two runs. `earlier` are runs of the same thing; those that are not alike are left out and listed.

    Raises:
        Unlike: The runs differ in machine or settings, which `choices` does not allow, or share no measured cell.
        CannotRun: Nothing was measured in the old run.
    """
    choices = choices or Choices()
    found = differences(old, new)
    _refuse(found, choices)
    matched = list(_matched(old.summary.cells, new.summary.cells))
    _check_measured(old, new, matched, choices)
    alpha = 1 - max(map(_confidence, (old, new)))
    effect = choices.minimum_effect
    effect = new.summary.measurement.minimum_effect if effect is None else effect
    used, told = alike_runs(old, new, earlier)
    family = _Family(effect, alpha, between(campaigns_of(old, used)) if used else {})
    cells, level = _judged(matched, family, choices.allow_missing)
    return GateReport(
        passed=not any(cell.fails for cell in cells),
        old=_side(old),
        new=_side(new),
        minimum_effect=effect,
        family_error=round(1 - CONFIDENCE, 6),
        interval_level=level,
        unlike=tuple(one for one in found if one.kind != "changed"),
        changed=tuple(one for one in found if one.kind == "changed"),
        cells=tuple(cells),
        history=told,
        warnings=tuple(warnings_of(used if family.between else ())),
    )


def _refuse(found: tuple[Difference, ...], choices: Choices) -> None:
    allowed = {"changed": True, "machine": choices.allow_unlike_machines, "settings": choices.allow_unlike_settings}
    unlike = tuple(one for one in found if not allowed[one.kind])
    if not unlike:
        return
    kinds = {one.kind for one in unlike}
    remedies = {"machine": "on one kind of machine", "settings": "with the same settings"}
    options = {"machine": "--allow-unlike-machines", "settings": "--allow-unlike-settings"}
    raise Unlike(
        "\n".join(sentence(one) for one in unlike)
        + f"\nMeasure both {' and '.join(text for kind, text in remedies.items() if kind in kinds)}, or"
        f" compare them anyway with {' '.join(text for kind, text in options.items() if kind in kinds)}:"
        " every output says so.",
        unlike,
    )


@dataclass(frozen=True)
class _Family:
    """Store what all cells are judged by.

    `between` maps a cell key to how much its campaigns differ; it is empty without a history.
    """

    effect: float
    alpha: float
    between: Mapping[str, Between]


@dataclass(frozen=True)
class _Match:
    """Store a cell of either run, or of both."""

    key: str
    old: CellResult | None
    new: CellResult | None

    @property
    def launches(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return means_of(self.old), means_of(self.new)


def _matched(old: Sequence[CellResult], new: Sequence[CellResult]) -> Iterator[_Match]:
    before, after = ({cell.key: cell for cell in cells} for cells in (old, new))
    for key in dict.fromkeys([*before, *after]):
        yield _Match(key, before.get(key), after.get(key))


def _check_measured(old: Side, new: Side, matched: Sequence[_Match], choices: Choices) -> None:
    if not any(means_of(match.old) for match in matched):
        raise CannotRun(
            f"{old.folder}: expected measured cells to compare with, found none. Give another run's folder."
        )
    lost = any(means_of(match.old) and (match.new is not None or not choices.allow_missing) for match in matched)
    if not lost:
        raise Unlike(
            f"{new.folder}: expected cells of {old.folder}, found none in common "
            f"({named([cell.key for cell in new.summary.cells])}). Cells are matched by their names: "
            "candidate, execution, precision and workers. Keep these, or give another run's folder."
        )


def _confidence(side: Side) -> float:
    return stopping.confidence(side.summary.measurement.launches, side.summary.measurement.max_launches)


def _judged(matched: Sequence[_Match], family: _Family, allow_missing: bool) -> tuple[list[GateCell], float]:
    """Return every cell, and the level of the intervals.

    Only cells with two launches on each side belong to the family.
    """
    testable = {match.key: match.launches for match in matched if min(map(len, match.launches)) >= 2}
    tests, level = tested(testable, family.between, family.alpha)
    cells = []
    for match in matched:
        if match.key in tests:
            cells.append(_compared(match, tests[match.key], level, family))
        else:
            cells.append(_not_compared(match, allow_missing))
    return cells, level


def _compared(match: _Match, found: Tested, level: float, family: _Family) -> GateCell:
    ratio, campaigns = found.test.ratio(level), family.between.get(match.key)
    verdict, reason = judge(ratio, family.effect)
    if verdict == "slower":
        reason = f"the step time grew by {ratio.value - 1:.1%}"
    elif verdict == "inconclusive" and campaigns is not None:
        spread = math.sqrt(campaigns.variance)
        reason = f"the interval is wider than the minimum effect of {family.effect:.1%}; campaigns vary by {spread:.1%}"
    return GateCell(
        verdict=verdict,
        reason=reason,
        fails=verdict == "slower",
        ratio=ratio,
        p_value=found.test.p_value,
        p_adjusted=found.p_adjusted,
        campaign_spread=None if campaigns is None else math.sqrt(campaigns.variance),
        campaigns=0 if campaigns is None else campaigns.campaigns,
        **_figures(match, campaigns),
    )


def _not_compared(match: _Match, allow_missing: bool) -> GateCell:
    verdict, reason, fails = _why_not(match, allow_missing)
    ratio = None
    if match.old and match.new and match.old.step_seconds and match.new.step_seconds:
        value = match.new.step_seconds.mean.value / match.old.step_seconds.mean.value
        ratio = Estimate(value=value, low=None, high=None)
    return GateCell(verdict=verdict, reason=reason, fails=fails, ratio=ratio, **_figures(match))


def _why_not(match: _Match, allow_missing: bool) -> tuple[Verdict, str, bool]:
    """Return verdict and reason of a cell that is not compared, and whether it fails the gate.

    A cell that ran and no longer runs fails the gate: otherwise what is broken would count as not slower. A cell whose
    every launch was disturbed by others still runs.
    """
    old, new = means_of(match.old), means_of(match.new)
    if old and new:
        return (
            "inconclusive",
            f"a comparison needs two launches on each side, found {len(old)} in old and {len(new)} in new",
            False,
        )
    if old and match.new is None:
        return "missing in new", "the new scenario does not ask for this cell", not allow_missing
    if old and match.new is not None:
        disturbed = match.new.disturbance.launches_disturbed and not match.new.launches_failed
        return ("inconclusive", match.new.state, False) if disturbed else ("no longer runs", match.new.state, True)
    if new:
        return (
            "not measured in old",
            match.old.state if match.old else "the old scenario did not ask for this cell",
            False,
        )
    either = match.new or match.old
    return "measured in neither", either.state if either else "", False


def _figures(match: _Match, campaigns: Between | None = None) -> dict[str, Any]:
    lent = campaigns is not None and campaigns.campaigns < 2
    old, new = (cell.step_seconds if cell else None for cell in (match.old, match.new))
    return {
        "key": match.key,
        "old_seconds": old.mean.value if old else None,
        "new_seconds": new.mean.value if new else None,
        "old_launches": len(means_of(match.old)),
        "new_launches": len(means_of(match.new)),
        "notes": _both(list(_notes(match.old)), list(_notes(match.new))) + ((_LENT,) if lent else ()),
    }


def _both(old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """Return the notes, each with the side or sides that it is about."""
    sides = {note: " and ".join(["old"] * (note in old) + ["new"] * (note in new)) for note in (*old, *new)}
    return tuple(f"{side}: {note}" for note, side in sides.items())


def _notes(cell: CellResult | None) -> Iterator[str]:
    """Yield what to know about a side's figures.

    They are judged all the same, since a cell is compared with its own past.
    """
    if cell is None or cell.step_seconds is None:
        return
    if cell.verdict == "undecided":
        yield "whether the cell's launches are steady is undecided"
    elif cell.verdict != "steady" or cell.launches_failed:
        yield cell.state
    if cell.refused_by_parity:
        yield f"parity: {cell.parity}"


def _side(side: Side) -> GateSide:
    return GateSide(
        folder=side.folder,
        scenario=side.summary.scenario,
        scenario_digest=side.summary.scenario_digest,
        stepmark_version=side.summary.stepmark_version,
        host=side.run.environment.host,
    )
