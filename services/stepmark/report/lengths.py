"""Lay out what samples of different lengths cost: padding, and compilations for new shapes."""

from stepmark.analysis.length_figures import LengthFigures
from stepmark.analysis.step_times import Rate
from stepmark.analysis.summary import Summary
from stepmark.report import words

EXPLAINED = (
    "All samples of a batch have one length, and the batches of a round have lengths of their own. Tokens per second "
    "are real tokens, without padding, over all workers; padding is its share of all tokens that the model was given. "
    "Shapes are the distinct lengths with padding. Recompiles are what the framework counted after the first "
    "compilation or trace of the step, all of them in the warm-up: a launch that compiles in a measured window is "
    "invalid. First visits is the time that the first steps on each batch took beyond their batch's median, the very "
    "first step left out. Counts and seconds are medians over launches."
)
HEADINGS = (
    "cell", "workers", "real tokens/s [95 %]", "padding", "shapes", "recompiles", "first visits s", "compiling s",
    "graph breaks",
)  # fmt: skip


def rows(summary: Summary) -> list[list[str]]:
    """Return a row for every cell that was measured on samples of different lengths."""
    return [
        [words.cell_name(cell), str(cell.workers), *_figures(cell.lengths)]
        for cell in summary.cells
        if cell.lengths is not None
    ]


def lines(summary: Summary) -> list[str]:
    """Return a sentence for every cell that was measured on samples of different lengths."""
    return [
        f"{words.cell_name(cell)}, {words.workers(cell.workers)}: {_rate(found.tokens_per_second)} real tokens/s, "
        f"{words.percent(found.padding_ratio)} padding, {found.shapes} {'shape' if found.shapes == 1 else 'shapes'}, "
        f"recompiles: {_count(found.recompiles)}, first visits: {_seconds(found.first_visit_seconds)} s"
        for cell in summary.cells
        if (found := cell.lengths) is not None
    ]


def _figures(found: LengthFigures) -> list[str]:
    return [
        _rate(found.tokens_per_second),
        words.percent(found.padding_ratio),
        str(found.shapes),
        _count(found.recompiles),
        _seconds(found.first_visit_seconds),
        _seconds(found.compile_seconds),
        _count(found.graph_breaks),
    ]


def _rate(rate: Rate) -> str:
    interval = "" if rate.low is None or rate.high is None else f" [{rate.low:,.0f}, {rate.high:,.0f}]"
    return f"{rate.median:,.0f}{interval}"


def _count(value: float | None) -> str:
    return words.UNKNOWN if value is None else f"{value:g}"


def _seconds(value: float | None) -> str:
    return words.UNKNOWN if value is None else f"{value:.2f}"
