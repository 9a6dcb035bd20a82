"""Show what `time-to-accuracy` found: a table of the cells, and a sentence for each comparison."""

from collections.abc import Iterator

from rich.table import Table

from stepmark.analysis.intervals import Estimate
from stepmark.analysis.learning import LearningComparison, LearningResult, LearningSummary
from stepmark.report.rich_tables import common_ending, shown, titled
from stepmark.report.words import UNKNOWN, ratio

HEADINGS = ("cell", "reached", "steps [95 %]", "seconds [95 %]", "joules", "accuracy [95 %]")


def learning_table(summary: LearningSummary) -> Table:
    """Return one row for each cell: how often and when it reached the target, and its accuracy in the end."""
    table = titled(f"to an accuracy of {summary.accuracy:g}, in at most {summary.max_steps} steps")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "cell" else "right", no_wrap=True)
    ending = common_ending([one.cell for one in summary.results])
    for one, (cell, *figures) in zip(summary.results, rows(summary), strict=True):
        style = None if one.state == "reached" else "red"
        table.add_row(*map(shown, (cell.removesuffix(ending), *figures)), style=style)
    return table


def rows(summary: LearningSummary) -> list[list[str]]:
    """Return the table's rows as texts, one for each cell."""
    return [_row(one) for one in summary.results]


def _row(one: LearningResult) -> list[str]:
    figures = _digits(one.steps, 0), _digits(one.seconds, 2), _digits(one.joules, 1), _digits(one.accuracy, 3)
    return [one.cell, _reached(one), *figures]


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


def headlines(summary: LearningSummary) -> Iterator[str]:
    """Yield which accuracies differ, with what parity says of them, and when each cell reached the target."""
    by_cell = {one.cell: one for one in summary.results}
    for one in summary.comparisons:
        if one.figure == "accuracy" and one.verdict in ("lower", "higher"):
            yield _differs(one, by_cell[one.cell], by_cell[one.reference])
    for result in summary.results:
        yield _when(result, summary.accuracy)


def sentences(summary: LearningSummary) -> Iterator[str]:
    """Yield the headlines, then what may be claimed of each comparison, and how it was measured."""
    yield from headlines(summary)
    yield from map(_sentence, summary.comparisons)
    disturbed = sum(one.disturbed for one in summary.results)
    if disturbed:
        yield (
            f"{disturbed} of {sum(one.launches for one in summary.results)} launches were disturbed by others on the "
            "machine; their seconds and joules are left out. Measure on a machine with nothing else on it."
        )
    yield how(summary)


def _when(one: LearningResult, accuracy: float) -> str:
    if one.problem:
        return f"{one.cell}: {one.state}: {one.problem}"
    if one.state == "not reached":
        missed = one.launches - one.reached
        return f"{one.cell}: an accuracy of {accuracy:g} is not reached in {missed} of {one.launches} launches."
    return (
        f"{one.cell} reaches an accuracy of {accuracy:g} after {_digits(one.steps, 0)} steps and "
        f"{_digits(one.seconds, 2)} s."
    )


def how(summary: LearningSummary) -> str:
    """Return on what the cells were trained, and how closely steps are known."""
    every = summary.evaluate_every_steps
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
