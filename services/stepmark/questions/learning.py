"""Make the page of a question that is answered by training to an accuracy, from its stored summary."""

import jinja2

from stepmark.analysis.learning import LearningSummary
from stepmark.questions.question import Question
from stepmark.report import learning, markdown, sentences, tables, words

COMPARED_HEADINGS = ("compared", "figure", "ratio [interval]", "blocks", "verdict", "parity")


def page(question: Question, summary: LearningSummary) -> str:
    """Return the page of a question as Markdown. The same question and summary always give the same page."""
    return markdown.rendered(
        jinja2.PackageLoader("stepmark.questions", "."),
        "learning.md.jinja",
        q=question,
        s=summary,
        said=list(learning.headlines(summary)),
        compared=learning.compared_rows(summary),
        headings=COMPARED_HEADINGS,
        machine=[pair for pair in words.environment(summary.environment) if pair[0] != "host"],
        learning=learning,
        sentences=sentences,
        tables=tables,
        words=words,
    )
