"""Derive from the records of `time-to-accuracy` how soon each cell reaches the target, and whether all end alike.

Cells are compared within blocks, in which all have the same initial weights and the same samples in the same order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stepmark.analysis.compare import Verdict, parity_of
from stepmark.analysis.intervals import Estimate, arithmetic_mean, typical
from stepmark.analysis.learning_launches import FIGURES, Figure, Launches, Trained, figure_of, trained_launches
from stepmark.analysis.pairs import pairs
from stepmark.analysis.step_times import SummaryModel
from stepmark.analysis.within_blocks import Sides, judged
from stepmark.plan.cells import Cell
from stepmark.results.certificate import Certificate
from stepmark.results.environment import Environment
from stepmark.results.learning import LearningRecord, LearningRecords
from stepmark.scenario.model import Scenario

State = Literal["reached", "not reached", "failed", "unsupported"]
LearningVerdict = Literal[
    "fewer", "more", "faster", "slower", "less", "lower", "higher", "no measurable difference", "inconclusive"
]
_BELOW_AND_ABOVE: dict[Figure, tuple[LearningVerdict, LearningVerdict]] = {
    "steps": ("fewer", "more"),
    "seconds": ("faster", "slower"),
    "joules": ("less", "more"),
    "accuracy": ("lower", "higher"),
}


class LearningResult(SummaryModel):
    """Store when one cell reached the target, and what it reached in the end.

    `steps`, `seconds` and `joules` are those until the first evaluation at which the target was reached, and are None
    unless every launch reached it; joules are None on CPU cores too. `accuracy` is that after the last step. `launches`
    counts the launches that did not fail, and `reached` those of them that reached the target. `state` is `reached`
    only if all did. `disturbed` counts the launches from which others took more of the cores than the scenario allows:
    their seconds and joules count nowhere. `problem` says why the cell is unsupported, or is the cause of the first
    launch that failed.
    """

    cell: str
    state: State
    steps: Estimate | None = None
    seconds: Estimate | None = None
    joules: Estimate | None = None
    accuracy: Estimate | None = None
    launches: int = 0
    reached: int = 0
    disturbed: int = 0
    problem: str = ""


class LearningComparison(SummaryModel):
    """Store how a figure of a cell compares with that of the cell that it is compared with.

    `ratio` is the cell's figure over the other's within blocks. `parity` says what is proven of both sides, and
    `parity_error` is the largest error in their certificates, None where there is none.
    """

    cell: str
    reference: str
    figure: Figure
    ratio: Estimate | None
    blocks: int
    verdict: LearningVerdict
    reason: str
    parity: str
    parity_error: float | None


class LearningSummary(SummaryModel):
    """Store all results of one `time-to-accuracy`, whose target is `accuracy`.

    The comparisons of one figure are a family (`families`).
    """

    kind: Literal["time-to-accuracy"] = "time-to-accuracy"
    scenario: str
    scenario_digest: str
    stepmark_version: str
    started_at: str | None
    accuracy: float
    evaluate_every_steps: int
    max_steps: int
    train_samples: int | None
    test_samples: int | None
    learning_rate: float | None
    blocks: int
    results: tuple[LearningResult, ...]
    comparisons: tuple[LearningComparison, ...]
    certificates: tuple[Certificate, ...]
    environment: Environment


def learning_summary(scenario: Scenario, records: LearningRecords) -> LearningSummary:
    """Return what the launches of this scenario, which has a target, say."""
    target = scenario.spec.target
    assert target.accuracy is not None
    trained = trained_launches(records.launches, target.accuracy)
    first = next((rank for launch in records.launches for rank in launch.ranks), None)
    return LearningSummary(
        scenario=scenario.name,
        scenario_digest=records.scenario_digest,
        stepmark_version=records.stepmark_version,
        started_at=min((launch.started_at for launch in records.launches), default=None),
        accuracy=target.accuracy,
        evaluate_every_steps=target.evaluate_every_steps,
        max_steps=target.max_steps,
        train_samples=None if first is None else first.train_samples,
        test_samples=None if first is None else first.test_samples,
        learning_rate=None if first is None else first.learning_rate,
        blocks=records.blocks,
        results=tuple(_result(cell, records.launches, trained.get(cell.key, {})) for cell in records.cells),
        comparisons=tuple(_comparisons(scenario, records, trained)),
        certificates=records.certificates,
        environment=records.environment,
    )


def _result(cell: Cell, records: Sequence[LearningRecord], launches: Mapping[int, Trained]) -> LearningResult:
    if cell.unsupported is not None:
        return LearningResult(cell=cell.key, state="unsupported", problem=cell.unsupported)
    own = [record for record in records if record.cell == cell.key]
    problem = next((record.failure.cause for record in own if record.failure is not None), "")
    if not launches:
        return LearningResult(cell=cell.key, state="failed", problem=problem)
    reached = sum(one.at_target is not None for one in launches.values())
    disturbed = sum(one.disturbed for one in launches.values())
    whole = reached == len(launches)
    at_target = {figure: figure_of(launches, figure) for figure in ("steps", "seconds", "joules")} if whole else {}
    return LearningResult(
        cell=cell.key,
        state="failed" if problem else ("reached" if whole else "not reached"),
        **{
            figure: _typical(values, len(launches) - (0 if figure == "steps" else disturbed))
            for figure, values in at_target.items()
        },
        accuracy=_mean_share([one.accuracy for one in launches.values()]),
        launches=len(launches),
        reached=reached,
        disturbed=disturbed,
        problem=problem,
    )


def _mean_share(values: Sequence[float]) -> Estimate:
    """Return the mean of shares, with an interval that holds no value that a share cannot have."""
    mean = arithmetic_mean(np.array(values))
    if mean.low is None or mean.high is None:
        return mean
    return Estimate(value=mean.value, low=max(mean.low, 0.0), high=min(mean.high, 1.0))


def _typical(values: Mapping[int, float], launches: int) -> Estimate | None:
    return typical(np.array(list(values.values()))) if 0 < len(values) == launches else None


@dataclass(frozen=True)
class _Case:
    """Store one comparison before it is judged.

    The figures are by block, and `withheld` says why nothing is claimed whatever they are, or is empty.
    """

    cell: str
    reference: str
    ours: Mapping[int, float]
    theirs: Mapping[int, float]
    parity: str
    parity_error: float | None
    withheld: str


def _comparisons(scenario: Scenario, records: LearningRecords, trained: Launches) -> Iterator[LearningComparison]:
    for figure in FIGURES:
        cases = list(_cases(scenario, records, trained, figure))
        yield from _judged(figure, cases, scenario)


def _cases(scenario: Scenario, records: LearningRecords, trained: Launches, figure: Figure) -> Iterator[_Case]:
    certificates = {certificate.cell: certificate for certificate in records.certificates}
    compared = {(pair.cell.key, pair.base.key): pair for pair in pairs(scenario, records.cells)}
    for (cell, base), pair in compared.items():
        ours, theirs = trained.get(cell, {}), trained.get(base, {})
        figures = figure_of(ours, figure), figure_of(theirs, figure)
        if not ours or not theirs or (figure == "joules" and not (figures[0] and figures[1])):
            continue
        parity, comparable = parity_of(pair.cell, pair.base, certificates)
        withheld = _other_beginnings(ours, theirs)
        if figure != "accuracy":  # Where parity fails, accuracies are compared to show what that costs.
            withheld = withheld or _not_reached(cell, base, trained)
            if not withheld and scenario.spec.parity == "required" and not comparable:
                withheld = f"parity is required and not proven: {parity}"
        yield _Case(cell, base, *figures, parity, _largest_error(certificates, cell, base), withheld)


def _other_beginnings(ours: Mapping[int, Trained], theirs: Mapping[int, Trained]) -> str:
    """Return that two cells of a block were not given the same work; empty if they were."""
    other = [block for block in ours.keys() & theirs.keys() if ours[block].began_from != theirs[block].began_from]
    return f"in {len(other)} blocks the two began from other weights, samples or orders" if other else ""


def _not_reached(cell: str, base: str, trained: Launches) -> str:
    """Return how often the target was reached where it was not always; empty if it was."""
    counts = {key: [one.at_target is not None for one in trained[key].values()] for key in (cell, base)}
    if all(map(all, counts.values())):
        return ""
    return "; ".join(f"{key} reached the target in {sum(one)} of {len(one)} launches" for key, one in counts.items())


def _largest_error(certificates: Mapping[str, Certificate], *cells: str) -> float | None:
    stages = [stage for cell in cells if cell in certificates for stage in certificates[cell].stages]
    return max((stage.figures.worst for stage in stages), default=None)


def _judged(figure: Figure, cases: Sequence[_Case], scenario: Scenario) -> Iterator[LearningComparison]:
    sides = [Sides(case.ours, case.theirs, case.withheld) for case in cases]
    found = judged(sides, scenario.spec.measurement.minimum_effect, "launches")
    below, above = _BELOW_AND_ABOVE[figure]
    for case, one in zip(cases, found, strict=True):
        verdicts: dict[Verdict, LearningVerdict] = {
            "faster": below,
            "slower": above,
            "no measurable difference": "no measurable difference",
            "inconclusive": "inconclusive",
        }
        yield LearningComparison(
            cell=case.cell,
            reference=case.reference,
            figure=figure,
            ratio=one.ratio,
            blocks=one.blocks,
            verdict=verdicts[one.verdict],
            reason=one.reason,
            parity=case.parity,
            parity_error=case.parity_error,
        )
