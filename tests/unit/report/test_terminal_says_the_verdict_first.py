"""After a run, a person reads sentences first, then the table, then one note for each kind of trouble."""

import io

import pytest
from rich.console import Console

from stepmark.analysis.compare import Comparison, Verdict
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.summary import Summary
from stepmark.report import headline, terminal
from unit.report.example_summary import example


def comparison(verdict: Verdict, value: float, reason: str = "", workers: int = 1) -> Comparison:
    ratio = Estimate(value=value, low=value * 0.95, high=value * 1.05)
    return Comparison(
        candidate="keras", reference="torch", execution="default", candidate_execution="graph",
        reference_execution="eager", precision="float32", workers=workers, ratio=ratio, blocks=7, parity="certified",
        verdict=verdict, reason=reason,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (
            comparison("slower", 1.4),
            "keras (graph) needs 1.40 times as long a step as torch (eager) with 1 worker: 1.33 to 1.47.",
        ),
        (
            comparison("faster", 0.8, workers=2),
            "torch (eager) needs 1.25 times as long a step as keras (graph) with 2 workers: 1.19 to 1.32.",
        ),
        (
            comparison("slower", 1.02),
            "keras (graph) needs 1.020 times as long a step as torch (eager) with 1 worker: 0.969 to 1.071.",
        ),
        (
            comparison("slower", 1.12),
            "keras (graph) needs 1.12 times as long a step as torch (eager) with 1 worker: 1.06 to 1.18.",
        ),
        (
            comparison("no measurable difference", 1.0, "within 1.0%"),
            "keras (graph) and torch (eager) need equally long steps with 1 worker: no measurable difference, "
            "within 1.0%.",
        ),
        (
            comparison("inconclusive", 1.0, "steps were still changing"),
            "keras (graph) against torch (eager) with 1 worker: inconclusive, steps were still changing.",
        ),
    ],
)
def test_a_comparison_is_told_in_one_sentence(one: Comparison, told: str) -> None:
    assert headline.headlines([one]) == [told]


def test_decided_comparisons_come_first_and_many_comparisons_are_counted() -> None:
    left_open, decided = comparison("inconclusive", 1.0, "too wide"), comparison("slower", 2.0, workers=2)
    assert "times as long" in headline.headlines([left_open, decided])[0]
    [line] = headline.headlines([left_open] * 3 + [decided] * 2)
    assert line == "keras against torch: slower in 2, inconclusive in 3 of 5 comparisons."


def test_a_pair_with_one_comparison_is_told_with_its_ratio_however_many_pairs_there_are() -> None:
    several = [comparison("slower", 2.0).model_copy(update={"candidate": f"c{number}"}) for number in range(5)]
    assert all("needs 2.00 times as long a step" in line for line in headline.headlines(several))


def test_a_busy_machine_is_mentioned_with_the_verdict() -> None:
    summary = example()
    cells = [
        one.model_copy(update={"disturbance": one.disturbance.model_copy(update={"taken_share_median": 0.64})})
        for one in summary.cells
    ]
    assert headline.of_run(summary) == headline.headlines(summary.comparisons)
    told = headline.of_run(summary.model_copy(update={"cells": tuple(cells)}))[-1]
    assert told.startswith("The machine was busy: others took 64.0% of a cell's cores")


def on_a_terminal(summary: Summary) -> list[str]:
    screen = io.StringIO()
    terminal.show(summary, Console(file=screen, width=80))
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def test_the_verdict_is_the_first_line_and_no_line_is_wider_than_a_page() -> None:
    lines = on_a_terminal(example())
    assert lines[0].startswith("keras against torch: ")
    assert max(map(len, lines)) <= terminal.WIDTH


def test_each_kind_of_trouble_is_one_note_with_a_count() -> None:
    text = " ".join(" ".join(on_a_terminal(example())).split())
    assert "2 of 16 cells are undecided: " in text
    assert text.count("undecided:") == 1
    assert "3 cells have slow ranks. torch.eager.float32.w8: rank 7 on node-b is 6.0% slower" in text
    assert "(2 more in report.md)" in text
