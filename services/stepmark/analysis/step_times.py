"""Reduce the step times of a cell's launches to its typical step, its rate and their intervals."""

import numpy as np
from pydantic import BaseModel, ConfigDict

from stepmark.analysis.intervals import Estimate, typical
from stepmark.analysis.launch import LaunchSummary
from stepmark.plan.cells import Cell


class SummaryModel(BaseModel):
    """Serve as the base of the models of a summary: frozen, no extra fields, infinities as strings in JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class StepSeconds(SummaryModel):
    """Store the step times of a cell, in seconds.

    `median` is the launch median of a typical launch, with its 95 % interval over blocks from `low` to `high`. `mean`
    is the same of launch means, which include slow steps. Percentiles are of all steady steps of all launches;
    `percentiles` holds all from 0 to 100. `launch_medians` and `launch_means` are what the intervals are computed from,
    in the order of the blocks. `median_after_first` is what the common rule of dropping the first ten steps of each
    window would have given; None where a window has no more. Where a launch timed stretches of several steps only, it
    and all percentiles are None, and its median is that of the stretches, over their number of steps.
    """

    median: float
    low: float | None
    high: float | None
    mean: Estimate
    p5: float | None
    p95: float | None
    p99: float | None
    percentiles: tuple[float, ...] | None
    launch_medians: tuple[float, ...]
    launch_means: tuple[float, ...]
    median_after_first: float | None

    @property
    def estimate(self) -> Estimate:
        """Return the median with its interval."""
        return Estimate(value=self.median, low=self.low, high=self.high)


class Rate(SummaryModel):
    """Store the samples per second of a typical launch, over all workers, with its 95 % interval over blocks."""

    median: float
    low: float | None
    high: float | None


def step_seconds_of(good: list[LaunchSummary], level: float) -> StepSeconds:
    """Return the step times of a cell from its good launches. Intervals are drawn at `level`."""
    medians = np.array([launch.median_step_seconds for launch in good])
    means = np.array([launch.mean_step_seconds for launch in good])
    estimate = _possible(typical(medians, level), *_fastest_and_slowest(good))
    percentiles = _percentiles(good)
    p5, p95, p99 = (None,) * 3 if percentiles is None else (percentiles[5], percentiles[95], percentiles[99])
    after_first = [launch.steady.median_after_first_seconds for launch in good]
    known = [seconds for seconds in after_first if seconds is not None]
    return StepSeconds(
        median=estimate.value,
        low=estimate.low,
        high=estimate.high,
        mean=_possible(typical(means, level), *_fastest_and_slowest(good)),
        p5=p5,
        p95=p95,
        p99=p99,
        percentiles=percentiles,
        launch_medians=tuple(medians.tolist()),
        launch_means=tuple(means.tolist()),
        median_after_first=typical(np.array(known)).value if len(known) == len(good) else None,
    )


def _percentiles(good: list[LaunchSummary]) -> tuple[float, ...] | None:
    """Return all percentiles of the single steps from 0 to 100, or None where a launch did not time them."""
    known = [launch.single_step_seconds for launch in good if launch.single_step_seconds is not None]
    if len(known) != len(good):
        return None
    return tuple(np.percentile(np.concatenate(known), np.arange(101)).tolist())


def _fastest_and_slowest(good: list[LaunchSummary]) -> tuple[float, float]:
    """Return the least and the most seconds per step from any stamp to the next."""
    return min(float(one.step_seconds.min()) for one in good), max(float(one.step_seconds.max()) for one in good)


def rate_of(cell: Cell, good: list[LaunchSummary], level: float) -> Rate:
    """Return the samples per second of a cell from its good launches. Its interval is drawn at `level`."""
    fastest, slowest = _fastest_and_slowest(good)
    found = typical(np.array([launch.samples_per_second for launch in good]), level)
    found = _possible(found, cell.global_batch / slowest, cell.global_batch / fastest)
    return Rate(median=found.value, low=found.low, high=found.high)


def _possible(found: Estimate, least: float, most: float) -> Estimate:
    """Limit an interval to the range of the steps: few launches that differ much give one that no step supports."""
    if found.low is None or found.high is None:
        return found
    low, high = min(max(found.low, least), found.value), max(min(found.high, most), found.value)
    return Estimate(value=found.value, low=low, high=high)
