"""Show on a terminal how long each cell takes to its first finished step, and what a user writes for a model."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from stepmark.analysis.intervals import Estimate
from stepmark.analysis.starts import KINDS, StartComparison, StartSummary
from stepmark.analysis.written import Written
from stepmark.report.rich_tables import common_ending, shown, titled
from stepmark.report.words import UNKNOWN


def start_tables(summary: StartSummary) -> Iterator[Table]:
    """Yield the seconds of each cell's kinds of starts, then the parts that they are made of."""
    cells = list(dict.fromkeys(one.cell for one in summary.results))
    ending = common_ending(cells)
    by_start = {(one.cell, one.kind): one for one in summary.results}
    kinds = [kind for kind in KINDS if any(one.kind == kind for one in summary.results)]
    table = _table("seconds to the first step [95 %]", kinds)
    for cell in cells:
        found = [by_start.get((cell, kind)) for kind in kinds]
        row = [UNKNOWN if one is None else _digits(one.seconds) for one in found]
        failed = any(one is not None and one.problem for one in found)
        table.add_row(*map(shown, (cell.removesuffix(ending), *row)), style="red" if failed else None)
    yield table
    parts = _table("of which, in the median", ("start", "python", "import", "build", "first step"))
    for one in summary.results:
        seconds = map(_seconds, (one.interpreter, one.imports, one.build, one.first_step))
        parts.add_row(*map(shown, (one.cell.removesuffix(ending), one.kind, *seconds)))
    yield parts


def _table(title: str, headings: Sequence[str]) -> Table:
    table = titled(title)
    table.add_column("cell", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "start" else "right", no_wrap=True)
    return table


def sentences(summary: StartSummary) -> Iterator[str]:
    """Yield what may be claimed of each comparison, what a cache saves, and what failed or is part of no figure."""
    if ending := common_ending([one.cell for one in summary.results]):
        yield f"all cells: {ending[1:]}"
    yield from map(_sentence, summary.comparisons)
    for one in summary.results:
        if one.of_cold is not None:
            yield f"{one.cell}: {one.kind} takes x {_digits(one.of_cold)} of cold"
    yield from (f"{one.cell}, {one.kind}: failed: {one.problem}" for one in summary.results if one.problem)
    own = [result.own_imports for result in summary.results if result.own_imports is not None]
    if own:
        yield f"stepmark's own imports are left out of all figures: {min(own):.2f} to {max(own):.2f} s."


def _sentence(one: StartComparison) -> str:
    blocks = "1 block" if one.blocks == 1 else f"{one.blocks} blocks"
    reason = f" ({one.reason})" if one.reason else ""
    return f"{one.cell} against {one.reference}, {one.kind}: {one.verdict}, x {_digits(one.ratio)}, {blocks}{reason}"


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"


def _digits(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return _seconds(None if estimate is None else estimate.value)
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def written_table(counts: Sequence[Written]) -> Table:
    """Return one row for each model and framework."""
    table = titled("what is written for the same model")
    for heading in ("model", "part", "lines", "names", "tokens"):
        table.add_column(heading, justify="left" if heading in ("model", "part") else "right", no_wrap=True)
    for one in counts:
        table.add_row(*map(shown, (one.model, one.part, str(one.lines), str(one.names), str(one.tokens))))
    return table
