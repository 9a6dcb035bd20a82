"""Judge figures that are compared within blocks, as one family, where a launch has one figure and no windows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stepmark.analysis.compare import BLOCKS_LEAST, Verdict, judge
from stepmark.analysis.families import TESTED_AT, family
from stepmark.analysis.intervals import Estimate, paired_ratio, ratios_within_blocks


@dataclass(frozen=True)
class Sides:
    """Hold the positive figures of both sides by block, and why nothing is claimed whatever they are, or nothing."""

    ours: Mapping[int, float]
    theirs: Mapping[int, float]
    withheld: str = ""


@dataclass(frozen=True)
class Judged:
    """Store what is said of one comparison: the ratio of our figure to theirs, and `faster` where it is below 1."""

    ratio: Estimate | None
    blocks: int
    verdict: Verdict
    reason: str


def judged(cases: Sequence[Sides], minimum_effect: float, what: str) -> Iterator[Judged]:
    """Yield the verdict of each case. Those with enough blocks are one family, and of the others nothing is claimed.

    `what` is what has the figures, in the plural, for the reasons.
    """
    logs = [np.log(ratios_within_blocks(case.ours, case.theirs)) for case in cases]
    members = [index for index, one in enumerate(logs) if len(one) >= BLOCKS_LEAST and not cases[index].withheld]
    tested = family([logs[index] for index in members]) if members else None
    for index, case in enumerate(cases):
        if tested is None or index not in members:
            few = f"a claim needs {BLOCKS_LEAST} blocks with both sides, and there are {len(logs[index])}"
            ratio = paired_ratio(case.ours, case.theirs)
            yield Judged(ratio, len(logs[index]), "inconclusive", case.withheld or few)
            continue
        place = members.index(index)
        ratio = tested.tests[place].ratio(tested.interval_level)
        verdict, reason = judge(ratio, minimum_effect)
        if verdict in ("faster", "slower") and tested.p_adjusted[place] > TESTED_AT:
            verdict, reason = "inconclusive", f"{what} lie at two levels; more blocks would show which is typical"
        yield Judged(ratio, len(logs[index]), verdict, reason)
