"""Reports and answers show real tokens, padding and recompilations of cells whose samples differ in length."""

from stepmark.analysis.length_figures import LengthFigures
from stepmark.analysis.step_times import Rate
from stepmark.questions.answer import page, said
from stepmark.questions.question import questions
from stepmark.report import html, lengths, markdown, notes
from unit.report.example_summary import example

FIGURES = LengthFigures(
    shapes=16,
    padding_ratio=0.25,
    tokens_per_second=Rate(median=12345, low=12000, high=12700),
    recompiles=15,
    graph_breaks=None,
    compile_seconds=None,
    first_visit_seconds=7.5,
)
SLOWER = FIGURES.model_copy(update={"tokens_per_second": Rate(median=6000, low=None, high=None), "recompiles": None})
PLAIN = example()
SUMMARY = PLAIN.model_copy(
    update={
        "cells": (
            PLAIN.cells[0].model_copy(update={"lengths": SLOWER}),
            PLAIN.cells[1].model_copy(update={"lengths": FIGURES}),
            *PLAIN.cells[2:],
        )
    }
)


def test_every_report_has_real_tokens_padding_and_recompiles() -> None:
    for text in (markdown.render(SUMMARY), html.render(SUMMARY)):
        for part in ("12,345 [12,000, 12,700]", "25.0%", "7.50", "real tokens/s"):
            assert part in text
    assert [row[2:6] for row in lengths.rows(SUMMARY)] == [
        ["6,000", "25.0%", "16", "–"],
        ["12,345 [12,000, 12,700]", "25.0%", "16", "15"],
    ]
    assert any("12,345 [12,000, 12,700] real tokens/s" in note for note in notes.notes(SUMMARY))


def test_a_report_without_lengths_does_not_mention_them() -> None:
    assert "different lengths" not in markdown.render(PLAIN)
    assert "different lengths" not in html.render(PLAIN)


def test_the_answer_begins_with_who_trains_most_real_tokens() -> None:
    question = next(one for one in questions() if one.answered_by == "lengths")
    assert "trains most real tokens per second, 12,345;" in said(question, SUMMARY)[0]
    assert "0.49 times as many" in said(question, SUMMARY)[0]
    assert "| 12,345 [12,000, 12,700] | 25.0% | 16 | 15 |" in page(question, SUMMARY)
