"""Is a candidate faster than the reference? Paired by block, with a minimum effect."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from stepmark.analysis.intervals import Estimate, paired_ratio
from stepmark.analysis.stopping import confidence
from stepmark.plan.cells import Cell
from stepmark.results.certificate import Certificate
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
    parity: str
    verdict: Verdict
    reason: str


def comparisons(
    scenario: Scenario,
    cells: tuple[Cell, ...],
    medians: Mapping[str, dict[int, float]],
    certificates: Mapping[str, Certificate],
) -> Iterator[Comparison]:
    """Every comparison that the scenario asks for.

    `medians`: cell key -> block -> median step seconds of good launches. `certificates`: by cell key.
    """
    for pair in pairs(scenario, cells):
        yield _comparison(scenario, pair, medians, certificates)


@dataclass(frozen=True)
class Pair:
    """A cell and the reference's cell that it is compared with, at a level that both stand for."""

    level: str
    cell: Cell
    base: Cell


def pairs(scenario: Scenario, cells: tuple[Cell, ...]) -> Iterator[Pair]:
    """Every pair that the scenario asks for."""
    reference = scenario.spec.candidates[0].name
    for cell in cells:
        if cell.candidate == reference:
            continue
        for base in cells:
            alike = (base.precision, base.workers) == (cell.precision, cell.workers)
            for level in [level for level in cell.levels if level in base.levels]:
                if base.candidate == reference and alike:
                    yield Pair(level, cell, base)


def _comparison(
    scenario: Scenario,
    pair: Pair,
    medians: Mapping[str, dict[int, float]],
    certificates: Mapping[str, Certificate],
) -> Comparison:
    cell, base = pair.cell, pair.base
    ours, theirs = medians.get(cell.key, {}), medians.get(base.key, {})
    measurement = scenario.spec.measurement
    ratio = paired_ratio(ours, theirs, confidence(measurement.launches, measurement.max_launches))
    verdict, reason = judge(ratio, measurement.minimum_effect)
    parity, comparable = _parity(cell, base, certificates)
    if scenario.spec.parity == "required" and not comparable:
        verdict, reason = "inconclusive", f"parity is required, and not proven: {parity}"
    return Comparison(
        candidate=cell.candidate,
        reference=base.candidate,
        execution=pair.level,
        candidate_execution=cell.execution,
        reference_execution=base.execution,
        precision=cell.precision,
        workers=cell.workers,
        ratio=ratio,
        blocks=len(ours.keys() & theirs.keys()),
        parity=parity,
        verdict=verdict,
        reason=reason,
    )


def _parity(cell: Cell, base: Cell, certificates: Mapping[str, Certificate]) -> tuple[str, bool]:
    """What is proven of both sides, in words, and whether they may be compared. A cell that cannot run has no proof."""
    sides = {side.key: certificates.get(side.key) for side in (cell, base)}
    notes = [
        f"{key}: {certificate.text if certificate else 'not checked'}"
        for key, certificate in sides.items()
        if certificate is None or certificate.badge != "certified"
    ]
    comparable = all(certificate is not None and certificate.comparable for certificate in sides.values())
    return "; ".join(notes) or "certified", comparable


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
