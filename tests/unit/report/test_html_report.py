"""What the HTML report holds, whatever the run."""

import re
from html.parser import HTMLParser

import pytest

from stepmark.analysis.summary import Summary
from stepmark.report import headline, html
from stepmark.report.plots.svg import linear_axis, log_axis, ratio_axis
from unit.report.example_summary import example

VOID = {"meta", "link", "br"}


class Outline(HTMLParser):
    """Checks that elements are nested, and collects headings, images, titles and table heads without a scope."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.images = self.titles = 0
        self.unscoped: list[str] = []
        self.feed(document)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.titles += tag == "title" and self.open[-1] == "svg"
        self.images += tag == "svg" and given.get("role") == "img" and "aria-label" not in given
        if tag == "th" and given.get("scope") not in ("row", "col"):
            self.unscoped.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page() -> str:
    return html.render(example())


def text_of(page: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", page).split())


def test_the_page_forbids_scripts_and_loads_nothing(page: str) -> None:
    assert "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"" in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href|url\()\s*=?\s*[\"']?(?:https?:)?//", page)


def test_headings_images_and_tables_are_marked_for_screen_readers(page: str) -> None:
    outline = Outline(page)
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    assert all(below - above <= 1 for above, below in zip(outline.headings, outline.headings[1:], strict=False))
    assert outline.images == outline.titles > 40
    assert not outline.unscoped


def test_the_verdict_comes_first_and_in_words(page: str) -> None:
    text = text_of(page)
    words = "keras against torch: faster in 2, slower in 2, inconclusive in 4 of 8 comparisons"
    order = [
        text.index(part) for part in (words, "14.8% less time per step", "Utilization and cost", "bench-01 kernel")
    ]
    assert order == sorted(order)


def test_every_cell_has_its_verdict_and_undecided_is_not_shown_as_an_error(page: str) -> None:
    for word, kind in (("undecided", "open"), ("steady", "good"), ("failed", "bad"), ("unsupported", "none")):
        assert f'<span class="pill {kind}">{word}</span>' in page
    assert "rank 5 made no step for 60 s" in page
    assert "XLA compiles no all-reduce" in page


def test_the_median_without_the_first_ten_steps_is_shown_beside_the_median(page: str) -> None:
    assert "14.20 [13.92, 14.48] first ten dropped: 14.36" in text_of(page)


def test_speed_ups_are_named_after_the_mode_of_scaling(page: str) -> None:
    weak, strong = text_of(page), text_of(html.render(example().model_copy(update={"mode": "strong"})))
    assert "scaled speed-up (weak)" in weak
    assert "scaled serial fraction" in weak
    assert "speed-up (strong)" in strong
    assert "(weak)" not in strong
    assert "scaled serial fraction" not in strong


def test_the_page_says_why_a_split_a_peak_or_a_break_even_is_missing(page: str) -> None:
    text = text_of(page)
    assert "this strategy cannot leave out its exchange (keras.compiled.float32.w1, keras.compiled.float32.w2)" in text
    assert "vendor's peak: unknown for these devices" in text.replace("&#39;", "'")
    assert "keras.b starts 1 s later than torch.a and never catches up" in text
    assert "rank 7 on node-b is 6.0% slower" in text


def nothing_measured() -> Summary:
    whole = example()
    failed = [cell for cell in whole.cells if cell.step_seconds is None]
    return whole.model_copy(
        update={"cells": tuple(failed), "comparisons": (), "break_evens": (), "parity": "skipped", "certificates": ()}
    )


def test_a_run_in_which_every_cell_failed_has_a_report() -> None:
    text = text_of(html.render(nothing_measured()))
    assert headline.NOTHING_TO_COMPARE in text
    assert "Nothing valid was measured." in text
    assert "Not checked: the scenario says parity: skipped." in text


def test_a_page_of_many_cells_is_below_three_megabytes_and_folds_most_of_them() -> None:
    page = html.render(example(precisions=4, more_candidates=5))
    assert len(page.encode()) < 3e6
    assert "All 224 cells as a table" in page
    assert "180 more" in page


def test_axes_hold_their_values_and_few_ticks() -> None:
    for low, high in ((0.0, 20.3), (0.0117, 0.0119), (-0.3, 9.0), (3.0, 3.0)):
        axis = linear_axis(low, high)
        assert axis.low <= low <= high <= axis.high
        assert 2 <= len(axis.ticks) <= 8
    assert linear_axis(0.0, 3000.0).low == 0.0
    assert ratio_axis([0.9, 1.05]).at(1.0) == pytest.approx(50)
    assert ratio_axis([1e-3, 1e3]).at(1e3) == 100.0
    assert log_axis(0.01, 1.0).at(0.1) == pytest.approx(50)
