"""Show the gate's answer on a terminal, and provide its words for every other output."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from stepmark.analysis.gate_report import GateCell, GateReport, named, sentence
from stepmark.analysis.intervals import Estimate
from stepmark.report.rich_tables import print_whole, shown, titled
from stepmark.report.words import UNKNOWN, milliseconds

_FAR = 1000.0  # a ratio beyond this has no meaning


def show(report: GateReport, console: Console) -> None:
    """Print what changed, the table of cells, what to know about them, and the answer last."""
    for line in unlike_lines(report):
        console.print(shown(line), style="bold yellow", soft_wrap=True)
    for change in report.changed:
        console.print(shown(f"  changed: {sentence(change)}"), soft_wrap=True)
    print_whole(_table(report), console)
    for line in _notes(report):
        console.print(shown(f"  {line}"), style="yellow", soft_wrap=True)
    for line in history_lines(report):
        console.print(shown(line), soft_wrap=True)
    for line in warning_lines(report):
        console.print(shown(line), style="bold yellow", soft_wrap=True)
    for line in answer(report):
        console.print(shown(line), style="bold green" if report.passed else "bold red", soft_wrap=True)


def _notes(report: GateReport) -> Iterator[str]:
    """Yield what to know about the cells, each text once: fifty cells are often undecided for one reason."""
    cells: dict[str, list[str]] = defaultdict(list)
    for cell in report.cells:
        reason = [] if cell.fails or cell.verdict == "no measurable difference" else [cell.reason]
        for note in (*(f"{cell.verdict}: {text}" for text in reason if text), *cell.notes):
            cells[note].append(cell.key)
    return (f"{note} ({named(keys)})" for note, keys in cells.items())


def _table(report: GateReport) -> Table:
    title = f"{report.old.folder} (old) against {report.new.folder} (new)"
    table = titled(title)
    table.add_column("cell", no_wrap=True)
    ratio = f"new / old [{report.interval_level * 100:.5g} %]"
    for heading in ("launches", "old ms", "new ms", ratio):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for cell in report.cells:
        style = "red" if cell.fails else "green" if cell.verdict in ("faster", "no measurable difference") else "yellow"
        table.add_row(*(shown(text) for text in _row(cell)), style=style)
    return table


def _row(cell: GateCell) -> list[str]:
    launches = f"{cell.old_launches}, {cell.new_launches}"
    times = [milliseconds(cell.old_seconds), milliseconds(cell.new_seconds)]
    return [cell.key, launches, *times, ratio(cell.ratio), cell.verdict]


def ratio(estimate: Estimate | None) -> str:
    """Return a ratio with its interval.

    Two launches may leave nearly everything open, and then its ends are only bounds.
    """
    if estimate is None:
        return UNKNOWN
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    low = f"{estimate.low:.3f}" if estimate.low >= 1 / _FAR else f"<{1 / _FAR:g}"
    high = f"{estimate.high:.3f}" if estimate.high <= _FAR else f">{_FAR:g}"
    return f"{estimate.value:.3f} [{low}, {high}]"


def unlike_lines(report: GateReport) -> list[str]:
    """Return a warning for every difference of machine or settings that was allowed."""
    if not report.unlike:
        return []
    kinds = " and ".join(dict.fromkeys(one.kind for one in report.unlike))
    warning = f"compared across unlike {kinds}, as asked for: a difference may come from these"
    return [warning, *(f"  {sentence(one)}" for one in report.unlike)]


def history_lines(report: GateReport) -> list[str]:
    """Return how much campaigns differ, from which runs, and which runs do not count."""
    lines = [f"  left out of the history: {one.folder}: {one.reason}" for one in report.history.left_out]
    spreads = [cell.campaign_spread for cell in report.cells if cell.campaign_spread is not None]
    if not spreads:
        return lines
    count = len(report.history.used)
    many = f"{min(spreads):.2%} to {max(spreads):.2%}" if len(spreads) > 1 else f"{spreads[0]:.2%}"
    runs = "1 earlier run" if count == 1 else f"{count} earlier runs"
    return [f"history: campaigns vary by {many} (old run and {runs}), and every interval includes that", *lines]


def warning_lines(report: GateReport) -> list[str]:
    """Return what no interval here includes, and what to do."""
    return [f"warning: {text}" for text in report.warnings]


def answer(report: GateReport) -> list[str]:
    """Return why the gate fails, or what passing means."""
    across = " (across unlike machines or settings)" if report.unlike else ""
    counts = Counter(cell.verdict for cell in report.cells)
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    if report.passed:
        return [
            f"gate passed{across}: no slowdown of more than {report.minimum_effect:.1%} established"
            f" (family-wise error {report.family_error:.0%}); {told}"
        ]
    failed = [cell for cell in report.cells if cell.fails]
    return [f"gate FAILED{across}: {told}", *(f"  {why(cell, report)}" for cell in failed)]


def why(cell: GateCell, report: GateReport) -> str:
    """Return one failing cell in a sentence."""
    if cell.verdict != "slower":
        return f"{cell.key}: {cell.verdict}: {cell.reason}"
    times = f"from {milliseconds(cell.old_seconds)} to {milliseconds(cell.new_seconds)} ms"
    return (
        f"{cell.key}: {cell.reason}, {times}: new / old {ratio(cell.ratio)}, minimum effect {report.minimum_effect:.1%}"
    )
