"""Show the runs of one scenario over time: the figures of each cell, and marks where something changed.

A mark at a cell is what the gate would claim about a run against the one before, with the gate's own statistics: Holm's
procedure over the cells of the two runs, and the minimum effect. Many runs make many tests, each pair with its own 5 %.
The runs before a run are the gate's history, as far back as the last mark beside which something else is recorded to
have changed, since such a change is not chance between campaigns. Where these runs are too few there is no history, and
chance may be marked.
"""

from collections.abc import Sequence
from typing import Literal

from stepmark.analysis.alike import Difference, Side, differences
from stepmark.analysis.cells import CellResult, CellVerdict
from stepmark.analysis.earlier import LEAST, MOST_EARLIER
from stepmark.analysis.gate import Choices, Unlike, gate
from stepmark.analysis.gate_report import GateCell, sentence
from stepmark.analysis.step_times import Rate, SummaryModel
from stepmark.errors import CannotRun

_EVERYTHING = Choices(allow_unlike_machines=True, allow_unlike_settings=True, allow_missing=True)
_UNMARKED = ("host", "measurement.seed")  # a pod's name is new in every run, and a seed explains no change

Change = Literal["faster", "slower", "no longer runs"]
_CHANGES: dict[str, Change] = {"faster": "faster", "slower": "slower", "no longer runs": "no longer runs"}


class HistoryRun(SummaryModel):
    """Store one run. `changed` lists what differs in software, settings or machine from the run before, in words."""

    run_id: str
    ended_at: float
    host: str
    stepmark_version: str
    changed: tuple[str, ...]


class HistoryPoint(SummaryModel):
    """Store one cell in one run.

    `change` is that from the run before, where the gate claims one; `text` says why.
    """

    run_id: str
    verdict: CellVerdict
    samples_per_second: Rate | None
    change: Change | None
    text: str


class HistoryCell(SummaryModel):
    """Store the points of one cell in the order of the runs; a run that did not ask for the cell has none."""

    key: str
    candidate: str
    points: tuple[HistoryPoint, ...]


class History(SummaryModel):
    """Store the history of one scenario, oldest run first."""

    scenario: str
    runs: tuple[HistoryRun, ...]
    cells: tuple[HistoryCell, ...]


def history(scenario: str, sides: Sequence[tuple[Side, float]]) -> History:
    """Return the history of runs, given with the times of their ends, oldest first.

    A side's `folder` is its run's name.
    """
    runs: list[HistoryRun] = []
    points: dict[str, list[HistoryPoint]] = {}
    level: list[Side] = []  # the runs before, since the last mark that has a reason
    for side, ended_at in sides:
        changed, claims = _against(level, side) if level else ([], {})
        told = tuple(map(_told, (one for one in changed if one.field not in _UNMARKED)))
        if told and any(claim.verdict in ("faster", "slower") for claim in claims.values()):
            level = []
        runs.append(
            HistoryRun(
                run_id=side.folder,
                ended_at=ended_at,
                host=side.run.environment.host,
                stepmark_version=side.run.stepmark_version,
                changed=told,
            )
        )
        for cell in side.summary.cells:
            points.setdefault(cell.key, []).append(_point(side.folder, cell, claims.get(cell.key)))
        level.append(side)
    candidates = {cell.key: cell.candidate for side, _ in sides for cell in side.summary.cells}
    cells = tuple(HistoryCell(key=k, candidate=candidates[k], points=tuple(found)) for k, found in points.items())
    return History(scenario=scenario, runs=tuple(runs), cells=cells)


def _against(before: Sequence[Side], new: Side) -> tuple[Sequence[Difference], dict[str, GateCell]]:
    """Return the differences from the last run before, and the gate's answer for each cell.

    There are no answers where the gate cannot compare the two runs.
    """
    old, earlier = before[-1], before[-1 - MOST_EARLIER : -1]
    try:
        report = gate(old, new, _EVERYTHING, earlier if len(earlier) >= LEAST else ())
    except (Unlike, CannotRun):
        return differences(old, new), {}
    return (*report.unlike, *report.changed), {cell.key: cell for cell in report.cells}


def _told(one: Difference) -> str:
    """Describe a difference as from what to what: over time neither side is the one that was expected."""
    kind = "" if one.kind == "changed" else f"{one.kind}: "
    return kind + sentence(one.model_copy(update={"kind": "changed"}))


def _point(run_id: str, cell: CellResult, claim: GateCell | None) -> HistoryPoint:
    change = _CHANGES.get(claim.verdict) if claim is not None else None
    return HistoryPoint(
        run_id=run_id,
        verdict=cell.verdict,
        samples_per_second=cell.samples_per_second,
        change=change,
        text=_why(claim) if claim is not None and change is not None else "",
    )


def _why(claim: GateCell) -> str:
    if claim.ratio is None or claim.verdict == "no longer runs":
        return claim.reason
    effect = claim.ratio.value - 1
    return f"{abs(effect):.1%} {'more' if effect > 0 else 'less'} time per step"
