"""What a call of `fit` takes beside its steps is reduced from the records, and told in the notes of every report."""

import pytest

from stepmark.analysis.calls import rest_of_call_seconds
from stepmark.report.notes import notes
from stepmark.results.record import LaunchHeader, RankReport, Window
from unit.report.example_summary import example

MS = 1_000_000


def header(*ranks: list[int | None]) -> LaunchHeader:
    """A launch whose ranks made a warm-up and then measured windows, each with such a rest of its call in ms."""

    def window(kind: str, rest: int | None) -> Window:
        rest = None if rest is None else rest * MS
        return Window.model_validate({"kind": kind, "steps": 5, "host_nanoseconds": MS, "call_nanoseconds": rest})

    reports = tuple(
        RankReport.model_construct(windows=(window("warmup", 999), *(window("measured", rest) for rest in rests)))  # type: ignore[call-arg]
        for rests in ranks
    )
    return LaunchHeader.model_construct(ranks=reports)  # type: ignore[call-arg]


def test_the_slowest_ranks_median_over_its_measured_windows_counts() -> None:
    assert rest_of_call_seconds(header([2, 3, 40], [5, 6, 7])) == pytest.approx(0.006)


def test_a_launch_of_the_written_out_loop_has_no_call() -> None:
    assert rest_of_call_seconds(header([None, None])) is None
    assert rest_of_call_seconds(header()) is None


def test_the_note_names_each_cell_that_fit_trained() -> None:
    summary = example()
    assert not [note for note in notes(summary) if "call of fit" in note]
    first, *rest = summary.cells
    first = first.model_copy(update={"rest_of_call_seconds": 0.01234})
    [note] = [one for one in notes(summary.model_copy(update={"cells": (first, *rest)})) if "call of fit" in one]
    assert note.endswith(f"which no figure contains: {first.key} 12.3 ms.")
