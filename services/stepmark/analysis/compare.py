"""Decide whether a candidate is faster than the reference.

Ratios are paired by block, and all comparisons of a run are one family.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from stepmark.analysis.families import FAMILY_ERROR, TESTED_AT, Family, MedianShift, Paired, family
from stepmark.analysis.intervals import Estimate, paired_ratio, ratios_within_blocks
from stepmark.analysis.pairs import NOTHING, Measured, Pair, pairs
from stepmark.analysis.settling import WINDOWS_AHEAD, established_slope, log_change_ahead
from stepmark.plan.cells import Cell
from stepmark.results.certificate import Certificate
from stepmark.scenario.model import Scenario

BLOCKS_LEAST = 5  # with fewer, nothing is claimed: t has too few degrees of freedom, and two levels cannot be seen

Verdict = Literal["faster", "slower", "no measurable difference", "inconclusive"]


class Comparison(BaseModel):
    """Store how a candidate compares with the reference at one execution, precision, worker count and size.

    The reference is the scenario's first candidate, or what `spec.compare` says. `reference_precision` is the
    reference's precision, or None where it is `precision` too. `batch_per_worker` is None where the run has one batch.
    `ratio` is the candidate's mean time per step over the
    reference's, slow steps included; below 1 the candidate is faster. Its interval is drawn at the family's level, so
    that it excludes 1 where a difference is claimed. `median_ratio` is the ratio of their median steps;
    `slow_steps_matter` is true where the two ratios differ by more than the minimum effect. `p_adjusted` is the p-value
    after Holm's correction over the family; None outside it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate: str
    reference: str
    execution: str
    candidate_execution: str
    reference_execution: str
    precision: str
    reference_precision: str | None = None
    workers: int
    batch_per_worker: int | None = None
    message_bytes: int | None = None
    ratio: Estimate | None
    median_ratio: Estimate | None = None
    slow_steps_matter: bool = False
    p_value: float | None = None
    p_adjusted: float | None = None
    blocks: int
    parity: str
    verdict: Verdict
    reason: str


