"""Draw how a collective's latency and bus bandwidth depend on the size of its message, both axes logarithmic."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from stepmark.analysis.bandwidth import Bandwidth
from stepmark.analysis.intervals import Estimate
from stepmark.report.plots.curves import Frame, Line, draw, high, low
from stepmark.report.plots.svg import Axis, log_axis
from stepmark.terms import size_text

_LABELS_MOST = 6


@dataclass(frozen=True)
class Curve:
    """Store one candidate at one precision and number of workers; `colour` is its number in the whole report."""

    name: str
    colour: int
    points: tuple[Bandwidth, ...]


def bus_bandwidths(curves: Sequence[Curve], title: str) -> Markup:
    """Draw the bus bandwidth in GB/s against the size of the message."""
    return _panel(curves, lambda p: p.bus_bytes_per_second, 1e-9, title, "bus bandwidth in GB/s")


def latencies(curves: Sequence[Curve], title: str) -> Markup:
    """Draw the time of one collective in microseconds against the size of the message."""
    return _panel(curves, lambda p: p.latency_seconds, 1e6, title, "latency in µs")


def _panel(
    curves: Sequence[Curve], figure: Callable[[Bandwidth], Estimate], unit: float, title: str, name: str
) -> Markup:
    found = [figure(point) for curve in curves for point in curve.points]
    y = log_axis(min(map(low, found)) * unit * 0.9, max(map(high, found)) * unit * 1.1)
    sizes = sorted({point.message_bytes for curve in curves for point in curve.points})
    labelled = sizes[:: -(-len(sizes) // _LABELS_MOST)]
    x = Axis(sizes[0], max(sizes[-1], 2 * sizes[0]), tuple(map(float, labelled)), log=True)
    lines = [
        Line(curve.colour, tuple((float(p.message_bytes), _scaled(figure(p), unit)) for p in curve.points))
        for curve in curves
    ]
    frame = Frame(x, y, "size of the message", lambda size: size_text(round(size)), "{:g}".format)
    return draw(frame, lines, (), title, f"{name} against the size of the message; the bands are 95 % intervals")


def _scaled(estimate: Estimate, unit: float) -> Estimate:
    ends = [None if end is None else end * unit for end in (estimate.low, estimate.high)]
    return Estimate(value=estimate.value * unit, low=ends[0], high=ends[1])
