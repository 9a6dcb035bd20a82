"""Plots of a cell's throughput over the runs of its scenario, with intervals and marks where something changed."""

from dataclasses import dataclass

from markupsafe import Markup

from stepmark.analysis.history import History, HistoryCell, HistoryPoint
from stepmark.analysis.step_times import Rate
from stepmark.hub.pages.words import moment
from stepmark.report.plots.curves import colour_class, mark_path
from stepmark.report.plots.svg import Axis, element, linear_axis

_WIDTH, _HEIGHT = 440, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 18, 34
_UP, _DOWN = "M0 -7L6 4H-6Z", "M0 7L6 -4H-6Z"


@dataclass(frozen=True)
class Chart:
    """The plot of one cell, with the number of its candidate's colour."""

    cell: HistoryCell
    colour: int
    drawing: Markup


@dataclass(frozen=True)
class _Frame:
    """The axes of a plot. Runs are placed by their number: by time, pauses would press busy days together."""

    places: dict[str, float]
    y: Axis

    def up(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - self.y.at(value) / 100 * (_HEIGHT - _TOP - _BOTTOM)


def charts(history: History) -> list[Chart]:
    """Return a plot for each cell that was ever measured."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(cell.candidate for cell in history.cells))}
    return [
        Chart(cell, numbers[cell.candidate], _chart(history, cell, numbers[cell.candidate]))
        for cell in history.cells
        if any(point.samples_per_second for point in cell.points)
    ]


def _chart(history: History, cell: HistoryCell, colour: int) -> Markup:
    points = [(point, point.samples_per_second) for point in cell.points if point.samples_per_second is not None]
    ends = [end for _, rate in points for end in (rate.median, rate.low, rate.high) if end is not None]
    frame = _Frame(_places(history), linear_axis(max(0.0, min(ends)), max(ends), wanted=4))
    drawn = [part for point, rate in points for part in _point(frame, point, rate, colour)]
    about = "samples per second, oldest run first, with 95 % intervals; the axis need not begin at zero"
    texts = (element("title", f"{cell.key} over {len(points)} runs"), element("desc", about))
    body = (*_grid(frame), *_changes(history, frame), _line(frame, points, colour), *drawn, *_dates(history))
    return element("svg", *texts, *body, class_="panel", role="img", viewBox=f"0 0 {_WIDTH} {_HEIGHT}")


def _places(history: History) -> dict[str, float]:
    across = (_WIDTH - _LEFT - _RIGHT) / max(len(history.runs), 1)
    return {run.run_id: _LEFT + across * (index + 0.5) for index, run in enumerate(history.runs)}


def _grid(frame: _Frame) -> list[Markup]:
    drawn = []
    for tick in frame.y.ticks:
        y = frame.up(tick)
        drawn.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
        drawn.append(element("text", f"{tick:,.6g}", x=_LEFT - 7, y=y + 4, text_anchor="end", class_="tick"))
    return drawn


def _changes(history: History, frame: _Frame) -> list[Markup]:
    """Return a line for each run whose software, settings or machine differ from those of the run before."""
    return [
        element(
            "line", element("title", "; ".join(run.changed)), x1=frame.places[run.run_id], x2=frame.places[run.run_id],
            y1=_TOP - 8, y2=_HEIGHT - _BOTTOM, class_="changed",
        )
        for run in history.runs
        if run.changed
    ]  # fmt: skip


def _line(frame: _Frame, points: list[tuple[HistoryPoint, Rate]], colour: int) -> Markup:
    path = " ".join(f"{frame.places[p.run_id]:.1f},{frame.up(rate.median):.1f}" for p, rate in points)
    return element("polyline", points=path, class_=f"line thin {colour_class(colour)}")


def _point(frame: _Frame, point: HistoryPoint, rate: Rate, colour: int) -> list[Markup]:
    x, y = frame.places[point.run_id], frame.up(rate.median)
    drawn = []
    if rate.low is not None and rate.high is not None:
        drawn.append(element("line", x1=x, x2=x, y1=frame.up(rate.low), y2=frame.up(rate.high), class_="whisker"))
    shape = {"faster": _UP, "slower": _DOWN}.get(point.change or "", mark_path(colour))
    kind = {"faster": "good", "slower": "bad"}.get(point.change or "", colour_class(colour))
    claim = f"; {point.change}: {point.text}" if point.change else ""
    text = element("title", f"{point.run_id}: {rate.median:,.6g}{claim}")
    where = f"translate({x:.1f} {y:.1f})"
    return [*drawn, element("path", text, d=shape, transform=where, class_=f"point {kind}")]


def _dates(history: History) -> list[Markup]:
    bottom = _HEIGHT - _BOTTOM
    base = element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=bottom, y2=bottom, class_="base")
    first, last = (moment(history.runs[index].ended_at)[:10] for index in (0, -1))
    ends = [element("text", first, x=_LEFT, y=_HEIGHT - 12, text_anchor="start", class_="tick")]
    if len(history.runs) > 1:
        ends.append(element("text", last, x=_WIDTH - _RIGHT, y=_HEIGHT - 12, text_anchor="end", class_="tick"))
    return [base, *ends]
