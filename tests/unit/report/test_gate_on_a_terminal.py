import io
from typing import Any

from rich.console import Console

from stepmark.analysis.alike import Difference
from stepmark.analysis.gate_report import GateCell, GateHistory, GateReport, GateSide, LeftOut
from stepmark.analysis.intervals import Estimate
from stepmark.report import gate


def cell(key: str, verdict: str, fails: bool, value: float, **more: object) -> GateCell:
    estimate = Estimate(value=value, low=value / 2e3, high=value * 2e3)
    known = {"key": key, "verdict": verdict, "fails": fails, "ratio": estimate, "old_seconds": 0.01, "reason": "why"}
    return GateCell.model_validate(known | more)


def shown(*cells: GateCell, unlike: tuple[Difference, ...] = (), **more: Any) -> str:
    side = GateSide(folder="[bold]f[/]\x1b", scenario="s", scenario_digest="0", stepmark_version="0", host="h")
    changed = (Difference(kind="changed", field="package torch", old=None, new="2"),)
    report = GateReport(
        passed=not any(one.fails for one in cells), old=side, new=side, minimum_effect=0.01, family_error=0.05,
        interval_level=0.999, unlike=unlike, changed=changed, cells=cells, **more,
    )  # fmt: skip
    console = Console(file=io.StringIO(), width=400)
    gate.show(report, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_failed_gate_ends_with_every_cell_that_failed_it() -> None:
    text = shown(cell("a", "slower", True, 1.2, new_seconds=0.012), cell("b", "no longer runs", True, 1, ratio=None))
    end = text[text.index("gate FAILED") :]
    assert "a: why, from 10.00 to 12.00 ms: new / old 1.200" in end
    assert "b: no longer runs: why" in end


def test_changes_between_the_runs_and_unlike_machines_are_listed() -> None:
    unlike = (Difference(kind="machine", field="cpu_model", old="X", new="Y"),)
    text = shown(cell("a", "faster", False, 0.8), unlike=unlike)
    assert "changed: package torch: none -> 2" in text
    assert "machine: cpu_model: expected X as in the old run, found Y" in text
    assert "gate passed (across unlike machines or settings)" in text
    assert "gate passed:" in shown(cell("a", "faster", False, 0.8))


def test_a_note_that_many_cells_share_is_shown_once() -> None:
    text = shown(*(cell(f"c{i}", "inconclusive", False, 1, notes=("old: drifting",)) for i in range(5)))
    assert text.count("drifting") == 1
    assert "old: drifting (c0, c1, c2 and 2 more)" in text


def test_markup_is_shown_as_text_and_far_ends_of_an_interval_as_bounds() -> None:
    text = shown(cell("[red]a[/]", "inconclusive", False, 1))
    assert "[bold]f[/]" in text
    assert "[red]a[/]" in text
    assert "\x1b" not in text
    assert "1.000 [<0.001, >1000]" in text
    assert "[99.9 %]" in text


def test_the_history_and_the_runs_left_out_of_it_are_shown_above_the_answer() -> None:
    known = GateHistory(
        used=("out/1", "out/2"), left_out=(LeftOut(folder="out/3", reason="machine: cpu_model: X -> Y"),)
    )
    text = shown(cell("a", "faster", False, 0.8, campaign_spread=0.0123), history=known, warnings=("give more runs",))
    above = text[: text.index("gate passed")]
    assert "history: campaigns vary by 1.23% (old run and 2 earlier runs), and every interval includes that" in above
    assert "left out of the history: out/3: machine: cpu_model: X -> Y" in above
    assert "warning: give more runs" in above
