"""Show the result as a table on a terminal.

Every text from a document or record is made printable and escaped, since it may be hostile.
"""

import textwrap
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stepmark.analysis.cells import CellResult
from stepmark.analysis.summary import Summary
from stepmark.errors import printable
from stepmark.report import headline, notes, words
from stepmark.report.rich_tables import print_whole, shown, titled
from stepmark.results.certificate import Certificate, Stage

WIDTH = 100

_COLOURS = {
    "steady": "green", "undecided": "blue", "failed": "red", "not measured": "red", "unsupported": "dim",
}  # fmt: skip


def show(summary: Summary, console: Console) -> None:
    """Print the verdicts in sentences, the table, then one note for each kind of trouble.

    `report.md` has the details.
    """
    for line in headline.of_run(summary):
        say(line, console, bold=True)
    print_whole(_table(summary), console)
    for line in notes.notes(summary):
        say(line, console)


def say(text: str, console: Console, bold: bool = False) -> None:
    """Print a sentence in lines that fit a page; a long name is never cut."""
    lines = textwrap.wrap(
        printable(text), WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    for line in lines:
        console.print(escape(line), style="bold" if bold else None, soft_wrap=True, highlight=False)


def show_certificates(certificates: Sequence[Certificate], console: Console) -> None:
    """Print every stage's figures, then what they mean for each cell."""
    headings = ("cell", "stage", "forward", "loss", "gradient", "weights", "worst tensor")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    for certificate in certificates:
        for stage in certificate.stages:
            f = stage.figures
            errors = [words.error(error) for error in (f.forward, f.loss, f.gradient, f.weights)]
            row = [certificate.cell, stage.name, *errors, words.worst_tensor(stage)]
            table.add_row(*(shown(text) for text in row), style="green" if stage.passed else "red")
    print_whole(table, console)
    for stage in (stage for certificate in certificates for stage in certificate.stages if not stage.passed):
        _show_unmatched(stage, console)
        if stage.figures.layers:
            _show_layers(stage, console)
    for certificate in certificates:
        console.print(shown(f"  {certificate.cell}: {certificate.text}"), soft_wrap=True)


def _show_unmatched(stage: Stage, console: Console) -> None:
    """List every tensor that has no counterpart of its shape."""
    for text in stage.figures.unmatched:
        console.print(shown(f"  {stage.engine} against {stage.reference_engine}: {text}"), soft_wrap=True)


def _show_layers(stage: Stage, console: Console) -> None:
    """Print the errors of all layers that both models have, in the order of calls."""
    table = titled(f"{stage.engine} against {stage.reference_engine}, layer by layer")
    for heading in ("layer", "input off by", "output off by"):
        table.add_column(heading, no_wrap=True)
    for one in stage.figures.layers:
        table.add_row(*(shown(text) for text in (one.layer, words.error(one.input), words.error(one.output))))
    print_whole(table, console)


def _table(summary: Summary) -> Table:
    table = titled(_title(summary))
    one_precision = len(_precisions(summary)) == 1
    table.add_column("cell", no_wrap=True)
    for heading in ("workers", "step ms [95 %]", "samples/s", "efficiency"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("steps", no_wrap=True)
    for cell in summary.cells:
        row = _row(cell, one_precision)
        table.add_row(*(shown(text) for text in row), style=_COLOURS.get(cell.verdict, "yellow"))
    return table


def _title(summary: Summary) -> str:
    """Return the table's title: what all cells have in common."""
    proven = {words.parity(cell) for cell in summary.cells if cell.verdict != "unsupported"}
    parity = (
        f"parity {proven.pop()}" if len(proven) == 1 and summary.parity != "skipped" else f"parity {summary.parity}"
    )
    precisions = ", ".join(_precisions(summary))
    return f"{summary.scenario}: {summary.blocks} blocks, {precisions}, {parity}, launcher {summary.launcher}"


def _precisions(summary: Summary) -> list[str]:
    return list(dict.fromkeys(cell.precision for cell in summary.cells))


def _row(cell: CellResult, one_precision: bool) -> list[str]:
    efficiency = words.UNKNOWN if cell.scaling is None else f"{cell.scaling.efficiency.value:.0%}"
    precision = "" if one_precision else f" {cell.precision}"
    return [
        f"{cell.candidate} {words.execution(cell)}{precision}{words.options(cell)}{words.batch(cell)}"
        f"{words.message(cell.message_bytes)}",
        str(cell.workers),
        words.step_time(cell),
        words.rate(cell),
        efficiency,
        cell.verdict,
    ]
