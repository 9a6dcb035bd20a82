"""The result as a table on a terminal. Every text from a document or record is escaped: it may hold rich's markup."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stepmark.analysis.summary import CellResult, Summary
from stepmark.report import words

_COLOURS = {"steady": "green", "failed": "red", "not measured": "red", "unsupported": "dim"}


def show(summary: Summary, console: Console) -> None:
    """Table of cells, notes, ranking and verdicts."""
    table = _table(summary)
    unlimited = console.options.update(max_width=1000)
    console.width = max(
        console.width, console.measure(table, options=unlimited).maximum
    )  # wrapped, but never cut short
    console.print(table)
    for cell in summary.cells:
        if cell.reason:
            console.print(escape(f"  {cell.key}: {cell.verdict}, {cell.reason}"), style="yellow", soft_wrap=True)
    for line in words.fastest(summary):
        console.print(escape(f"  {line}"), soft_wrap=True)
    if summary.comparisons:
        heading = "Verdicts (step-time ratio, 95 % interval over blocks; below 1 is faster)"
        console.print(heading, style="bold", soft_wrap=True)
    for comparison in summary.comparisons:
        console.print(escape(f"  {words.sentence(comparison)}"), soft_wrap=True)


def _table(summary: Summary) -> Table:
    title = f"{summary.scenario}: {summary.blocks} blocks, launcher {summary.launcher}"
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, title_style="bold")
    table.add_column("cell", no_wrap=True)
    for heading in ("workers", "launches", "step ms [95 %]", "samples/s", "efficiency"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for cell in summary.cells:
        table.add_row(*(escape(text) for text in _row(cell)), style=_COLOURS.get(cell.verdict, "yellow"))
    return table


def _row(cell: CellResult) -> list[str]:
    name = f"{cell.candidate} {words.execution(cell)} {cell.precision}"
    efficiency = words.UNKNOWN if cell.efficiency is None else f"{cell.efficiency.value:.0%}"
    return [
        name,
        str(cell.workers),
        str(cell.launches),
        words.step_time(cell),
        words.rate(cell),
        efficiency,
        cell.verdict,
    ]
