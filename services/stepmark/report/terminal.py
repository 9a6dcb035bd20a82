"""The result as a table on a terminal. Every text from a document or record is escaped: it may hold rich's markup."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stepmark.analysis.summary import CellResult, Summary
from stepmark.report import words

_WIDTH_LEAST = 110  # a narrower terminal wraps the lines, which is better than figures cut short
_COLOURS = {"steady": "green", "failed": "red", "not measured": "red", "unsupported": "dim"}


def show(summary: Summary, console: Console) -> None:
    """Table of cells, notes, ranking and verdicts."""
    console.width = max(console.width, _WIDTH_LEAST)
    console.print(_table(summary))
    for cell in summary.cells:
        if cell.reason:
            console.print(
                f"  {escape(cell.key)}: {escape(cell.verdict)}, {escape(cell.reason)}", style="yellow", soft_wrap=True
            )
    for line in words.fastest(summary):
        console.print(f"  {escape(line)}", soft_wrap=True)
    if summary.comparisons:
        console.print(
            "Verdicts (step-time ratio, 95 % interval over blocks; below 1 is faster)", style="bold", soft_wrap=True
        )
    for comparison in summary.comparisons:
        console.print(f"  {escape(words.sentence(comparison))}", soft_wrap=True)


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
