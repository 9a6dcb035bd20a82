"""Is a candidate faster than the reference? Paired by block, with a minimum effect."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from stepmark.analysis.intervals import Estimate, paired_ratio
from stepmark.plan.cells import Cell
from stepmark.scenario.model import Scenario

Verdict = Literal["faster", "slower", "no measurable difference", "inconclusive"]


class Comparison(BaseModel):
    """A candidate against the reference, the scenario's first candidate, at one level, precision and worker count.

    `ratio` is the candidate's median step time over the reference's: below 1 the candidate is faster.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate: str
    reference: str
    execution: str
    candidate_execution: str
    reference_execution: str
    precision: str
    workers: int
    ratio: Estimate | None
    blocks: int
    verdict: Verdict
    reason: str


def comparisons(
    scenario: Scenario, cells: tuple[Cell, ...], medians: dict[str, dict[int, float]]
) -> Iterator[Comparison]:
    """Every comparison that the scenario asks for.

    `medians`: cell key -> block -> median step seconds of good launches.
    """
    reference = scenario.spec.candidates[0].name
    for cell in cells:
        if cell.candidate == reference:
            continue
        for base in cells:
            alike = (base.precision, base.workers) == (cell.precision, cell.workers)
            for level in [level for level in cell.levels if level in base.levels]:
                if base.candidate == reference and alike:
                    yield _comparison(scenario, level, cell, base, medians)


def _comparison(
    scenario: Scenario, level: str, cell: Cell, base: Cell, medians: dict[str, dict[int, float]]
) -> Comparison:
    ours, theirs = medians.get(cell.key, {}), medians.get(base.key, {})
    ratio = paired_ratio(ours, theirs)
    verdict, reason = judge(ratio, scenario.spec.measurement.minimum_effect)
    if scenario.spec.parity == "required":
        verdict, reason = (
            "inconclusive",
            "parity is required, and there is no certificate that both train the same model",
        )
    return Comparison(
        candidate=cell.candidate,
        reference=base.candidate,
        execution=level,
        candidate_execution=cell.execution,
        reference_execution=base.execution,
        precision=cell.precision,
        workers=cell.workers,
        ratio=ratio,
        blocks=len(ours.keys() & theirs.keys()),
        verdict=verdict,
        reason=reason,
    )


def judge(ratio: Estimate | None, minimum_effect: float) -> tuple[Verdict, str]:
    """A difference is claimed only if the interval excludes 1 and the effect is at least the minimum.

    No difference is claimed only if the whole interval lies within the minimum effect; anything else is inconclusive.
    """
    if ratio is None or ratio.low is None or ratio.high is None:
        return "inconclusive", "fewer than two blocks have both"
    if ratio.excludes(1.0) and abs(np.log(ratio.value)) >= np.log1p(minimum_effect):
        return ("faster" if ratio.value < 1 else "slower"), ""
    if 1 / (1 + minimum_effect) <= ratio.low and ratio.high <= 1 + minimum_effect:
        return "no measurable difference", f"within {minimum_effect:.1%}"
    return (
        "inconclusive",
        f"the interval is wider than the {minimum_effect:.1%} that matter; more launches would narrow it",
    )
