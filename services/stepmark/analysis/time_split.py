"""Where a cell's steps spend their time and which ranks are slow, from the parts that its launches timed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stepmark.analysis.breakdown import Breakdown, breakdown
from stepmark.analysis.stragglers import StragglerReport, straggler_report
from stepmark.results.record import PartName, Parts, RankReport

_NS = 1e9

Ranks = Sequence[RankReport]


def time_split(launches: Sequence[Ranks]) -> tuple[Breakdown | None, str]:
    """The split over all launches that timed their parts, or why there is none."""
    missing = (rank.parts.missing for ranks in launches for rank in ranks if rank.parts is not None)
    if reason := next(filter(None, missing), ""):
        return None, reason
    timed = [parts for launch in launches if (parts := _parts(launch)) is not None]
    if not timed:
        return None, "no launch timed the parts of its step"
    seconds = {name: _samples(timed, name) for name in _NAMES}
    if len(timed[0]) == 1:
        seconds["all_reduce"] = None  # it moves nothing
    whole, alone = seconds["step"], seconds["step_without_reduce"]
    if whole is None or alone is None:
        return None, "not every rank timed the step with and without its exchange"
    split = breakdown(
        step=whole,
        step_without_reduce=alone,
        forward_backward=seconds["forward_backward"],
        update=seconds["update"],
        input_wait=seconds["input"],
        isolated_all_reduce=seconds["all_reduce"],
        reduced_bytes=timed[0][0].reduced_bytes,
    )
    return split, ""


def stragglers(launches: Sequence[Ranks]) -> StragglerReport | None:
    """Slow ranks by their steps without the exchange, in which nobody waits for anybody; None for one rank."""
    timed = [(launch, parts) for launch in launches if (parts := _parts(launch)) is not None]
    alone = _samples([parts for _, parts in timed], "step_without_reduce") if timed else None
    if alone is None or len(alone) < 2:
        return None
    return straggler_report(alone, [rank.host for rank in timed[0][0]])


_NAMES: tuple[PartName, ...] = ("step", "step_without_reduce", "forward_backward", "update", "input", "all_reduce")


def _parts(ranks: Ranks) -> list[Parts] | None:
    """One for each rank, or None."""
    found = [rank.parts for rank in ranks if rank.parts is not None]
    return found if found and len(found) == len(ranks) else None


def _samples(timed: Sequence[Sequence[Parts]], name: PartName) -> NDArray[np.float64] | None:
    """Seconds, shape (ranks, samples of all launches); None where a rank has none, or another number of them."""
    rows = [[parts.nanoseconds.get(name, ()) for parts in ranks] for ranks in timed]
    if any(not row or len(row) != len(ranks[0]) for ranks in rows for row in ranks):
        return None
    return np.concatenate([np.array(ranks, dtype=np.float64) for ranks in rows], axis=1) / _NS
