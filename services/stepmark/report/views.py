"""Lay out a summary for a page: which cells stand together, in which order, on which axis.

No figure is computed here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from markupsafe import Markup

from stepmark.analysis.cells import CellResult
from stepmark.analysis.compare import Comparison
from stepmark.analysis.step_times import Rate, StepSeconds
from stepmark.analysis.summary import Summary
from stepmark.report import collectives, ranking, sentences, words
from stepmark.report.plots import curves as drawn
from stepmark.report.plots import distribution, scaling, strips, svg

_MANY_RATIOS, _SHOWN_OF_A_COUNT, _SHOWN_STACKS = 12, 8, 16
_SPREAD = 6.0  # values that differ by more than this factor are drawn on a logarithmic axis
SPLIT_CLASSES = ("input", "compute", "exchange", "waiting", "update")
STARTUP_CLASSES = ("spawn", "import", "group", "build", "first")
VERDICT_CLASSES = {
    "steady": "good", "faster": "good", "no measurable difference": "same", "undecided": "open", "inconclusive": "open",
    "slower": "bad", "drifting": "warn", "slowdown": "warn", "no steady state": "warn", "failed": "bad",
    "not measured": "bad", "unsupported": "none",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """Store one cell with its plot and the number of its colour."""

    cell: CellResult
    colour: int
    plot: Markup


@dataclass(frozen=True)
class Group:
    """Store rows that share an axis.

    All but the first `shown` rows are folded away, on an axis of their own if `rest_scale` is not empty. `bare` holds
    the cells that belong here and have nothing to draw.
    """

    title: str
    scale: Markup
    rows: tuple[Row, ...]
    shown: int
    rest_scale: Markup = field(default_factory=Markup)
    bare: tuple[CellResult, ...] = ()


@dataclass(frozen=True)
class Panel:
    """Store the scaling curves that are drawn together, with their two plots."""

    title: str
    curves: tuple[scaling.Curve, ...]
    speedup: Markup
    efficiency: Markup


@dataclass(frozen=True)
class Page:
    """Store everything that the templates place.

    `colours` maps a candidate to its number, which is the same in every drawing.
    """

    colours: dict[str, int]
    ratio_scale: Markup
    ratios: list[tuple[Comparison, Markup]]
    ranking: list[Group]
    steps: list[Group]
    panels: list[Panel]
    collectives: list[collectives.Panel]
    split: Group | None
    startup: Group | None
    classes: dict[str, str]
    split_legend: list[tuple[str, str]]
    startup_legend: list[tuple[str, str]]


def page(summary: Summary) -> Page:
    """Return everything that the templates place."""
    colours = {name: number for number, name in enumerate(dict.fromkeys(cell.candidate for cell in summary.cells))}
    axis, ratios = _ratios(summary)
    return Page(
        colours=colours,
        ratio_scale=svg.scale(axis, "ratio of step times"),
        ratios=ratios,
        ranking=_by_workers(summary.cells, lambda cells: _ranking(cells, colours, summary)),
        steps=_by_workers(summary.cells, lambda cells: _steps(cells, colours)),
        panels=_panels(summary, colours),
        collectives=collectives.panels(summary, colours),
        split=_split(summary.cells, colours),
        startup=_startup(summary.cells, colours),
        classes=VERDICT_CLASSES,
        split_legend=list(zip(SPLIT_CLASSES, sentences.SPLIT_NAMES, strict=True)),
        startup_legend=list(zip(STARTUP_CLASSES, sentences.STARTUP_NAMES, strict=True)),
    )


def _title(cell: CellResult) -> str:
    return f"{words.cell_name(cell)}, {words.workers(cell.workers)}"


def _ratios(summary: Summary) -> tuple[svg.Axis, list[tuple[Comparison, Markup]]]:
    """Return the axis and the plots of all ratios. Where there are many, what could be decided comes first."""
    found = [c.ratio for c in summary.comparisons if c.ratio is not None]
    axis = svg.ratio_axis([end for r in found for end in (r.value, r.low, r.high) if end is not None])
    effect = summary.measurement.minimum_effect
    order = list(summary.comparisons)
    if len(order) > _MANY_RATIOS:
        order.sort(key=lambda c: c.verdict == "inconclusive")
    return axis, [(one, _ratio(axis, one, effect)) for one in order]


def _ratio(axis: svg.Axis, one: Comparison, effect: float) -> Markup:
    r = one.ratio
    if r is None:
        return Markup("")
    return strips.ratio(axis, r.value, r.low, r.high, effect, VERDICT_CLASSES[one.verdict], words.sentence(one))


def _by_workers(cells: Iterable[CellResult], group: Callable[[list[CellResult]], Group | None]) -> list[Group]:
    counts: dict[int, list[CellResult]] = {}
    for cell in cells:
        counts.setdefault(cell.workers, []).append(cell)
    return [made for count in sorted(counts) if (made := group(counts[count])) is not None]


def _ranking(cells: list[CellResult], colours: dict[str, int], summary: Summary) -> Group:
    """Rank the cells of one worker count.

    Highest throughput comes first; then what is not proven to train the reference's model; then what was not measured.
    """
    measured = [(cell, rate) for cell in cells if (rate := cell.samples_per_second) is not None]
    measured.sort(key=lambda pair: (not ranking.competes(pair[0], summary), -pair[1].median))
    top = max((rate.median for _, rate in measured), default=1.0)
    axis = svg.linear_axis(0.0, max([top, *(min(rate.high or top, 1.5 * top) for _, rate in measured)]))
    rows = tuple(Row(cell, colours[cell.candidate], _bar(axis, cell, rate, colours)) for cell, rate in measured)
    bare = tuple(cell for cell in cells if cell.samples_per_second is None)
    title = words.workers(cells[0].workers)
    return Group(title, svg.scale(axis, "samples per second"), rows, _SHOWN_OF_A_COUNT, bare=bare)


def _bar(axis: svg.Axis, cell: CellResult, rate: Rate, colours: dict[str, int]) -> Markup:
    title = f"{_title(cell)}: {words.rate(cell)} samples/s {words.rate_interval(cell)}"
    return strips.bar(axis, rate.median, rate.low, rate.high, _colour(cell, colours), title)


def _colour(cell: CellResult, colours: dict[str, int]) -> str:
    return drawn.colour_class(colours[cell.candidate])


def _steps(cells: list[CellResult], colours: dict[str, int]) -> Group | None:
    """Return the step times of one worker count, shortest steps first.

    The slow cells are folded away with an axis of their own, since they would press the fast ones together.
    """
    measured = sorted(((c, c.step_seconds) for c in cells if c.step_seconds is not None), key=lambda p: p[1].median)
    if not measured:
        return None
    scale, rows = _distributions(measured[:_SHOWN_OF_A_COUNT], colours)
    rest = measured[_SHOWN_OF_A_COUNT:]
    rest_scale, rest_rows = _distributions(rest, colours) if rest else (Markup(""), [])
    title = words.workers(cells[0].workers)
    return Group(title, scale, (*rows, *rest_rows), _SHOWN_OF_A_COUNT, rest_scale)


def _distributions(measured: list[tuple[CellResult, StepSeconds]], colours: dict[str, int]) -> tuple[Markup, list[Row]]:
    """Return the axis of these cells' step times, and their rows."""
    low = min(min(_head(step), *step.launch_medians) for _, step in measured)
    high = max(max(_tail(step), *step.launch_medians) for _, step in measured)
    axis = svg.log_axis(low, high) if high > _SPREAD * low else svg.linear_axis(low, high)
    rows = [Row(cell, colours[cell.candidate], _shape(axis, cell, step, colours)) for cell, step in measured]
    return svg.scale(axis, "ms per step", 1e3), rows


