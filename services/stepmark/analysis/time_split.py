"""Find where a cell's steps spend their time and which ranks are slow, from the parts that its launches timed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepmark.analysis.breakdown import Breakdown, breakdown, launch_split
from stepmark.analysis.stragglers import StragglerReport, straggler_report
from stepmark.results.record import PartName, Parts, RankReport

_NS = 1e9


@dataclass(frozen=True)
class LaunchParts:
    """Store what is kept of one launch's parts. `step_seconds` is the median step of its window.

    `medians` holds medians by part, of shape (ranks,). `alone` holds the seconds of the steps without exchange, of
    shape (ranks, samples); None where they were not timed. `missing` says why there is no split, or is empty.
    """

    block: int
    step_seconds: float
    hosts: tuple[str, ...]
    medians: dict[PartName, NDArray[np.float64]]
    alone: NDArray[np.float32] | None
    reduced_bytes: int | None
    missing: str


def launch_parts(block: int, step_seconds: float, ranks: Sequence[RankReport]) -> LaunchParts | None:
    """Return what is kept of a launch's parts; None where a rank has no parts and none says why."""
    found = [rank.parts for rank in ranks if rank.parts is not None]
    missing = next((parts.missing for parts in found if parts.missing), "")
    if not found or (len(found) != len(ranks) and not missing):
        return None
    whole = len(found) == len(ranks)
    samples = {name: rows for name in found[0].nanoseconds if whole and (rows := _samples(found, name)) is not None}
    alone = samples.get("step_without_reduce")
    return LaunchParts(
        block=block,
        step_seconds=step_seconds,
        hosts=tuple(rank.host for rank in ranks),
        medians={name: np.median(rows, axis=1) for name, rows in samples.items()},
        alone=None if alone is None else alone.astype(np.float32),
        reduced_bytes=found[0].reduced_bytes,
        missing=missing,
    )


def time_split(launches: Sequence[LaunchParts], confidence: float) -> tuple[Breakdown | None, str]:
    """Return the split over all launches that timed their parts, or None and why there is none."""
    whole = [one for one in launches if not one.missing]
    if not whole:
        return None, next((one.missing for one in launches), "no launch timed the parts of its step")
    timed = [one for one in whole if {"step", "step_without_reduce"} <= one.medians.keys()]
    if not timed:
        return None, "not every rank timed the step with and without its exchange"
    splits = [
        launch_split(
            step=one.medians["step"],
            step_without_reduce=one.medians["step_without_reduce"],
            step_without_update=_without_update(one.medians),
            input_wait=one.medians.get("input"),
            isolated_all_reduce=one.medians.get("all_reduce") if len(one.hosts) > 1 else None,  # one moves nothing
            reduced_bytes=one.reduced_bytes,
        )
        for one in timed
    ]
    return breakdown(splits, [one.step_seconds for one in timed], confidence), ""


def stragglers(launches: Sequence[LaunchParts]) -> StragglerReport | None:
    """Find slow ranks by their steps without the exchange, in which no rank waits for another; None for one rank."""
    timed = [(one.block, one.alone) for one in launches if one.alone is not None and len(one.hosts) > 1]
    if not timed:
        return None
    blocks, alone = zip(*timed, strict=True)
    return straggler_report(alone, launches[0].hosts, blocks)


def _without_update(medians: dict[PartName, NDArray[np.float64]]) -> NDArray[np.float64] | None:
    """Return the medians of the step without exchange and update; None where they were not timed.

    Records of schema 3 have forward and backward on batches that are placed already.
    """
    found = medians.get("step_without_update")
    if found is None and "forward_backward" in medians:
        return medians["forward_backward"] + medians.get("input", 0.0)
    return found


def _samples(ranks: Sequence[Parts], name: PartName) -> NDArray[np.float64] | None:
    """Return seconds, of shape (ranks, samples); None where a rank has none, or another number of them."""
    rows = [parts.nanoseconds.get(name, ()) for parts in ranks]
    if any(not row or len(row) != len(rows[0]) for row in rows):
        return None
    return np.array(rows, dtype=np.float64) / _NS
