"""Draw curves: a line for each candidate with its interval as a band, and dashed lines to compare them with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from stepmark.analysis.intervals import Estimate
from stepmark.report.plots.svg import Axis, element

_WIDTH, _HEIGHT = 440, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 12, 44
_MARKS = ("M-4 0A4 4 0 1 0 4 0A4 4 0 1 0 -4 0Z", "M-4 -4H4V4H-4Z", "M0 -5L5 4H-5Z", "M0 -5L5 0L0 5L-5 0Z")


@dataclass(frozen=True)
class Line:
    """Store the points of one curve from left to right; `colour` is its number in the whole report."""

    colour: int
    points: tuple[tuple[float, Estimate], ...]


@dataclass(frozen=True)
class Frame:
    """Store the axes, their names, and how their ticks are written."""

    x: Axis
    y: Axis
    x_name: str
    x_text: Callable[[float], str]
    y_text: Callable[[float], str]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a value stands in the drawing."""
        across, up = self.x.at(x) / 100, self.y.at(y) / 100
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)


def draw(
    frame: Frame, lines: Sequence[Line], dashed: Sequence[tuple[float, float]], title: str, description: str
) -> Markup:
    """Draw the lines with their bands; `dashed` holds the points of a line to compare them with, or none."""
    bands = [_band(frame, line) for line in lines]
    drawn = [part for line in lines for part in _line(frame, line)]
    against = [element("polyline", points=_path(frame, dashed), class_="ideal")] if dashed else []
    texts = (element("title", title), element("desc", description))
    body = (*_grid(frame), *bands, *against, *drawn)
    return element("svg", *texts, *body, class_="panel", role="img", viewBox=f"0 0 {_WIDTH} {_HEIGHT}")


def low(estimate: Estimate) -> float:
    """Return the lower end of an interval, or the value where there is none."""
    return estimate.value if estimate.low is None else estimate.low


def high(estimate: Estimate) -> float:
    """Return the upper end of an interval, or the value where there is none."""
    return estimate.value if estimate.high is None else estimate.high


def _grid(frame: Frame) -> list[Markup]:
    bottom, drawn = _HEIGHT - _BOTTOM, []
    for tick in frame.y.ticks:
        y = frame.place(frame.x.low, tick)[1]
        drawn.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
        drawn.append(element("text", frame.y_text(tick), x=_LEFT - 7, y=y + 4, text_anchor="end", class_="tick"))
    for tick in frame.x.ticks:
        x = frame.place(tick, frame.y.low)[0]
        drawn.append(element("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="base"))
        drawn.append(element("text", frame.x_text(tick), x=x, y=bottom + 18, text_anchor="middle", class_="tick"))
    drawn.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=bottom, y2=bottom, class_="base"))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    drawn.append(element("text", frame.x_name, x=middle, y=_HEIGHT - 6, text_anchor="middle", class_="axis-name"))
    return drawn


def _band(frame: Frame, line: Line) -> Markup:
    known = [(x, e.low, e.high) for x, e in line.points if e.low is not None and e.high is not None]
    if len(known) < 2:
        return Markup("")
    around = [(x, high) for x, _, high in known] + [(x, low) for x, low, _ in reversed(known)]
    return element("polygon", points=_path(frame, around), class_=f"band {colour_class(line.colour)}")


def _line(frame: Frame, line: Line) -> list[Markup]:
    found = [(x, estimate.value) for x, estimate in line.points]
    drawn = element("polyline", points=_path(frame, found), class_=f"line {colour_class(line.colour)}")
    return [drawn, *(_mark(frame.place(x, value), line.colour) for x, value in found)]


def _mark(place: tuple[float, float], colour: int) -> Markup:
    where = f"translate({place[0]:.1f} {place[1]:.1f})"
    return element("path", d=mark_path(colour), transform=where, class_=f"point {colour_class(colour)}")


def _path(frame: Frame, points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in (frame.place(n, value) for n, value in points))


def mark_path(colour: int) -> str:
    """Return the shape of a candidate's marks, so that candidates can be told apart without colours."""
    return _MARKS[colour % len(_MARKS)]


def colour_class(colour: int) -> str:
    """Return the class of a colour; the style sheet has eight colours."""
    return f"c{colour % 8}"
