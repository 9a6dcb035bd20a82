"""docs/metrics.md describes every series, board and alert, and is refused without the marks of its tables."""

import pytest

from conftest import ROOT
from stepmark.generate import rules
from stepmark.generate.metrics_page import with_parts
from stepmark.telemetry.names import METRICS

PAGE = (ROOT / "docs" / "metrics.md").read_text()


def test_every_series_board_and_alert_is_described() -> None:
    boards = [path.stem for path in (ROOT / "charts" / "stepmark" / "dashboards").glob("*.json")]
    described = [f"| `{metric}` |" for metric in METRICS] + [f"| `{uid}` |" for uid in boards]
    assert [text for text in described if text not in PAGE] == []
    assert [alert.name for alert in rules.ALERTS if f"### {alert.name}\n" not in PAGE] == []


def test_a_page_of_metrics_without_the_marks_of_its_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="series"):
        with_parts("# Nothing here\n")
