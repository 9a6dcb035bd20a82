"""The fastest cell is named among those that train the reference's model, with how many cells were left out."""

import re

import pytest

from stepmark.analysis.cells import CellResult
from stepmark.analysis.summary import Summary
from stepmark.report import html, ranking
from unit.report.example_summary import example

REFUSED = "not comparable: gradient off by 1.4e-02"


def summary(*parities: str | None, required: str = "required") -> Summary:
    """Return a summary of cells at two workers with these parities, the slowest cell first."""
    whole = example()
    one = next(cell for cell in whole.cells if cell.workers == 2 and cell.samples_per_second)
    cells = tuple(_cell(one, index, parity) for index, parity in enumerate(parities))
    return whole.model_copy(update={"cells": cells, "comparisons": (), "parity": required})


def _cell(like: CellResult, index: int, parity: str | None) -> CellResult:
    assert like.samples_per_second is not None
    rate = like.samples_per_second.model_copy(update={"median": 100.0 * (index + 1), "low": None, "high": None})
    changes = {"key": f"c{index}", "candidate": f"c{index}", "parity": parity, "samples_per_second": rate}
    return like.model_copy(update=changes)


@pytest.mark.parametrize(
    ("parities", "required", "best", "left_out"),
    [
        (("certified", "compiled: within 2e-07"), "required", "c1", 0),
        (("certified", "certified", REFUSED), "required", "c1", 1),
        (("certified", REFUSED, None), "required", "c0", 2),
        (("certified", REFUSED, None), "reported", "c2", 1),
        ((None, None), "skipped", "c1", 0),
        ((REFUSED, None), "required", None, 2),
    ],
)
def test_a_cell_that_parity_refused_or_left_open_where_required_is_never_the_fastest(
    parities: tuple[str | None, ...], required: str, best: str | None, left_out: int
) -> None:
    [found] = ranking.fastest_cells(summary(*parities, required=required))
    assert (found.cell and found.cell.candidate, found.left_out) == (best, left_out)


def test_the_number_of_cells_left_out_is_shown_on_the_terminal_and_in_the_page() -> None:
    [line] = ranking.fastest(summary("certified", REFUSED, REFUSED))
    assert " with 2 workers by c0 " in line
    assert line.endswith("(2 cells are left out: not proven to train the reference's model)")
    [nothing] = ranking.fastest(summary(REFUSED))
    assert nothing == "none with 2 workers (1 cell is left out: not proven to train the reference's model)"
    page = html.render(summary("certified", REFUSED))
    assert "1 cell is left out: not proven to train the reference&#39;s model" in page
    assert "1 cell is left out" in html.render(summary(REFUSED))


def test_the_ranking_lists_a_refused_cell_below_all_proven_ones() -> None:
    page = html.render(summary("certified", "certified", REFUSED))
    ranking = page[page.index('id="ranking"') :]
    names = re.findall(r"<b>(c\d)</b>", ranking)
    assert names[:3] == ["c1", "c0", "c2"]
