"""Names and reasons come from documents and other processes, so every report shows markup in them as text."""

import io
import json
from html.parser import HTMLParser

import pytest
from rich.console import Console

from stepmark.analysis.cells import CellResult
from stepmark.analysis.summary import Summary
from stepmark.report import html, markdown, terminal
from stepmark.results.certificate import Certificate
from stepmark.results.environment import Environment, describe
from stepmark.results.record import Failure
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


def test_markdown_shows_hostile_markup_as_text(summary: Summary) -> None:
    text = markdown.render(summary)
    assert "<script>" not in text
    assert "\n# heading" not in text
    assert "[link](" not in text
    row = next(line for line in text.splitlines() if line.startswith("| ") and "script" in line)
    assert row.replace("\\|", "").count("|") == 16


def test_a_terminal_shows_hostile_markup_as_text(summary: Summary) -> None:
    console = Console(file=io.StringIO(), width=400)
    terminal.show(summary, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[bold red]x[/]" in shown


STEERING = "\x1b[2J\x1b[H\x1b]52;c;eA==\x07\x1b\\ALL CELLS FASTER\r\b\x00\x7f\x9b31m\x85\u202eevil\u2066\ufeff\ud800"
"""Characters of C0, C1 and Unicode that clear a screen, write a clipboard, and reverse the direction of text."""


def steered(summary: Summary) -> Summary:
    """Return the summary with STEERING in every text that a document or another process may have written."""
    [cell], [certificate] = summary.cells, summary.certificates
    facts = {"host": STEERING, "kernel": STEERING, "packages": {STEERING: STEERING}}
    return summary.model_copy(
        update={
            "scenario": STEERING,
            "workload": STEERING,
            "stepmark_version": STEERING,
            "cells": (cell.model_copy(update={"key": STEERING, "candidate": STEERING, "reason": STEERING}),),
            "certificates": (certificate.model_copy(update={"cell": STEERING, "text": STEERING}),),
            "environment": summary.environment.model_copy(update=facts),
        }
    )


def test_a_report_on_a_terminal_has_no_control_characters(summary: Summary) -> None:
    console = Console(file=io.StringIO(), width=400)
    terminal.show(steered(summary), console)
    terminal.show_certificates(steered(summary).certificates, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert all(line.isprintable() for line in lines)
    assert "\\x1b[2J" in "".join(lines)


def test_a_markdown_report_has_no_control_characters(summary: Summary) -> None:
    lines = markdown.render(steered(summary)).split("\n")
    assert all(line.isprintable() for line in lines)


def test_control_characters_in_records_are_replaced_when_they_are_read() -> None:
    failure = Failure.model_validate_json(json.dumps({"rank": 0, "cause": STEERING[:-1], "stderr_tail": ["\x1b[2J"]}))
    assert failure.cause.replace("\r", "").isprintable()
    assert failure.stderr_tail == ("\ufffd[2J",)
    certificate = Certificate(cell="k", reference="r", badge="certified", text="a\x9bb\u202e", flags={"\x1b": "\x07"})
    assert (certificate.text, certificate.flags) == ("a\ufffdb\ufffd", {"\ufffd": "\ufffd"})
    assert Environment(**describe().model_dump() | {"host": "\x1bh"}).host == "\ufffdh"


class Elements(HTMLParser):
    """Collects the names of all elements and attributes, and all text."""

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
    """Return a summary with all plots, in which every text of a document or another process is hostile."""
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


def test_in_html_invisible_characters_and_those_that_reverse_text_are_replaced(summary: Summary) -> None:
    text = html.render(summary.model_copy(update={"scenario": "a\x00\x1b\u202eb\ud800"}))
    assert "<h1>a\ufffd\ufffd\ufffdb\ufffd</h1>" in text
    assert text.encode()


def test_an_unknown_figure_is_shown_as_a_dash_and_not_as_zero(summary: Summary) -> None:
    row = next(line for line in markdown.render(summary).splitlines() if "failed |" in line)
    assert row.count("–") >= 5
    assert " 0.00" not in row
    assert " 0.00" not in Elements(html.render(summary)).text
