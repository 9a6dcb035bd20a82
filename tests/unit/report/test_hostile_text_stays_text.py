"""Names and reasons come from documents and other processes: no markup of theirs is obeyed."""

import io

import pytest
from rich.console import Console

from stepmark.analysis.cells import CellResult
from stepmark.analysis.summary import Summary
from stepmark.report import markdown, terminal
from stepmark.results.certificate import Certificate
from stepmark.results.environment import describe
from stepmark.scenario.model import Measurement

HOSTILE = "[bold red]x[/] | <script>alert(1)</script> `y` [link](javascript:1)\n# heading"


@pytest.fixture
def summary() -> Summary:
    cell = CellResult(
        key="k", candidate=HOSTILE, engine="e", strategy="s", variant=None, execution="eager", levels=("default",),
        precision="float32", options=(), workers=1, processes=1, batch_per_worker=1, global_batch=1,
        launches=0, launches_failed=1,
        verdict="failed", reason=HOSTILE, parity=f"not comparable: {HOSTILE}",
    )  # fmt: skip
    return Summary(
        scenario=HOSTILE, scenario_digest="0" * 64, stepmark_version="0", seed=0, launcher="bare", forked=True,
        blocks=1,
        workload=HOSTILE, mode="weak", measurement=Measurement(), break_evens=(),
        cells=(cell,), comparisons=(), environment=describe(), parity="required",
        certificates=(Certificate(cell="k", reference=HOSTILE, badge="not comparable", text=HOSTILE),),
    )  # fmt: skip


def test_in_markdown(summary: Summary) -> None:
    text = markdown.render(summary)
    assert "<script>" not in text
    assert "\n# heading" not in text
    assert "[link](" not in text
    row = next(line for line in text.splitlines() if line.startswith("| ") and "script" in line)
    assert row.replace("\\|", "").count("|") == 16


def test_on_a_terminal(summary: Summary) -> None:
    console = Console(file=io.StringIO(), width=400)
    terminal.show(summary, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[bold red]x[/]" in shown


def test_what_is_unknown_is_a_dash_and_not_zero(summary: Summary) -> None:
    row = next(line for line in markdown.render(summary).splitlines() if "failed |" in line)
    assert row.count("–") >= 5
    assert " 0.00" not in row
