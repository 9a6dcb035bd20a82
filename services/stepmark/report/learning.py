"""Show what `time-to-accuracy` found: a table of the cells, and a sentence for each comparison."""

from collections.abc import Iterator

from rich.table import Table

from stepmark.analysis.intervals import Estimate
from stepmark.analysis.learning import LearningComparison, LearningResult, LearningSummary
from stepmark.report.rich_tables import shown, titled
from stepmark.report.words import UNKNOWN, ratio

HEADINGS = ("cell", "reached", "steps [95 %]", "seconds [95 %]", "joules [95 %]", "final accuracy [95 %]")


def learning_table(summary: LearningSummary) -> Table:
    """Return one row for each cell: how often and when it reached the target, and its accuracy in the end."""
    table = titled(f"to an accuracy of {summary.target.accuracy:g}, in at most {summary.target.max_steps} steps")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "cell" else "right", no_wrap=True)
    for one, row in zip(summary.results, rows(summary), strict=True):
        table.add_row(*map(shown, row), style=None if one.state == "reached" else "red")
    return table


def rows(summary: LearningSummary) -> list[list[str]]:
    """Return the table's rows as texts, one for each cell."""
    return [
        [one.cell, _reached(one), _digits(one.steps, 0), _digits(one.seconds, 2), _digits(one.joules, 1)]
        + [_digits(one.accuracy, 3)]
        for one in summary.results
    ]


def _reached(one: LearningResult) -> str:
    return f"{one.reached} of {one.launches}" if one.launches else one.state


def compared_rows(summary: LearningSummary) -> list[list[str]]:
    """Return one row for each comparison: sides, figure, ratio, blocks, verdict with its reason, parity."""
    return [
        [
            f"{one.cell} against {one.reference}",
            one.figure,
            ratio(one.ratio),
            str(one.blocks),
            ": ".join(part for part in (one.verdict, one.reason) if part),
            one.parity,
        ]
        for one in summary.comparisons
    ]


def sentences(summary: LearningSummary) -> Iterator[str]:
    """Yield what may be claimed: differences in accuracy with what parity says of them first, then all comparisons."""
    by_cell = {one.cell: one for one in summary.results}
    for one in summary.comparisons:
        if one.figure == "accuracy" and one.verdict in ("lower", "higher"):
            yield _differs(one, by_cell[one.cell], by_cell[one.reference])
    yield from map(_sentence, summary.comparisons)
    for result in summary.results:
        if result.state == "not reached":
            yield f"{result.cell}: not reached in {result.launches - result.reached} of {result.launches} launches"
        if result.problem:
            yield f"{result.cell}: {result.state}: {result.problem}"
    yield how(summary)


def how(summary: LearningSummary) -> str:
    """Return on what the cells were trained, and how closely steps are known."""
    every = summary.target.evaluate_every_steps
    known = f"Accuracy is measured after every {every} steps, so steps are known to {every}."
    if summary.train_samples is None:
        return known
    return (
        f"Trained on {summary.train_samples:,} samples at a learning rate of {summary.learning_rate:g}, tested on "
        f"{summary.test_samples:,} others. {known}"
    )


def _differs(one: LearningComparison, ours: LearningResult, theirs: LearningResult) -> str:
    return (
        f"accuracy differs: {one.cell} ends at {_digits(ours.accuracy, 3)}, {one.reference} at "
        f"{_digits(theirs.accuracy, 3)}. {_explained(one)}"
    )


def _explained(one: LearningComparison) -> str:
    """Return what the certificates say of a difference in accuracy."""
    if one.parity_error is None:
        return f"Parity: {one.parity}."
    if one.parity != "certified":
        return f"The two do not compute the same step: {one.parity}."
    return (
        f"The two compute the same step from the same weights and samples: parity is certified, and its largest error "
        f"is {one.parity_error:.1e}. So rounding over many steps is what is left."
    )


def _sentence(one: LearningComparison) -> str:
    blocks = "1 block" if one.blocks == 1 else f"{one.blocks} blocks"
    reason = f" ({one.reason})" if one.reason else ""
    return f"{one.cell} against {one.reference}, {one.figure}: {one.verdict}, x {ratio(one.ratio)}, {blocks}{reason}"


def _digits(estimate: Estimate | None, digits: int) -> str:
    """Return an estimate with its interval, with so many digits after the point."""
    if estimate is None:
        return UNKNOWN
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:,.{digits}f}"
    return f"{estimate.value:,.{digits}f} [{estimate.low:,.{digits}f}, {estimate.high:,.{digits}f}]"
