"""Reports and answers say how long steps wait for their input, and how fast the feed is without training."""

from stepmark.analysis.feeding import Feeding
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.summary import Summary
from stepmark.questions.answer import page, said
from stepmark.questions.question import questions
from stepmark.report import html, markdown
from unit.report.example_summary import estimate, example

FEEDING = Feeding(
    way="DataLoader with 2 forked workers",
    copied=True,
    bytes_per_second=25.2e6,
    wait_ratio=Estimate(value=0.125, low=0.1, high=0.15),
    ceiling_samples_per_second=estimate(3000.0),
)


def fed(feeding: Feeding) -> Summary:
    """A summary whose first cell, of 2,254 samples a second, is fed."""
    whole = example()
    return whole.model_copy(
        update={"cells": (whole.cells[0].model_copy(update={"feeding": feeding}), *whole.cells[1:])}
    )


def test_both_reports_have_the_figures_of_a_feed() -> None:
    rate = example().cells[0].samples_per_second
    assert rate is not None
    values = [
        "torch.eager.float32.w1", "DataLoader with 2 forked workers", "yes", "25.2", "12.5% [10.0%, 15.0%]",
        f"{rate.median:,.0f}", "3,000 [2,910, 3,090]", f"{3000 / rate.median:.2f}",
    ]  # fmt: skip
    assert f"| {' | '.join(values)} |" in markdown.render(fed(FEEDING))
    page_of_html = html.render(fed(FEEDING))
    assert all(f"<td>{value}</td>" in page_of_html for value in values[1:])


def test_what_a_feed_does_not_know_is_a_dash() -> None:
    unknown = FEEDING.model_copy(update={"copied": None, "ceiling_samples_per_second": None})
    [row] = [line for line in markdown.render(fed(unknown)).splitlines() if "DataLoader" in line]
    assert row.count("| – ") == 3


def test_a_report_of_resident_samples_has_no_such_table() -> None:
    assert "fed by" not in markdown.render(example())
    assert "How steps are fed" not in html.render(example())


def test_the_answer_about_input_begins_with_the_wait() -> None:
    question = next(one for one in questions() if one.answered_by == "input")
    assert question.number == 7
    first = said(question, fed(FEEDING))[0]
    assert "waits for its input in 12.5% of the time; without training its feed gives" in first
    assert "## Input" in page(question, fed(FEEDING))
