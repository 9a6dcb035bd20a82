"""Derive from one launch of `time-to-accuracy` what it took to the target, and where it ended."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from stepmark.analysis.interference import disturbed_because
from stepmark.results.learning import LearningRecord, LearningReport

Figure = Literal["steps", "seconds", "joules", "accuracy"]
FIGURES: tuple[Figure, ...] = get_args(Figure)


@dataclass(frozen=True)
class Trained:
    """Store one launch: what it began from, its final accuracy, and the figures at the target, None if not reached.

    A launch that others disturbed has steps at the target, and neither seconds nor joules.
    """

    began_from: tuple[str, str, str]
    accuracy: float
    at_target: Mapping[Figure, float] | None
    disturbed: bool


Launches = Mapping[str, Mapping[int, Trained]]
"""The launches that did not fail, by cell and block."""


def trained_launches(records: Iterable[LearningRecord], accuracy: float) -> Launches:
    """Return what the launches that did not fail took to this accuracy, by cell and block."""
    found: dict[str, dict[int, Trained]] = defaultdict(dict)
    for record in records:
        if record.ranks:
            disturbed = disturbed_because(record) is not None
            found[record.cell][record.block] = _launch(record.ranks, accuracy, disturbed)
    return found


def _launch(ranks: Sequence[LearningReport], accuracy: float, disturbed: bool) -> Trained:
    """Join the ranks of a launch. A window lasts as long as on its slowest rank, and takes the energy of all ranks."""
    labels = ranks[0].test_labels
    seconds = np.max([[one.nanoseconds for one in rank.evaluations] for rank in ranks], axis=0).cumsum() / 1e9
    known = all(one.joules is not None for rank in ranks for one in rank.evaluations)
    joules = np.sum([[one.joules or 0.0 for one in rank.evaluations] for rank in ranks], axis=0).cumsum()
    correct = [one.correct for one in ranks[0].evaluations]
    reached = next((index for index, count in enumerate(correct) if count >= accuracy * labels), None)
    at_target: dict[Figure, float] | None = None
    if reached is not None:
        at_target = {"steps": float(ranks[0].evaluations[reached].steps)}
        if not disturbed:
            at_target |= {"seconds": float(seconds[reached])}
            at_target |= {"joules": float(joules[reached])} if known and joules[reached] > 0 else {}
    # A launch that predicts nothing right is counted as if it did half a label, since its logarithm is taken.
    return Trained(ranks[0].began_from, max(correct[-1], 0.5) / labels, at_target, disturbed)


def figure_of(launches: Mapping[int, Trained], figure: Figure) -> dict[int, float]:
    """Return a figure by block, of the launches that have it."""
    if figure == "accuracy":
        return {block: one.accuracy for block, one in launches.items()}
    return {
        block: one.at_target[figure]
        for block, one in launches.items()
        if one.at_target is not None and figure in one.at_target
    }
