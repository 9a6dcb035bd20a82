"""Show forecasts on a terminal: measured points above, predictions below, and always with their warnings."""

from collections import defaultdict
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from stepmark.analysis.forecasts import CurveForecast, ForecastReport, LeftOut, MeasuredPoint, Predicted
from stepmark.report.rich_tables import print_whole, shown, titled
from stepmark.report.words import UNKNOWN, milliseconds

_HEADINGS = ("workers", "", "step ms", "80 % band", "95 % band", "samples/s", "80 % band", "efficiency")


def show(report: ForecastReport, console: Console) -> None:
    """Print a table for each curve, its warnings under it, then how far to trust the forecasts."""
    for curve in report.curves:
        print_whole(_table(curve, report.mode), console)
        for line in _warnings(curve):
            console.print(shown(f"  warning: {line}"), style="yellow", soft_wrap=True)
    for left in report.left_out:
        text = f"no forecast: {left.candidate} {left.execution} {left.precision}{_batch(left)}: {left.reason}"
        console.print(shown(text), style="yellow", soft_wrap=True)
    for line in report.trust:
        console.print(shown(line), soft_wrap=True)


def _table(curve: CurveForecast, mode: str) -> Table:
    default = " (default)" if "default" in curve.levels else ""
    kept = "batch per worker" if mode == "weak" else "global batch"
    name = f"{curve.candidate} {curve.execution}{default} {curve.precision}{_batch(curve)}"
    title = f"{name}: {mode} scaling, constant {kept}"
    table = titled(title)
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading == "" else "right", no_wrap=True)
    for point in curve.measured:
        table.add_row(*(shown(text) for text in _measured_row(point)))
    for one in curve.predicted:
        table.add_row(*(shown(text) for text in _predicted_row(one)), style="cyan")
    return table


def _batch(one: CurveForecast | LeftOut) -> str:
    return "" if one.batch_per_worker is None else f", batch {one.batch_per_worker}"


def _measured_row(point: MeasuredPoint) -> list[str]:
    """Return the row of a measured point.

    Its interval is not a band of a forecast; it stands in the 95 % column, since it is a 95 % interval.
    """
    step = point.step_seconds
    interval = UNKNOWN if step.low is None or step.high is None else _milliseconds(step.low, step.high)
    rate, efficiency = f"{point.samples_per_second:,.0f}", f"{point.efficiency:.0%}"
    return [str(point.workers), "measured", milliseconds(step.value), "", interval, rate, "", efficiency]


def _predicted_row(one: Predicted) -> list[str]:
    p = one.prediction
    return [
        str(p.workers),
        "predicted",
        milliseconds(p.step_seconds),
        _milliseconds(p.low_80, p.high_80),
        _milliseconds(p.low_95, p.high_95),
        f"{one.samples_per_second:,.0f}",
        f"[{one.low_80:,.0f}, {one.high_80:,.0f}]",
        f"{p.efficiency:.0%}",
    ]


def _milliseconds(low: float, high: float) -> str:
    return f"[{milliseconds(low)}, {milliseconds(high)}]"


def _warnings(curve: CurveForecast) -> Iterator[str]:
    """Yield each warning once. Those that do not concern all targets name the targets that they concern."""
    concerned: dict[str, list[str]] = defaultdict(list)
    for one in curve.predicted:
        for warning in one.warnings:
            concerned[warning].append(str(one.prediction.workers))
    for warning, targets in concerned.items():
        yield warning if len(targets) == len(curve.predicted) else f"at {', '.join(targets)}: {warning}"
