"""docs/metrics.md describes every series, board and alert, and is refused without the marks of its tables."""

import re
from typing import Any

import pytest
import yaml

from conftest import ROOT
from stepmark.generate import rules
from stepmark.generate.metrics_page import with_parts
from stepmark.telemetry.names import METRICS

RULES = yaml.safe_load((ROOT / rules.FILE).read_text())
PAGE = (ROOT / "docs" / "metrics.md").read_text()


def test_every_series_board_and_alert_is_described() -> None:
    boards = [path.stem for path in (ROOT / "charts" / "stepmark" / "dashboards").glob("*.json")]
    described = [f"| `{metric}` |" for metric in METRICS] + [f"| `{uid}` |" for uid in boards]
    assert [text for text in described if text not in PAGE] == []
    assert [alert.name for alert in rules.ALERTS if f"### {alert.name}\n" not in PAGE] == []


@pytest.mark.parametrize("rule", [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule])
def test_the_runbook_of_an_alert_is_a_heading_of_a_page_that_exists(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in [heading.lower().replace(" ", "-") for heading in headings]


def test_a_page_of_metrics_without_the_marks_of_its_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="series"):
        with_parts("# Nothing here\n")
