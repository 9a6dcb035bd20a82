"""Names and reasons come from documents and other processes: no markup of theirs is obeyed."""

import io
from html.parser import HTMLParser

import pytest
from rich.console import Console

from stepmark.analysis.cells import CellResult
from stepmark.analysis.summary import Summary
from stepmark.report import html, markdown, terminal
from stepmark.results.certificate import Certificate
from stepmark.results.environment import describe
from stepmark.scenario.model import Measurement
from unit.report.example_summary import example

HOSTILE = (
    "[bold red]x[/] | <script>alert(1)</script> `y` [link](javascript:1)\n# heading"
    " </style></title></svg>\"><img src=x onerror=alert(1)> ' onload='alert(1) &amp; {{ 7 * 7 }}"
)


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


class Elements(HTMLParser):
    """Names of all elements and attributes, and all text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile_everywhere() -> Summary:
    """Whatever a document or another process may have written, in a summary whose plots are all drawn."""
    plain = example()
    renamed = {"candidate": HOSTILE, "key": HOSTILE, "reason": HOSTILE, "precision": HOSTILE, "options": (HOSTILE,)}
    compared = {"candidate": HOSTILE, "reference": HOSTILE, "reason": HOSTILE, "parity": HOSTILE}
    return plain.model_copy(
        update={
            "scenario": HOSTILE,
            "workload": HOSTILE,
            "cells": tuple(cell.model_copy(update=renamed) for cell in plain.cells),
            "comparisons": tuple(one.model_copy(update=compared) for one in plain.comparisons),
            "break_evens": tuple(one.model_copy(update={"text": HOSTILE}) for one in plain.break_evens),
            "certificates": tuple(one.model_copy(update={"text": HOSTILE}) for one in plain.certificates),
            "environment": plain.environment.model_copy(update={"host": HOSTILE, "packages": {HOSTILE: HOSTILE}}),
        }
    )


def test_in_html_no_text_becomes_an_element_or_an_attribute() -> None:
    expected, found = Elements(html.render(example())), Elements(html.render(hostile_everywhere()))
    assert found.tags <= expected.tags
    assert found.attributes <= expected.attributes
    assert not {"script", "img", "iframe", "object", "form", "base"} & found.tags
    assert "<script>alert(1)</script>" in found.text
    assert "{{ 7 * 7 }}" in found.text


def test_in_html_what_cannot_be_seen_or_turns_lines_around_is_replaced(summary: Summary) -> None:
    text = html.render(summary.model_copy(update={"scenario": "a\x00\x1b\u202eb\ud800"}))
    assert "<h1>a\ufffd\ufffd\ufffdb\ufffd</h1>" in text
    assert text.encode()


def test_what_is_unknown_is_a_dash_and_not_zero(summary: Summary) -> None:
    row = next(line for line in markdown.render(summary).splitlines() if "failed |" in line)
    assert row.count("–") >= 5
    assert " 0.00" not in row
    assert " 0.00" not in Elements(html.render(summary)).text
