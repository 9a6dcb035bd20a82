"""Draw scaling curves: a line for each candidate with its interval as a band, and the ideal."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from stepmark.analysis.cells import CellResult
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.scaling import Scaling
from stepmark.report.plots.svg import Axis, element, linear_axis

_WIDTH, _HEIGHT = 440, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 12, 44
_MARKS = ("M-4 0A4 4 0 1 0 4 0A4 4 0 1 0 -4 0Z", "M-4 -4H4V4H-4Z", "M0 -5L5 4H-5Z", "M0 -5L5 0L0 5L-5 0Z")


@dataclass(frozen=True)
class Curve:
    """Store one candidate at one execution; `colour` is its number in the whole report."""

    name: str
    colour: int
    cells: tuple[CellResult, ...]


@dataclass(frozen=True)
class _Frame:
    x: Axis
    y: Axis

    def place(self, workers: int, value: float) -> tuple[float, float]:
        across, up = self.x.at(workers) / 100, self.y.at(value) / 100
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)


def speedups(curves: Sequence[Curve], title: str, name: str) -> Markup:
    """Draw speed-up against workers, both logarithmic: the ideal is the diagonal."""
    counts = _workers(curves)
    lowest = min([_low(point.speedup) for curve in curves for point in _points(curve)] + [1.0])
    low = 2.0 ** math.floor(math.log2(max(lowest, 0.25)))
    high = max([counts[-1], 2.0, *(min(_high(p.speedup), 2.0 * counts[-1]) for c in curves for p in _points(c))])
    ticks = tuple(2.0**power for power in range(round(math.log2(low)), math.floor(math.log2(high)) + 1))
    frame = _Frame(_worker_axis(counts), Axis(low, high, ticks, log=True))
    ideal = [(counts[0], float(counts[0])), (counts[-1], float(counts[-1]))]
    return _panel(frame, curves, lambda s: s.speedup, ideal, title, name, "{:g}")


def efficiencies(curves: Sequence[Curve], title: str) -> Markup:
    """Draw efficiency against workers, from 0."""
    counts = _workers(curves)
    high = max([1.1, *(min(_high(p.efficiency), 1.5) for c in curves for p in _points(c))])
    frame = _Frame(_worker_axis(counts), linear_axis(0.0, high, wanted=6, tight=True))
    ideal = [(counts[0], 1.0), (counts[-1], 1.0)]
    return _panel(frame, curves, lambda s: s.efficiency, ideal, title, "efficiency", "{:.0%}")


def _points(curve: Curve) -> list[Scaling]:
    return [cell.scaling for cell in curve.cells if cell.scaling is not None]


def _workers(curves: Sequence[Curve]) -> list[int]:
    return sorted({point.workers for curve in curves for point in _points(curve)})


def _worker_axis(counts: list[int]) -> Axis:
    return Axis(counts[0], max(counts[-1], counts[0] + 1), tuple(map(float, counts)), log=True)


def _low(estimate: Estimate) -> float:
    return estimate.value if estimate.low is None else estimate.low


def _high(estimate: Estimate) -> float:
    return estimate.value if estimate.high is None else estimate.high


def _panel(
    frame: _Frame,
    curves: Sequence[Curve],
    figure: Callable[[Scaling], Estimate],
    ideal: list[tuple[int, float]],
    title: str,
    name: str,
    form: str,
) -> Markup:
    bands = [_band(frame, curve, figure) for curve in curves]
    lines = [part for curve in curves for part in _line(frame, curve, figure)]
    dotted = element("polyline", points=_path(frame, ideal), class_="ideal")
    about = f"{name} against the number of workers; the bands are 95 % intervals, the dashed line is the ideal"
    texts = (element("title", title), element("desc", about))
    body = (*_grid(frame, name, form), *bands, dotted, *lines)
    return element("svg", *texts, *body, class_="panel", role="img", viewBox=f"0 0 {_WIDTH} {_HEIGHT}")


def _grid(frame: _Frame, name: str, form: str) -> list[Markup]:
    bottom, drawn = _HEIGHT - _BOTTOM, []
    for tick in frame.y.ticks:
        y = frame.place(int(frame.x.low), tick)[1]
        drawn.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
        drawn.append(element("text", form.format(tick), x=_LEFT - 7, y=y + 4, text_anchor="end", class_="tick"))
    for tick in frame.x.ticks:
        x = frame.place(int(tick), frame.y.low)[0]
        drawn.append(element("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="base"))
        drawn.append(element("text", f"{tick:g}", x=x, y=bottom + 18, text_anchor="middle", class_="tick"))
    drawn.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=bottom, y2=bottom, class_="base"))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    drawn.append(element("text", "workers", x=middle, y=_HEIGHT - 6, text_anchor="middle", class_="axis-name"))
    return drawn


def _band(frame: _Frame, curve: Curve, figure: Callable[[Scaling], Estimate]) -> Markup:
    found = [(point.workers, figure(point)) for point in _points(curve)]
    known = [(n, e.low, e.high) for n, e in found if e.low is not None and e.high is not None]
    if len(known) < 2:
        return Markup("")
    around = [(n, high) for n, _, high in known] + [(n, low) for n, low, _ in reversed(known)]
    return element("polygon", points=_path(frame, around), class_=f"band {colour_class(curve.colour)}")


def _line(frame: _Frame, curve: Curve, figure: Callable[[Scaling], Estimate]) -> list[Markup]:
    found = [(point.workers, figure(point).value) for point in _points(curve)]
    line = element("polyline", points=_path(frame, found), class_=f"line {colour_class(curve.colour)}")
    return [line, *(_mark(frame.place(n, value), curve.colour) for n, value in found)]


def _mark(place: tuple[float, float], colour: int) -> Markup:
    where = f"translate({place[0]:.1f} {place[1]:.1f})"
    return element("path", d=mark_path(colour), transform=where, class_=f"point {colour_class(colour)}")


def _path(frame: _Frame, points: Sequence[tuple[int, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in (frame.place(n, value) for n, value in points))


def mark_path(colour: int) -> str:
    """Return the shape of a candidate's marks, so that candidates can be told apart without colours."""
    return _MARKS[colour % len(_MARKS)]


def colour_class(colour: int) -> str:
    """Return the class of a colour; the style sheet has eight colours."""
    return f"c{colour % 8}"
