"""The gate as JUnit XML, which stays well-formed whatever texts are in it."""

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepmark.analysis.alike import Difference
from stepmark.analysis.gate_report import GateCell, GateReport, GateSide
from stepmark.analysis.intervals import Estimate
from stepmark.report import junit

RATIO = Estimate(value=1.2, low=1.1, high=1.3)


def report(*cells: GateCell, **changes: Any) -> GateReport:
    side = GateSide(folder="f", scenario="s", scenario_digest="0", stepmark_version="0", host="h")
    whole = GateReport(
        passed=False, old=side, new=side, minimum_effect=0.01, family_error=0.05, interval_level=0.95, unlike=(),
        changed=(Difference(kind="changed", field="package torch", old="1", new="2"),), cells=cells,
    )  # fmt: skip
    return whole.model_copy(update=changes)


def parsed(whole: GateReport) -> ElementTree.Element:
    return ElementTree.fromstring(junit.render(whole).encode())


SLOWER = GateCell(key="slow", verdict="slower", reason="grew", fails=True, ratio=RATIO, old_seconds=1, new_seconds=1.2)
SAME = GateCell(key="same", verdict="no measurable difference", reason="within 1%", fails=False, ratio=RATIO)
LOST = GateCell(key="lost", verdict="no longer runs", reason="failed: killed", fails=True)
NEW = GateCell(key="new", verdict="not measured in old", reason="not asked for", fails=False)


def test_every_cell_is_a_test_case_and_the_counts_of_the_suite_agree() -> None:
    suite = parsed(report(SLOWER, SAME, LOST, NEW)).find("testsuite")
    assert suite is not None
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["4", "2", "0", "1"]
    outcomes = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert outcomes == {
        "slow": ["failure", "system-out"],
        "same": ["system-out"],
        "lost": ["failure", "system-out"],
        "new": ["skipped", "system-out"],
    }


def test_a_failure_says_how_much_slower_the_cell_is_and_what_changed() -> None:
    failure = parsed(report(SLOWER)).find(".//failure")
    assert failure is not None
    assert "1.200 [1.100, 1.300]" in failure.get("message", "")
    assert "package torch: 1 -> 2" in (failure.text or "")


def test_a_comparison_of_unlike_runs_says_so_in_every_case() -> None:
    unlike = (Difference(kind="machine", field="cpu_model", old="X", new="Y"),)
    cases = list(parsed(report(SLOWER, SAME, NEW, unlike=unlike)).iter("testcase"))
    assert all("unlike machine" in "".join(case.itertext()) for case in cases)


def test_a_warning_is_shown_in_every_case_and_in_the_suite() -> None:
    suite = parsed(report(SLOWER, SAME, NEW, warnings=("no history: give runs",))).find("testsuite")
    assert suite is not None
    assert all("no history: give runs" in "".join(case.itertext()) for case in suite.iter("testcase"))
    assert [p.get("value") for p in suite.iter("property") if p.get("name") == "warning"] == ["no history: give runs"]
    assert "no history: give runs" in (suite.findtext("system-out") or "")


@given(text=st.text(st.characters(categories=None), max_size=40))
@pytest.mark.filterwarnings("ignore")
def test_no_text_makes_the_xml_malformed(text: str) -> None:
    hostile = GateCell(key=text, verdict="no longer runs", reason=f"<x>&]]>{text}\x00\x1b[31m\ud800\ufffe", fails=True)
    assert parsed(report(hostile)).find(".//failure") is not None
    unchecked = hostile.model_copy(update={"key": f"{text}\x00\ufffe", "reason": "\x0b"})
    case = parsed(report(unchecked)).find(".//testcase")
    assert case is not None
    assert "\x00" not in case.get("name", "")
