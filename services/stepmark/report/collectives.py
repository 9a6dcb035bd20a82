"""Lay out the figures of collectives: a table of all sizes, and curves of the cells that differ in size alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from stepmark.analysis.cells import CellResult
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.link_limits import LinkLimit
from stepmark.analysis.summary import Summary
from stepmark.report import words
from stepmark.report.plots import bandwidth
from stepmark.terms import size_text

EXPLAINED = (
    "Latency is the mean time t of one collective until its last rank has ended it. The algorithm bandwidth is the "
    "message's size over t. The bus bandwidth is that times 2 (n - 1) / n for an all-reduce of n ranks, times "
    "(n - 1) / n for reduce-scatter and all-gather, and times 1 for a broadcast, as nccl-tests define it: it can be "
    "compared with what a link of the machine carries. Before it was timed, each launch exchanged known values, and "
    "every rank held the right result. Intervals are 95 %."
)
LIMITS = (
    "What the bus bandwidth of the largest message reaches is shown beside what the links of one GPU carry in one "
    "direction by their specification. No program reaches all of it, since packets have headers. Switches that add up "
    "what passes through them (NVLS) can exceed it. The sources are in docs/measuring.md."
)
HEADINGS = ("cell", "collective", "workers", "message", "latency µs", "algorithm GB/s", "bus GB/s")


@dataclass(frozen=True)
class Panel:
    """Store the curves that are drawn together, with their two plots."""

    title: str
    curves: tuple[bandwidth.Curve, ...]
    bus: Markup
    latency: Markup


def rows(summary: Summary) -> list[list[str]]:
    """Return a row for every cell whose collective was measured."""
    return [
        [
            words.cell_name(cell),
            found.collective,
            str(cell.workers),
            size_text(found.message_bytes),
            _figure(found.latency_seconds, 1e6),
            _figure(found.algorithm_bytes_per_second, 1e-9),
            _figure(found.bus_bytes_per_second, 1e-9),
        ]
        for cell in summary.cells
        if (found := cell.bandwidth) is not None
    ]


def limits(summary: Summary) -> list[str]:
    """Return the share of the links' limit that the largest message of each curve reaches, where it is known."""
    largest: dict[tuple[str, str, str, int], CellResult] = {}
    for cell in sorted((cell for cell in summary.cells if cell.bandwidth is not None), key=_message_bytes):
        largest[cell.candidate, cell.execution, cell.precision, cell.workers] = cell
    return [
        f"{words.cell_name(cell)}, {words.workers(cell.workers)}: {_share(ratio)} of {limit_text(found.limit)}"
        for cell in largest.values()
        if (found := cell.bandwidth) is not None
        and found.limit is not None
        and (ratio := found.limit_ratio) is not None
    ]


def limit_text(limit: LinkLimit) -> str:
    """Return the name of the links with what they carry."""
    return f"{limit.name}: {_significant(limit.bytes_per_second / 1e9)} GB/s"


def _message_bytes(cell: CellResult) -> int:
    return cell.message_bytes or 0


def _share(ratio: Estimate) -> str:
    if ratio.low is None or ratio.high is None:
        return words.percent(ratio.value)
    return f"{words.percent(ratio.value)} [{words.percent(ratio.low)}, {words.percent(ratio.high)}]"


def _figure(estimate: Estimate, unit: float) -> str:
    value = _significant(estimate.value * unit)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{_significant(estimate.low * unit)}, {_significant(estimate.high * unit)}]"


def _significant(value: float) -> str:
    """Return a value with three significant digits, since sizes and times span a factor of a million."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def panels(summary: Summary, colours: Mapping[str, int]) -> list[Panel]:
    """Return one panel for each precision and number of workers, with a curve for each candidate and execution."""
    found: dict[tuple[str, int], dict[tuple[str, str], bandwidth.Curve]] = {}
    for cell in summary.cells:
        if cell.bandwidth is None:
            continue
        curves = found.setdefault((cell.precision, cell.workers), {})
        name = (cell.candidate, cell.execution)
        known = curves.get(name, bandwidth.Curve(f"{name[0]} {name[1]}", colours[cell.candidate], ()))
        points = sorted((*known.points, cell.bandwidth), key=lambda point: point.message_bytes)
        curves[name] = bandwidth.Curve(known.name, known.colour, tuple(points))
    return [
        _panel(f"{precision}, {words.workers(workers)}", tuple(curves.values()))
        for (precision, workers), curves in found.items()
    ]


def _panel(title: str, curves: tuple[bandwidth.Curve, ...]) -> Panel:
    about = f"{title}: {', '.join(curve.name for curve in curves)}"
    return Panel(
        title,
        curves,
        bandwidth.bus_bandwidths(curves, f"bus bandwidth, {about}"),
        bandwidth.latencies(curves, f"latency, {about}"),
    )
