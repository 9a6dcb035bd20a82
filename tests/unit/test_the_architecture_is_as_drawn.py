"""docs/architecture.md names every package, in an order in which imports go down."""

import re

from conftest import ROOT
from unit.test_imports_go_one_way import GROUND, MAY_IMPORT

PAGE = (ROOT / "docs" / "architecture.md").read_text()


def listed() -> list[str]:
    rows = re.findall(r"^\| (`[^|]*`) \|", PAGE, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_every_package_is_listed_once() -> None:
    assert sorted(listed()) == sorted(MAY_IMPORT.keys() - GROUND)


def test_imports_go_down_the_list_except_those_for_the_type_checker() -> None:
    order = listed()
    upward = {
        (name, other)
        for name in order
        for other in MAY_IMPORT[name]
        if order.index(other) > order.index(name) and name not in ("catalog", "interpreters")
    }
    assert not upward


def test_the_journey_is_drawn_with_packages_that_exist() -> None:
    drawing = PAGE.split("```mermaid")[1].split("```")[0]
    words = set(re.findall(r"(?:^|-->(?:\|[^|]*\|)?|---)\s*([a-z]+)\b", drawing, re.MULTILINE)) - {
        "flowchart",
        "subgraph",
    }
    ends = {"file", "verdict", "prometheus", "object", "end"}
    assert words - ends <= MAY_IMPORT.keys()
    assert {"scenario", "plan", "orchestrate", "launch", "engines", "results", "analysis", "report"} <= words
