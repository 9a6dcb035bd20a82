"""Make the page that answers a question, and the index of all, from stored summaries. Nothing on them is typed."""

from collections.abc import Mapping

import jinja2

from stepmark.analysis.cells import CellResult
from stepmark.analysis.feeding import Feeding
from stepmark.analysis.learning import LearningSummary
from stepmark.analysis.summary import Summary
from stepmark.questions import learning
from stepmark.questions.question import Question, questions
from stepmark.report import headline, lengths, markdown, sentences, tables, words
from stepmark.report.learning import headlines

Answer = Summary | LearningSummary
"""What answers a question, by the verb that measures it."""

COMPARED_HEADINGS = ("compared", "setting", "mean step, ratio [interval]", "blocks", "verdict", "parity")
CELL_HEADINGS = (
    "cell", "workers", "batch per worker", "median step ms [95 %]", "samples/s", "efficiency", "start s", "peak MiB",
    "parity", "steps",
)  # fmt: skip


def stored(question: Question, text: str) -> Answer:
    """Return the summary that was stored as JSON of this question."""
    kind = LearningSummary if question.measured_by == "time-to-accuracy" else Summary
    return kind.model_validate_json(text)


def page(question: Question, summary: Answer) -> str:
    """Return the page of a question as Markdown. The same question and summary always give the same page."""
    if isinstance(summary, LearningSummary):
        return learning.page(question, summary)
    return markdown.rendered(
        jinja2.PackageLoader("stepmark.questions", "."),
        "answer.md.jinja",
        q=question,
        s=summary,
        said=said(question, summary),
        compared=_compared(summary),
        cells=[_cell(cell) for cell in summary.cells],
        headings=(COMPARED_HEADINGS, CELL_HEADINGS),
        machine=[pair for pair in words.environment(summary.environment) if pair[0] != "host"],
        words=words,
        sentences=sentences,
        tables=tables,
        lengths=lengths,
    )


def index(answers: Mapping[str, Answer]) -> str:
    """Return the page that lists all questions. `answers` maps the name of each answered question to its summary."""
    rows = [(question, answers.get(question.name)) for question in questions()]
    return markdown.rendered(
        jinja2.PackageLoader("stepmark.questions", "."),
        "index.md.jinja",
        rows=[(question, None if found is None else said(question, found)[0]) for question, found in rows],
    )


def said(question: Question, summary: Answer) -> list[str]:
    """Return the answer in sentences: what the question asks for, the verdicts, then what more workers gave.

    Where executions are compared, when a slower start has paid comes last, if it was not asked for.
    """
    if isinstance(summary, LearningSummary):
        return list(headlines(summary))
    scaled = [_scaled(cell) for cell in summary.cells if cell.workers > 1 and cell.scaling is not None]
    executions = any(c.candidate == c.reference and c.reference_precision is None for c in summary.comparisons)
    paid = [f"{one.text}." for one in summary.break_evens] if executions else []
    verdicts = [*headline.of_run(summary), *scaled]
    asked = {
        "verdicts": [],
        "memory": _memory(summary),
        "break-even": paid,
        "lengths": _lengths(summary),
        "parity": _alike(summary),
        "input": [_fed(cell, cell.feeding) for cell in summary.cells if cell.feeding is not None],
    }[question.answered_by]
    return list(dict.fromkeys([*asked, *verdicts, *paid]))


def _memory(summary: Summary) -> list[str]:
    known = [(cell.peak_memory_bytes, cell) for cell in summary.cells if cell.peak_memory_bytes is not None]
    if not known:
        return []
    (least, cell), *larger = sorted(known, key=lambda pair: pair[0])
    first = f"{words.cell_name(cell)} needs least memory, {words.memory(cell)} MiB at its peak"
    others = [f"{words.cell_name(other)} {peak / least:.2f} times as much" for peak, other in larger]
    return [f"{'; '.join([first, *others])}."]


def _lengths(summary: Summary) -> list[str]:
    known = [(cell.lengths.tokens_per_second.median, cell) for cell in summary.cells if cell.lengths is not None]
    if not known:
        return []
    (most, cell), *fewer = sorted(known, key=lambda pair: -pair[0])
    first = f"{words.cell_name(cell)} trains most real tokens per second, {most:,.0f}"
    others = [f"{words.cell_name(other)} {rate / most:.2f} times as many" for rate, other in fewer]
    return [f"{'; '.join([first, *others])}.", *(f"{line}." for line in lengths.lines(summary))]


def _alike(summary: Summary) -> list[str]:
    """Return how far each engine's training is from the reference's, by the parity checks of the cells as timed."""
    named = {cell.key: words.cell_name(cell) for cell in summary.cells}
    found = []
    for certificate in summary.certificates:
        stages = {stage.name: stage for stage in certificate.stages}
        timed, exact = stages.get("as timed"), stages.get("float64")
        if timed is None or timed.engine == timed.reference_engine:
            continue
        in_float64 = "" if exact is None else f", and by {exact.figures.worst:.1e} in float64"
        found.append(
            f"{named[certificate.cell]} learns what {timed.reference_engine} does from the same weights and samples: "
            f"logits, losses, gradients and weights differ by {timed.figures.worst:.1e} at most{in_float64}."
            if timed.passed
            else f"{named[certificate.cell]} does not learn what {timed.reference_engine} does: {timed.problem}."
        )
    return found


def _fed(cell: CellResult, fed: Feeding) -> str:
    ceiling, rate = fed.ceiling_samples_per_second, cell.samples_per_second
    alone = ""
    if ceiling is not None and rate is not None:
        alone = f"; without training its feed gives {ceiling.value / rate.median:.2f} times its samples per second"
    return f"{words.cell_name(cell)} waits for its input in {words.percent(fed.wait_ratio.value)} of the time{alone}."


def _scaled(cell: CellResult) -> str:
    assert cell.scaling is not None
    found = cell.scaling.speedup
    interval = "" if found.low is None else f": {found.low:.2f} to {found.high:.2f}"
    return (
        f"{words.cell_name(cell)} makes {found.value:.2f} times the samples per second of one worker with "
        f"{words.workers(cell.workers)}{interval}."
    )


def _compared(summary: Summary) -> list[list[str]]:
    return [
        [
            " against ".join(words.sides(one)),
            words.setting(one),
            words.ratio(one.ratio),
            str(one.blocks),
            ": ".join(part for part in (one.verdict, one.reason) if part),
            one.parity,
        ]
        for one in summary.comparisons
    ]


def _cell(cell: CellResult) -> list[str]:
    return [
        words.cell_name(cell),
        str(cell.workers),
        str(cell.batch_per_worker),
        words.step_time(cell),
        words.rate(cell),
        words.efficiency(cell),
        words.startup_total(cell),
        words.memory(cell),
        words.parity(cell),
        cell.verdict,
    ]
