"""Progress says how many launches of a stage are done, and about how long the others take."""

import io

import pytest
from rich.console import Console

from stepmark.runs import progress


def test_the_time_left_follows_the_pace_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress, "monotonic", lambda: now)
    counter = progress.Counter(4)
    assert counter.left == ""
    now = 30.0
    counter.count()
    assert (counter.seconds_left, counter.left) == (90.0, ", about 90 s left")
    now = 300.0
    counter.count()
    assert counter.left == ", about 5 min left"


def test_a_stage_with_more_launches_than_planned_raises_its_total() -> None:
    counter = progress.Counter(1)
    for _ in range(2):
        counter.count()
    assert (counter.done, counter.total, counter.left) == (2, 2, "")


@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_gets_a_bar_only_where_it_can_redraw_one(monkeypatch: pytest.MonkeyPatch, widgets: bool) -> None:
    monkeypatch.setattr(progress, "find_spec", lambda name: name if widgets else None)
    assert progress.can_draw(Console(force_jupyter=True)) == widgets
    assert not progress.can_draw(Console(force_jupyter=False, file=io.StringIO()))


def test_progress_is_silent_where_nobody_wants_it(capsys: pytest.CaptureFixture[str]) -> None:
    for silent in (True, False):
        with progress.progress(silent) as told:
            told.starting("bare")
        assert bool(capsys.readouterr().err) != silent


def test_one_launch_is_made_again_and_several_are() -> None:
    said: list[str] = []
    lines = progress.Lines(said.append)
    lines.added(1)
    lines.added(2)
    assert [line.partition(" made again")[0] for line in said] == ["1 launch is", "2 launches are"]
