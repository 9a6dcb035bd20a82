"""The committed rules are accepted by promtool and fire when they should (stepmark.rules.test.yaml)."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from promtool import PROMTOOL, needs_promtool

from conftest import ROOT
from stepmark.generate import rules
from stepmark.telemetry.names import METRICS

COMMITTED = ROOT / rules.FILE
CASES = Path(__file__).parent / "stepmark.rules.test.yaml"


@needs_promtool
def test_promtool_accepts_the_rules() -> None:
    subprocess.run([PROMTOOL, "check", "rules", "--lint=all", "--lint-fatal", COMMITTED], check=True)


@needs_promtool
def test_alerts_fire_when_they_should_and_only_then() -> None:
    tested = subprocess.run([PROMTOOL, "test", "rules", CASES.name], cwd=CASES.parent, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_fires_in_at_least_one_case() -> None:
    fired = {
        test["alertname"]
        for group in yaml.safe_load(CASES.read_text())["tests"]
        for test in group["alert_rule_test"]
        if test["exp_alerts"]
    }
    assert fired == {alert.name for alert in rules.ALERTS}


@pytest.mark.parametrize("alert", rules.ALERTS, ids=lambda alert: alert.name)
def test_an_alert_uses_known_metric_names_and_says_what_to_do(alert: rules.Alert) -> None:
    recorded = {one.record for one in rules.RECORDINGS}
    used = set(re.findall(r"(?:configuration:)?stepmark_[a-z0-9_:]+", alert.expr))
    assert used
    assert used <= {metric.name for metric in METRICS} | recorded
    assert alert.what_to_do.endswith(".")
