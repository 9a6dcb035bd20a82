"""Every report says what share of the cores others took, and how many launches do not count because of that."""

import io

import pytest
from rich.console import Console

from stepmark.analysis.disturbance import Disturbance
from stepmark.analysis.summary import Summary
from stepmark.report import html, machine, markdown, terminal
from unit.report.example_summary import example


def on_a_terminal(summary: Summary) -> str:
    screen = io.StringIO()
    terminal.show(summary, Console(file=screen, width=200))
    return screen.getvalue()


@pytest.mark.parametrize("render", [on_a_terminal, markdown.render, html.render])
def test_every_report_says_in_a_sentence_what_others_took(render) -> None:  # type: ignore[no-untyped-def]
    text = " ".join(render(example()).split())
    assert "Others took at most 31.0% of a rank" in text
    assert "3 of 73 launches were disturbed and do not count; 3 were made again." in text


def test_a_table_shows_for_each_cell_what_others_took() -> None:
    rows = {row[0]: row[1:] for row in machine.rows(example())}
    assert rows["torch.eager.float32.w1"] == ["1.2%", "2.0%", "0", "0"]
    assert rows["torch.eager.float32.w8"] == ["1.2%", "31.0%", "1", "1"]


@pytest.mark.parametrize(
    ("disturbed", "again", "words"),
    [
        (1, 3, "1 of 9 launches was disturbed and does not count; 3 were made again."),
        (2, 1, "2 of 9 launches were disturbed and do not count; 1 was made again."),
        (1, 0, "1 of 9 launches was disturbed and does not count; 0 were made again."),
    ],
)
def test_each_number_of_launches_has_its_verb(disturbed: int, again: int, words: str) -> None:
    found = Disturbance(launches_made=9, launches_disturbed=disturbed, launches_made_again=again)
    summary = example()
    cells = (summary.cells[0].model_copy(update={"disturbance": found}),)
    assert words in machine.sentence(summary.model_copy(update={"cells": cells}))


def test_a_share_that_is_unknown_is_called_unknown() -> None:
    summary = example()
    unknown = [cell.model_copy(update={"disturbance": Disturbance(launches_made=2)}) for cell in summary.cells]
    summary = summary.model_copy(update={"cells": tuple(unknown)})
    assert machine.sentence(summary) == f"{machine.UNKNOWN} No launch was disturbed."
    assert machine.rows(summary)[0][1:3] == ["–", "–"]