def _shape(axis: svg.Axis, cell: CellResult, step: StepSeconds, colours: dict[str, int]) -> Markup:
    title = f"{_title(cell)}: {words.step_time(cell)} ms"
    return distribution.distribution(axis, step, _colour(cell, colours), title)


def _head(step: StepSeconds) -> float:
    """Return where to begin the axis."""
    return step.median if step.percentiles is None else step.percentiles[1]


def _tail(step: StepSeconds) -> float:
    """Return where to end the axis: a few far steps would press everything else together."""
    if step.p5 is None or step.p95 is None or step.p99 is None:
        return step.median
    return min(step.p99, step.p95 + 2 * (step.p95 - step.p5))


def _panels(summary: Summary, colours: dict[str, int]) -> list[Panel]:
    """Return one panel for each execution and precision, with a curve for each candidate and choice of options.

    Candidates that are compared stand in one panel.
    """
    curves: dict[tuple[str, str], dict[tuple[str, ...], list[CellResult]]] = {}
    for cell in summary.cells:
        if cell.scaling is not None:
            level = "default" if "default" in cell.levels else cell.execution
            lines = curves.setdefault((level, cell.precision), {})
            lines.setdefault((cell.candidate, words.batch(cell), *cell.options), []).append(cell)
    made = [
        _panel(summary, f"{level}, {precision}", lines.values(), colours)
        for (level, precision), lines in curves.items()
    ]
    return [panel for panel in made if any(len(curve.cells) > 1 for curve in panel.curves)]


def _panel(summary: Summary, title: str, lines: Iterable[list[CellResult]], colours: dict[str, int]) -> Panel:
    curves = tuple(
        scaling.Curve(
            words.cell_name(cells[0]), colours[cells[0].candidate], tuple(sorted(cells, key=lambda c: c.workers))
        )
        for cells in lines
    )
    name = words.speedup_name(summary.mode)
    about = f"{title}: {', '.join(curve.name for curve in curves)}"
    return Panel(
        title,
        curves,
        scaling.speedups(curves, f"{name}, {about}", name),
        scaling.efficiencies(curves, f"efficiency, {about}"),
    )


def _split(cells: Iterable[CellResult], colours: dict[str, int]) -> Group | None:
    found = [(cell, sentences.split_parts(cell.time_split)) for cell in cells if cell.time_split is not None]
    parts = [
        (c, [(f"part {k}", v.value) for k, (_, v) in zip(SPLIT_CLASSES, p, strict=True) if v is not None])
        for c, p in found
    ]
    return _stacks(parts, colours, "ms per step", 1e3)


def _startup(cells: Iterable[CellResult], colours: dict[str, int]) -> Group | None:
    found = [
        (cell, sentences.startup_parts(cell.startup_seconds)) for cell in cells if cell.startup_seconds is not None
    ]
    parts = [(c, [(f"part {k}", v) for k, (_, v) in zip(STARTUP_CLASSES, p, strict=True)]) for c, p in found]
    return _stacks(parts, colours, "seconds", 1.0)


def _stacks(
    found: list[tuple[CellResult, list[tuple[str, float]]]], colours: dict[str, int], unit: str, factor: float
) -> Group | None:
    if not found:
        return None
    low = min(sum(min(value, 0.0) for _, value in parts) for _, parts in found)
    high = max(sum(max(value, 0.0) for _, value in parts) for _, parts in found)
    axis = svg.linear_axis(low, high)
    rows = tuple(Row(cell, colours[cell.candidate], strips.stack(axis, parts, _title(cell))) for cell, parts in found)
    return Group(unit, svg.scale(axis, unit, factor), rows, _SHOWN_STACKS)
