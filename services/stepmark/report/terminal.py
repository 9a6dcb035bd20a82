"""The result as a table on a terminal. Every text from a document or record goes through `shown`: it may be hostile."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from stepmark.analysis.cells import CellResult
from stepmark.analysis.summary import Summary
from stepmark.report import machine, sentences, words
from stepmark.report.rich_tables import print_whole, shown, titled
from stepmark.results.certificate import Certificate

_COLOURS = {
    "steady": "green", "undecided": "blue", "failed": "red", "not measured": "red", "unsupported": "dim",
}  # fmt: skip


def show(summary: Summary, console: Console) -> None:
    """Table of cells, notes, ranking and verdicts."""
    print_whole(_table(summary), console)
    for cell in summary.cells:
        if cell.reason:
            console.print(shown(f"  {cell.key}: {cell.verdict}, {cell.reason}"), style="yellow", soft_wrap=True)
    for line in words.parity_notes(summary):
        console.print(shown(f"  {line}"), style="yellow", soft_wrap=True)
    for key, line in sentences.straggler_lines(summary, slow=True):
        console.print(shown(f"  {key}: {line}"), style="yellow", soft_wrap=True)
    if knobs := sentences.departing_knobs(summary):
        console.print(shown(f"  not as users get it unasked (report.md says why): {knobs}"), soft_wrap=True)
    for line in words.fastest(summary):
        console.print(shown(f"  {line}"), soft_wrap=True)
    console.print(shown(f"  {machine.sentence(summary)}"), soft_wrap=True)
    if summary.comparisons:
        heading = "Verdicts (ratio of time per step, slow steps included; below 1 the candidate is faster)"
        console.print(heading, style="bold", soft_wrap=True)
        if corrected := words.family(summary.family):
            console.print(shown(f"  {corrected}"), soft_wrap=True)
    for comparison in summary.comparisons:
        console.print(shown(f"  {words.sentence(comparison)}"), soft_wrap=True)
    if summary.break_evens:
        console.print("Break-even of start-up", style="bold", soft_wrap=True)
    for one in summary.break_evens:
        console.print(shown(f"  {one.text}"), soft_wrap=True)


def show_certificates(certificates: Sequence[Certificate], console: Console) -> None:
    """Every stage's figures, then what they mean for each cell."""
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
    for certificate in certificates:
        console.print(shown(f"  {certificate.cell}: {certificate.text}"), soft_wrap=True)


def _table(summary: Summary) -> Table:
    title = f"{summary.scenario}: {summary.blocks} blocks, launcher {summary.launcher}"
    table = titled(title)
    table.add_column("cell", no_wrap=True)
    for heading in ("workers", "launches", "step ms [95 %]", "samples/s", "efficiency"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("parity", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for cell in summary.cells:
        table.add_row(*(shown(text) for text in _row(cell)), style=_COLOURS.get(cell.verdict, "yellow"))
    return table


def _row(cell: CellResult) -> list[str]:
    efficiency = words.UNKNOWN if cell.scaling is None else f"{cell.scaling.efficiency.value:.0%}"
    return [
        words.cell_name(cell),
        str(cell.workers),
        str(cell.launches),
        words.step_time(cell),
        words.rate(cell),
        efficiency,
        words.parity(cell),
        cell.verdict,
    ]
