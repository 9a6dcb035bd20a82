"""Predict step times at worker counts that were not measured, with bands and with what speaks against them.

The prediction is the weighted geometric mean of the models in `curves.py`. The band is that of `bands.py`, widened by
the measured intervals through a parametric bootstrap. benchmarks/forecast_backtest.py measures how good that is.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from stepmark.analysis import bands, curves
from stepmark.analysis.bands import Boundary, Mode

Array = NDArray[np.float64]

_RATIO_MOST, _SUPERLINEAR, _NOT_MONOTONE = 8.0, 1.05, 0.02
_NORMAL: dict[bands.Level, float] = {80: 1.2816, 95: 1.9600}
_DRAWS = 200


@dataclass(frozen=True)
class Point:
    """Store a measured worker count: `step_seconds` with its 95 % interval, whose ends are None where there is none.

    Any unit of time will do, if all points share it.
    """

    workers: int
    step_seconds: float
    low: float | None = None
    high: float | None = None

    @property
    def log_half_width(self) -> float:
        """Return half the interval's width on the log scale; 0 without an interval."""
        return 0.0 if self.low is None or self.high is None else math.log(self.high / self.low) / 2


def point_of_throughput(
    workers: int, samples_per_second: float, global_batch: float, low: float | None = None, high: float | None = None
) -> Point:
    """Return a point from the whole job's samples per second, with its interval, at `global_batch` samples per step."""

    def seconds(rate: float | None) -> float | None:
        return None if rate is None else global_batch / rate

    return Point(workers, global_batch / samples_per_second, seconds(high), seconds(low))


