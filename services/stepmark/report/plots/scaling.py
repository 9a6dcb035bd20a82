"""Draw scaling curves: a line for each candidate with its interval as a band, and the ideal."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from stepmark.analysis.cells import CellResult
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.scaling import Scaling
from stepmark.report.plots.curves import Frame, Line, draw, high, low
from stepmark.report.plots.svg import Axis, linear_axis


@dataclass(frozen=True)
class Curve:
    """Store one candidate at one execution; `colour` is its number in the whole report."""

    name: str
    colour: int
    cells: tuple[CellResult, ...]


def speedups(curves: Sequence[Curve], title: str, name: str) -> Markup:
    """Draw speed-up against workers, both logarithmic: the ideal is the diagonal."""
    counts = _workers(curves)
    lowest = min([low(point.speedup) for curve in curves for point in _points(curve)] + [1.0])
    least = 2.0 ** math.floor(math.log2(max(lowest, 0.25)))
    most = max([counts[-1], 2.0, *(min(high(p.speedup), 2.0 * counts[-1]) for c in curves for p in _points(c))])
    ticks = tuple(2.0**power for power in range(round(math.log2(least)), math.floor(math.log2(most)) + 1))
    frame = _frame(counts, Axis(least, most, ticks, log=True), "{:g}")
    ideal = [(float(counts[0]), float(counts[0])), (float(counts[-1]), float(counts[-1]))]
    return _panel(frame, curves, lambda s: s.speedup, ideal, title, name)


def efficiencies(curves: Sequence[Curve], title: str) -> Markup:
    """Draw efficiency against workers, from 0."""
    counts = _workers(curves)
    most = max([1.1, *(min(high(p.efficiency), 1.5) for c in curves for p in _points(c))])
    frame = _frame(counts, linear_axis(0.0, most, wanted=6, tight=True), "{:.0%}")
    ideal = [(float(counts[0]), 1.0), (float(counts[-1]), 1.0)]
    return _panel(frame, curves, lambda s: s.efficiency, ideal, title, "efficiency")


def _points(curve: Curve) -> list[Scaling]:
    return [cell.scaling for cell in curve.cells if cell.scaling is not None]


def _workers(curves: Sequence[Curve]) -> list[int]:
    return sorted({point.workers for curve in curves for point in _points(curve)})


def _frame(counts: list[int], y: Axis, form: str) -> Frame:
    x = Axis(counts[0], max(counts[-1], counts[0] + 1), tuple(map(float, counts)), log=True)
    return Frame(x, y, "workers", "{:g}".format, form.format)


def _panel(
    frame: Frame,
    curves: Sequence[Curve],
    figure: Callable[[Scaling], Estimate],
    ideal: list[tuple[float, float]],
    title: str,
    name: str,
) -> Markup:
    lines = [Line(curve.colour, tuple((float(p.workers), figure(p)) for p in _points(curve))) for curve in curves]
    about = f"{name} against the number of workers; the bands are 95 % intervals, the dashed line is the ideal"
    return draw(frame, lines, ideal, title, about)
