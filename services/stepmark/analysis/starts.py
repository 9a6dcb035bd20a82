"""Derive from the records of `first-step` how long each cell takes to its first finished step, and who is earlier."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from pydantic import BaseModel, ConfigDict

from stepmark.analysis.compare import Verdict
from stepmark.analysis.intervals import Estimate, paired_ratio, typical
from stepmark.analysis.pairs import pairs
from stepmark.analysis.within_blocks import Sides, judged
from stepmark.plan.cells import Cell
from stepmark.results.starts import StartRecord, StartReport, Starts
from stepmark.scenario.model import Scenario
from stepmark.terms import StartKind

KINDS: tuple[StartKind, ...] = get_args(StartKind)


class StartResult(BaseModel):
    """Store how long the starts of one cell took that are of one kind.

    `seconds` is the time from the process's start to its first finished step, as a script of a user takes it, of the
    slowest rank. `interpreter`, `imports`, `build` and `first_step` are the medians of its parts, and `own_imports`
    that of stepmark's own imports, which is part of no other figure. `of_cold` is the ratio to the cold start of the
    same block. All are None where every start failed. `starts` counts those that did not; `problem` is the cause of the
    first that did, or empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: str
    kind: StartKind
    seconds: Estimate | None
    interpreter: float | None = None
    imports: float | None = None
    build: float | None = None
    first_step: float | None = None
    own_imports: float | None = None
    of_cold: Estimate | None = None
    starts: int
    problem: str = ""


class StartComparison(BaseModel):
    """Store how a cell's seconds to the first step compare with those of the cell that it is compared with.

    `ratio` is the cell's seconds over the other's within blocks; below 1 the cell is earlier.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: str
    reference: str
    kind: StartKind
    ratio: Estimate | None
    blocks: int
    verdict: Verdict
    reason: str


class StartSummary(BaseModel):
    """Store all results of one `first-step`. All its comparisons are one family (`families`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    results: tuple[StartResult, ...]
    comparisons: tuple[StartComparison, ...]


_Good = Mapping[tuple[str, StartKind], Mapping[int, StartReport]]
"""The slowest rank's report of each start that did not fail, by cell and kind, then by block."""


def start_summary(scenario: Scenario, starts: Starts) -> StartSummary:
    """Return what the starts of this scenario say."""
    good = _good(starts.starts)
    made = [(cell.key, kind) for cell in starts.cells for kind in KINDS if _of(starts.starts, cell.key, kind)]
    results = tuple(_result(key, kind, _of(starts.starts, key, kind), good) for key, kind in made)
    cases = list(_cases(scenario, starts.cells, made, good))
    effect = scenario.spec.measurement.minimum_effect
    return StartSummary(results=results, comparisons=tuple(_judged(cases, effect)))


def _good(records: Iterable[StartRecord]) -> _Good:
    found: dict[tuple[str, StartKind], dict[int, StartReport]] = defaultdict(dict)
    for record in records:
        if record.slowest is not None:
            found[record.cell, record.kind][record.block] = record.slowest
    return found


def _of(records: Sequence[StartRecord], cell: str, kind: StartKind) -> list[StartRecord]:
    return [record for record in records if (record.cell, record.kind) == (cell, kind)]


def _seconds(good: _Good, cell: str, kind: StartKind) -> dict[int, float]:
    return {block: report.script_seconds for block, report in good.get((cell, kind), {}).items()}


def _result(cell: str, kind: StartKind, records: list[StartRecord], good: _Good) -> StartResult:
    problem = next((record.failure.cause for record in records if record.failure is not None), "")
    seconds = _seconds(good, cell, kind)
    if not seconds:
        return StartResult(cell=cell, kind=kind, seconds=None, starts=0, problem=problem)
    reports = good[cell, kind].values()
    parts = ("interpreter", "imports", "build", "first_step", "own_imports")
    return StartResult(
        cell=cell,
        kind=kind,
        seconds=typical(np.array(list(seconds.values()))),
        **{part: float(np.median([getattr(report, part) for report in reports])) for part in parts},
        of_cold=None if kind == "cold" else paired_ratio(seconds, _seconds(good, cell, "cold")),
        starts=len(seconds),
        problem=problem,
    )


@dataclass(frozen=True)
class _Case:
    """Store one comparison before it is judged. The seconds are by block."""

    cell: str
    reference: str
    kind: StartKind
    ours: Mapping[int, float]
    theirs: Mapping[int, float]


def _cases(
    scenario: Scenario, cells: tuple[Cell, ...], made: list[tuple[str, StartKind]], good: _Good
) -> Iterator[_Case]:
    for cell, base in dict.fromkeys((pair.cell.key, pair.base.key) for pair in pairs(scenario, cells)):
        for kind in KINDS:
            if (cell, kind) in made and (base, kind) in made:
                yield _Case(cell, base, kind, _seconds(good, cell, kind), _seconds(good, base, kind))


def _judged(cases: Sequence[_Case], minimum_effect: float) -> Iterator[StartComparison]:
    """Judge those with enough blocks as one family. Of the others nothing is claimed, whatever their figures are."""
    found = judged([Sides(case.ours, case.theirs) for case in cases], minimum_effect, "starts")
    for case, one in zip(cases, found, strict=True):
        yield StartComparison(
            cell=case.cell,
            reference=case.reference,
            kind=case.kind,
            ratio=one.ratio,
            blocks=one.blocks,
            verdict=one.verdict,
            reason=one.reason,
        )