class Prediction(BaseModel):
    """Store the prediction for one target: step times in the points' unit, with 80 % and 95 % bands.

    `efficiency` is the per-worker speed relative to the smallest measured worker count. `ratio` is target / largest
    measured count; up to 1 the figure is measured or interpolated. `boundary` says whether the points crossed between
    nodes, where the target needs it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int
    step_seconds: float
    low_80: float
    high_80: float
    low_95: float
    high_95: float
    efficiency: float
    ratio: float
    boundary: Boundary
    warnings: tuple[str, ...]


def forecast(
    points: Sequence[Point], targets: Sequence[int], workers_per_node: int | None = None, mode: Mode = "weak"
) -> tuple[Prediction, ...]:
    """Return one prediction per target, in their order.

    `workers_per_node` None means unknown, and the bands widen. `mode` is weak for a constant batch per worker, and
    strong for a constant global batch. ValueError is raised for no points, for worker counts given twice or below 1,
    for times that are not positive and finite, and for targets below the smallest measured count.
    """
    curve = _Curve(_checked(points, targets), workers_per_node, mode)
    ahead = np.array(targets, dtype=np.float64)
    logs, spread = curve.predict(curve.seconds, ahead), curve.spread(ahead)
    general = tuple(curve.warnings())
    return tuple(
        _prediction(curve, target, float(log), float(sd), general)
        for target, log, sd in zip(targets, logs, spread, strict=True)
    )


def _checked(points: Sequence[Point], targets: Sequence[int]) -> tuple[Point, ...]:
    measured = tuple(sorted(points, key=lambda point: point.workers))
    if not measured:
        raise ValueError("expected at least one measured worker count, found none")
    if len({point.workers for point in measured}) < len(measured):
        raise ValueError("expected each worker count once, found one twice")
    if not all(0 < point.step_seconds < math.inf and point.workers >= 1 for point in measured):
        raise ValueError("expected positive finite step times and worker counts of at least 1, found others")
    if min(targets, default=measured[0].workers) < measured[0].workers:
        raise ValueError(
            f"expected targets of at least {measured[0].workers} workers, the smallest measured, found {min(targets)}"
        )
    return measured


@dataclass(frozen=True)
class _Curve:
    """Store the measured points, by worker count, and what is known about where they ran."""

    points: tuple[Point, ...]
    per_node: int | None
    mode: Mode

    @property
    def first(self) -> Point:
        return self.points[0]

    @property
    def last(self) -> Point:
        return self.points[-1]

    @property
    def seconds(self) -> Array:
        return np.array([point.step_seconds for point in self.points])

    def load(self, point: Point) -> float:
        """Return the worker time per unit of work, which is constant where scaling is ideal."""
        return point.step_seconds * (point.workers if self.mode == "strong" else 1)

    def predict(self, seconds: Array, targets: Array) -> Array:
        """Return log step seconds, of shape (targets,): the models beyond the largest point, log t over log n below it.

        On these axes ideal scaling is a straight line, weak and strong alike. Where the node size is not known, every
        worker counts as a node, which gives one flat topology.
        """
        workers = np.array([float(point.workers) for point in self.points])
        model = curves.weak if self.mode == "weak" else curves.strong
        logs, weights = model(workers, seconds, self.per_node or 1, targets)
        between = np.interp(np.log(targets), np.log(workers), np.log(seconds))
        network = [self._unseen_network(int(target)) for target in targets]
        return np.where(targets <= workers[-1], between, weights @ logs + network)

    def _unseen_network(self, target: int) -> float:
        """Return the log of the factor by which a network that was never crossed lengthens the step."""
        if self.per_node is None or self.mode == "strong" or self.boundary(target) != "unseen":
            return 0.0
        return bands.network(target / self.per_node)

    def spread(self, targets: Array) -> Array:
        """Return the standard deviation of the log prediction from the measured intervals, of shape (targets,).

        It is 0 without intervals.
        """
        errors = np.array([point.log_half_width / _NORMAL[95] for point in self.points])
        if not errors.any():
            return np.zeros_like(targets)
        noise = np.random.default_rng(0).standard_normal((_DRAWS, len(errors)))
        draws = self.seconds * np.exp(errors * noise)
        return np.std([self.predict(draw, targets) for draw in draws], axis=0)

    def boundary(self, target: int) -> Boundary:
        """Return whether a target needs the network between nodes, and whether the points crossed it."""
        if target <= self.last.workers:
            return "not needed"
        if self.per_node is None:
            return "unknown"
        if target <= self.per_node:
            return "not needed"
        return "seen" if self.last.workers > self.per_node else "unseen"

    def band(self, target: int, log_seconds: float, log_spread: float, level: bands.Level) -> tuple[float, float]:
        """Return the ends of the empirical band and the measured intervals together, in the points' unit.

        A network that was never crossed can only add time, so there the fast end is a known band below ideal scaling.
        """
        ratio = target / self.last.workers
        if ratio <= 1:
            ratio = min(max(target / point.workers, point.workers / target) for point in self.points)
        boundary = self.boundary(target)
        noise = _NORMAL[level] * log_spread
        log_loss = math.log(self.load(self.last) / self.load(self.first))
        half = math.hypot(bands.known(log_loss, ratio, level, boundary, self.mode), noise)
        low, high = log_seconds - half, log_seconds + half
        if boundary in ("unseen", "unknown"):
            ideal = math.log(self.last.step_seconds) - (math.log(ratio) if self.mode == "strong" else 0.0)
            wide = math.hypot(bands.unseen(ratio, level, self.mode), noise)
            low = min(low, max(log_seconds - wide, ideal - half))
            high = max(high, log_seconds + wide)
        return math.exp(low), math.exp(high)

    def warnings(self) -> Iterator[str]:
        """Yield what speaks against the curve as a whole."""
        if len(self.points) < 3:
            yield f"the forecast's models need three measured worker counts, found {len(self.points)}"
        best = max(self.load(self.first) / self.load(point) for point in self.points)
        if best > _SUPERLINEAR:
            yield (
                f"efficiency reaches {best:.0%} of that of the smallest count, {self.first.workers}, which more workers"
                " alone cannot give: check batch per worker, caches, input pipeline and clocks of the smallest cell"
            )
        for before, after in itertools.pairwise(self.points):
            if self.load(after) < self.load(before) * (1 - _NOT_MONOTONE) and not self._overlap(before, after):
                yield f"not monotone: {after.workers} workers are more efficient than {before.workers}"
            if self.load(after) / after.workers > self.load(before) / before.workers:
                yield f"not monotone: {after.workers} workers train fewer samples per second than {before.workers}"

    def _overlap(self, before: Point, after: Point) -> bool:
        """Return whether there are measured intervals that leave open which of the two is more efficient."""
        margin = math.hypot(before.log_half_width, after.log_half_width)
        return math.log(self.load(before) / self.load(after)) <= margin


def _prediction(
    curve: _Curve, target: int, log_seconds: float, log_spread: float, general: tuple[str, ...]
) -> Prediction:
    low_80, high_80 = curve.band(target, log_seconds, log_spread, 80)
    low_95, high_95 = curve.band(target, log_seconds, log_spread, 95)
    return Prediction(
        workers=target,
        step_seconds=math.exp(log_seconds),
        low_80=low_80,
        high_80=high_80,
        low_95=low_95,
        high_95=high_95,
        efficiency=curve.load(curve.first) / curve.load(Point(target, math.exp(log_seconds))),
        ratio=target / curve.last.workers,
        boundary=curve.boundary(target),
        warnings=(*_target_warnings(curve, target), *general),
    )


def _target_warnings(curve: _Curve, target: int) -> Iterator[str]:
    last, boundary = curve.last.workers, curve.boundary(target)
    if boundary == "unseen" and curve.per_node is not None:
        yield (
            f"{last} workers fit one node of {curve.per_node}, so nothing was measured between nodes, and the network"
            f" may be much slower than assumed here; measure {2 * curve.per_node} workers on two nodes"
        )
    if boundary == "unknown":
        yield f"how many workers share a node is unknown: {target} may need a network that {last} did not need"
    if target / last > _RATIO_MOST:
        yield f"{target} is {target / last:.3g} times the largest measured count, {last}: beyond 8 times is a guess"
