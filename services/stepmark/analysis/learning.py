"""Derive from the records of `time-to-accuracy` how soon each cell reaches the target, and whether all end alike.

Cells are compared within blocks, in which all have the same initial weights and the same samples in the same order.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from stepmark.analysis.compare import Verdict, parity_of
from stepmark.analysis.intervals import Estimate, arithmetic_mean, typical
from stepmark.analysis.pairs import pairs
from stepmark.analysis.step_times import SummaryModel
from stepmark.analysis.within_blocks import Sides, judged
from stepmark.plan.cells import Cell
from stepmark.results.certificate import Certificate
from stepmark.results.environment import Environment
from stepmark.results.learning import LearningRecord, LearningRecords, LearningReport
from stepmark.scenario.model import Scenario

Figure = Literal["steps", "seconds", "joules", "accuracy"]
FIGURES: tuple[Figure, ...] = get_args(Figure)

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
    only if all did. `problem` says why the cell is unsupported, or is the cause of the first launch that failed.
    """

    cell: str
    state: State
    steps: Estimate | None = None
    seconds: Estimate | None = None
    joules: Estimate | None = None
    accuracy: Estimate | None = None
    launches: int = 0
    reached: int = 0
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


@dataclass(frozen=True)
class _Trained:
    """Store one launch: what it began from, its final accuracy, and the figures at the target, None if not reached."""

    began_from: tuple[str, str, str]
    accuracy: float
    at_target: Mapping[Figure, float] | None


_Launches = Mapping[str, Mapping[int, _Trained]]
"""The launches that did not fail, by cell and block."""


def learning_summary(scenario: Scenario, records: LearningRecords) -> LearningSummary:
    """Return what the launches of this scenario, which has a target, say."""
    target = scenario.spec.target
    assert target.accuracy is not None
    trained = _trained(records.launches, target.accuracy)
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


def _trained(records: Iterable[LearningRecord], accuracy: float) -> _Launches:
    found: dict[str, dict[int, _Trained]] = defaultdict(dict)
    for record in records:
        if record.ranks:
            found[record.cell][record.block] = _launch(record.ranks, accuracy)
    return found


def _launch(ranks: Sequence[LearningReport], accuracy: float) -> _Trained:
    """Join the ranks of a launch. A window lasts as long as on its slowest rank, and takes the energy of all ranks."""
    labels = ranks[0].test_labels
    seconds = np.max([[one.nanoseconds for one in rank.evaluations] for rank in ranks], axis=0).cumsum() / 1e9
    known = all(one.joules is not None for rank in ranks for one in rank.evaluations)
    joules = np.sum([[one.joules or 0.0 for one in rank.evaluations] for rank in ranks], axis=0).cumsum()
    correct = [one.correct for one in ranks[0].evaluations]
    reached = next((index for index, count in enumerate(correct) if count >= accuracy * labels), None)
    at_target: dict[Figure, float] | None = None
    if reached is not None:
        at_target = {"steps": float(ranks[0].evaluations[reached].steps), "seconds": float(seconds[reached])}
        at_target |= {"joules": float(joules[reached])} if known and joules[reached] > 0 else {}
    # A launch that predicts nothing right is counted as if it did half a label, since its logarithm is taken.
    return _Trained(ranks[0].began_from, max(correct[-1], 0.5) / labels, at_target)


def _result(cell: Cell, records: Sequence[LearningRecord], launches: Mapping[int, _Trained]) -> LearningResult:
    if cell.unsupported is not None:
        return LearningResult(cell=cell.key, state="unsupported", problem=cell.unsupported)
    own = [record for record in records if record.cell == cell.key]
    problem = next((record.failure.cause for record in own if record.failure is not None), "")
    if not launches:
        return LearningResult(cell=cell.key, state="failed", problem=problem)
    reached = sum(one.at_target is not None for one in launches.values())
    whole = reached == len(launches)
    at_target = {figure: _figure(launches, figure) for figure in ("steps", "seconds", "joules")} if whole else {}
    return LearningResult(
        cell=cell.key,
        state="failed" if problem else ("reached" if whole else "not reached"),
        **{figure: _typical(values, len(launches)) for figure, values in at_target.items()},
        accuracy=_mean_share([one.accuracy for one in launches.values()]),
        launches=len(launches),
        reached=reached,
        problem=problem,
    )


def _mean_share(values: Sequence[float]) -> Estimate:
    """Return the mean of shares, with an interval that holds no value that a share cannot have."""
    mean = arithmetic_mean(np.array(values))
    if mean.low is None or mean.high is None:
        return mean
    return Estimate(value=mean.value, low=max(mean.low, 0.0), high=min(mean.high, 1.0))


def _typical(values: Mapping[int, float], launches: int) -> Estimate | None:
    return typical(np.array(list(values.values()))) if len(values) == launches else None


def _figure(launches: Mapping[int, _Trained], figure: Figure) -> dict[int, float]:
    """Return a figure by block, of the launches that have it."""
    if figure == "accuracy":
        return {block: one.accuracy for block, one in launches.items()}
    return {
        block: one.at_target[figure]
        for block, one in launches.items()
        if one.at_target is not None and figure in one.at_target
    }


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


def _comparisons(scenario: Scenario, records: LearningRecords, trained: _Launches) -> Iterator[LearningComparison]:
    for figure in FIGURES:
        cases = list(_cases(scenario, records, trained, figure))
        yield from _judged(figure, cases, scenario)


def _cases(scenario: Scenario, records: LearningRecords, trained: _Launches, figure: Figure) -> Iterator[_Case]:
    certificates = {certificate.cell: certificate for certificate in records.certificates}
    compared = {(pair.cell.key, pair.base.key): pair for pair in pairs(scenario, records.cells)}
    for (cell, base), pair in compared.items():
        ours, theirs = trained.get(cell, {}), trained.get(base, {})
        figures = _figure(ours, figure), _figure(theirs, figure)
        if not ours or not theirs or (figure == "joules" and not (figures[0] and figures[1])):
            continue
        parity, comparable = parity_of(pair.cell, pair.base, certificates)
        withheld = _other_beginnings(ours, theirs)
        if figure != "accuracy":  # Where parity fails, accuracies are compared to show what that costs.
            withheld = withheld or _not_reached(cell, base, trained)
            if not withheld and scenario.spec.parity == "required" and not comparable:
                withheld = f"parity is required and not proven: {parity}"
        yield _Case(cell, base, *figures, parity, _largest_error(certificates, cell, base), withheld)


def _other_beginnings(ours: Mapping[int, _Trained], theirs: Mapping[int, _Trained]) -> str:
    """Return that two cells of a block were not given the same work; empty if they were."""
    other = [block for block in ours.keys() & theirs.keys() if ours[block].began_from != theirs[block].began_from]
    return f"in {len(other)} blocks the two began from other weights, samples or orders" if other else ""


def _not_reached(cell: str, base: str, trained: _Launches) -> str:
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
