"""Say what batches of different lengths cost a cell, from its launches."""

from collections.abc import Sequence

import numpy as np

from stepmark.analysis.lengths import LaunchLengths
from stepmark.analysis.step_times import Rate, SummaryModel
from stepmark.results.shapes import Recompilations


class LengthFigures(SummaryModel):
    """Store what a cell's launches say of batches of different lengths, as `LaunchLengths` does.

    `tokens_per_second` counts real tokens over all workers, with its 95 % interval over blocks. Counts and seconds are
    medians over launches, of the rank with most.
    """

    shapes: int
    padding_ratio: float
    tokens_per_second: Rate
    recompiles: float | None
    graph_breaks: float | None
    compile_seconds: float | None
    first_visit_seconds: float | None


def length_figures(launches: Sequence[LaunchLengths], samples_per_second: Rate) -> LengthFigures | None:
    """Return the figures of a cell from those of its good launches, which had the same batches, and its rate.

    It is None where all samples have one length.
    """
    if not launches:
        return None
    first, rate = launches[0], samples_per_second.model_dump()
    tokens = {name: None if value is None else value * first.tokens_per_sample for name, value in rate.items()}
    return LengthFigures(
        shapes=first.shapes,
        padding_ratio=first.padding_ratio,
        tokens_per_second=Rate.model_validate(tokens),
        first_visit_seconds=_median([one.first_visit_seconds for one in launches]),
        **{
            name: _median([getattr(one.recompilations, name, None) for one in launches])
            for name in Recompilations.model_fields
        },
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