class FamilyFacts(BaseModel):
    """Store how a run's comparisons were corrected together.

    `size` counts the comparisons of the family, all with five blocks or more. At most a share `error` of runs claims
    anything that is not so; `tested_at` is the level that holds it (`families`). `interval_level` is the level of the
    ratios' intervals.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    error: float
    tested_at: float
    interval_level: float


def comparisons(
    scenario: Scenario,
    cells: tuple[Cell, ...],
    measured: Mapping[str, Measured],
    certificates: Mapping[str, Certificate],
) -> tuple[list[Comparison], FamilyFacts | None]:
    """Return every comparison that the scenario asks for, and how they were corrected; None where nothing could be.

    `measured` and `certificates` are by cell key. Pairs that lack five blocks, or a proof that is required, do not
    belong to the family: nothing is claimed about them, whatever their figures are.
    """
    found = [_Case.of(scenario, pair, measured, certificates) for pair in pairs(scenario, cells)]
    effect = scenario.spec.measurement.minimum_effect
    members = [case for case in found if not case.withheld]
    if not members:
        return [_told(case, None, effect) for case in found], None
    tested = family([case.logs() for case in members])
    tests = {id(case): index for index, case in enumerate(members)}
    results = [
        _told(case, None, effect) if case.withheld else _judged(case, tested, tests[id(case)], effect) for case in found
    ]
    facts = FamilyFacts(
        size=len(members),
        error=FAMILY_ERROR,
        tested_at=TESTED_AT,
        interval_level=tested.interval_level,
    )
    return results, facts


@dataclass(frozen=True)
class _Case:
    """Store one comparison before it is judged.

    `withheld` says why nothing is claimed whatever the figures are, or is empty.
    """

    pair: Pair
    ours: Measured
    theirs: Measured
    parity: str
    withheld: str

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        pair: Pair,
        measured: Mapping[str, Measured],
        certificates: Mapping[str, Certificate],
    ) -> "_Case":
        ours, theirs = measured.get(pair.cell.key, NOTHING), measured.get(pair.base.key, NOTHING)
        parity, comparable = parity_of(pair.cell, pair.base, certificates)
        case = cls(pair, ours, theirs, parity, "")
        if scenario.spec.parity == "required" and not comparable:
            return replace(case, withheld=f"parity is required and not proven: {parity}")
        blocks = len(case.common)
        if blocks < BLOCKS_LEAST:
            have = "1 block has" if blocks == 1 else f"{blocks} blocks have"
            return replace(case, withheld=f"{have} measured both sides, and a claim needs {BLOCKS_LEAST}")
        return case

    @property
    def common(self) -> list[int]:
        return sorted(self.ours.mean_seconds.keys() & self.theirs.mean_seconds.keys())

    def logs(self) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        """Return log ratios of mean step times, of shape (blocks,)."""
        return np.log(ratios_within_blocks(self.ours.mean_seconds, self.theirs.mean_seconds))


def _judged(case: _Case, tested: Family, index: int, minimum_effect: float) -> Comparison:
    test = tested.tests[index]
    ratio = test.ratio(tested.interval_level)
    verdict, reason = judge(ratio, minimum_effect)
    told = _told(case, ratio, minimum_effect).model_copy(
        update={"p_value": test.p_value, "p_adjusted": tested.p_adjusted[index]}
    )
    if verdict in ("faster", "slower", "no measurable difference"):
        against = _against(case, test, told, minimum_effect)
        verdict, reason = ("inconclusive", against) if against else (verdict, reason)
    return told.model_copy(update={"verdict": verdict, "reason": reason})


def _against(case: _Case, test: Paired, told: Comparison, minimum_effect: float) -> str:
    """Return why a claim is withheld that the interval alone would allow; empty if nothing speaks against it."""
    if isinstance(test, MedianShift) and told.p_adjusted is not None and told.p_adjusted > TESTED_AT:
        low, high = test.levels.low, test.levels.high
        return (
            f"launches lie at two levels, x {low:.3f} in {test.levels.count_low} blocks and x {high:.3f} in "
            f"{test.levels.count_high}; more launches would show which level is typical"
        )
    value, other = np.log(told.ratio.value), np.log(told.median_ratio.value)  # type: ignore[union-attr]
    return _means_and_medians(value, other, minimum_effect) or _still_changing(case, value, minimum_effect)


def _means_and_medians(mean: float, median: float, minimum_effect: float) -> str:
    """Return how means and medians disagree about a claim; empty if they agree.

    A claim about time per step must be true of a typical step too, otherwise a few slow steps could make it alone.
    """
    matters, apart = np.log1p(minimum_effect), abs(mean - median)
    agree = apart <= matters or (abs(mean) >= matters <= abs(median) and mean * median > 0)
    if agree:
        return ""
    return (
        f"mean and median step disagree: x {np.exp(mean):.3f} with slow steps, x {np.exp(median):.3f} in the median; "
        "look at the slow steps"
    )


def _still_changing(case: _Case, effect: float, minimum_effect: float) -> str:
    """Return why changing steps could explain a claim; empty if they could not.

    A claim must also hold if the established slopes went on, on either side or on both.
    """
    slopes = [established_slope(side.slopes) for side in (case.ours, case.theirs)]
    ours, theirs = map(log_change_ahead, slopes)
    outcomes = [effect + ours, effect - theirs, effect + ours - theirs]
    matters = np.log1p(minimum_effect)
    if abs(effect) < matters:
        holds = all(abs(outcome) < matters for outcome in outcomes)
    else:
        holds = all(outcome * effect > 0 and abs(outcome) >= matters for outcome in outcomes)
    if holds:
        return ""
    sides = zip((case.pair.cell.key, case.pair.base.key), slopes, strict=True)
    words = " and ".join(f"{key} by {np.expm1(slope):+.1%}" for key, slope in sides if slope)
    return (
        f"steps were still changing over the window ({words}); if that went on for {WINDOWS_AHEAD} windows, it could "
        "explain the difference: raise warmupSeconds"
    )


def _told(case: _Case, ratio: Estimate | None, minimum_effect: float) -> Comparison:
    """Return everything but the judgement. Without a `ratio` of the family, the plain ratio is computed."""
    pair = case.pair
    means = ratio if ratio is not None else paired_ratio(case.ours.mean_seconds, case.theirs.mean_seconds)
    medians = paired_ratio(case.ours.median_seconds, case.theirs.median_seconds)
    apart = abs(np.log(means.value / medians.value)) if means is not None and medians is not None else 0.0
    return Comparison(
        candidate=pair.cell.candidate,
        reference=pair.base.candidate,
        execution=pair.level,
        candidate_execution=pair.cell.execution,
        reference_execution=pair.base.execution,
        precision=pair.cell.precision,
        reference_precision=None if pair.base.precision == pair.cell.precision else pair.base.precision,
        workers=pair.cell.workers,
        batch_per_worker=pair.cell.batch_per_worker if pair.cell.several_batches else None,
        message_bytes=pair.cell.message_bytes,
        ratio=means,
        median_ratio=medians,
        slow_steps_matter=bool(apart > np.log1p(minimum_effect)),
        blocks=len(case.common),
        parity=case.parity,
        verdict="inconclusive",
        reason=case.withheld,
    )


def parity_of(cell: Cell, base: Cell, certificates: Mapping[str, Certificate]) -> tuple[str, bool]:
    """Return what is proven of both sides, in words, and whether they may be compared.

    A cell that cannot run has no proof.
    """
    sides = {side.key: certificates.get(side.key) for side in (cell, base)}
    notes = [
        f"{key}: {certificate.text if certificate else 'not checked'}"
        for key, certificate in sides.items()
        if certificate is None or certificate.badge != "certified"
    ]
    comparable = all(certificate is not None and certificate.comparable for certificate in sides.values())
    return "; ".join(notes) or "certified", comparable


def judge(ratio: Estimate | None, minimum_effect: float) -> tuple[Verdict, str]:
    """Return the verdict that an interval allows, and its reason.

    A difference is claimed only if the interval excludes 1 and the effect is at least the minimum. No measurable
    difference is claimed only if the whole interval lies within the minimum effect. Anything else is inconclusive.
    """
    if ratio is None or ratio.low is None or ratio.high is None:
        return "inconclusive", "fewer than two blocks have measured both sides"
    if ratio.excludes(1.0) and abs(np.log(ratio.value)) >= np.log1p(minimum_effect):
        return ("faster" if ratio.value < 1 else "slower"), ""
    if 1 / (1 + minimum_effect) <= ratio.low and ratio.high <= 1 + minimum_effect:
        return "no measurable difference", f"within {minimum_effect:.1%}"
    return (
        "inconclusive",
        f"the interval is wider than the minimum effect of {minimum_effect:.1%}; more launches would narrow it",
    )
