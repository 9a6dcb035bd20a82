"""The monitoring part of the chart: charts/stepmark/templates/monitoring."""

import json

import pytest
import yaml
from rendering import CHART, kind, objects

KINDS = ("ServiceMonitor", "PodMonitor", "PrometheusRule")


def test_the_chart_has_no_monitoring_objects_unless_asked_for() -> None:
    found = objects()
    assert not [one for one in found if one["kind"] in KINDS]
    assert set(kind(found, "ConfigMap")) == {"stepmark-profiles", "stepmark-test"}


@pytest.mark.parametrize("name", KINDS)
def test_monitoring_objects_have_the_labels_and_namespace_of_the_values(name: str) -> None:
    for found in kind(objects("everything"), name).values():
        assert found["metadata"]["labels"]["release"] == "monitoring"
        assert found["metadata"]["labels"]["app.kubernetes.io/name"] == "stepmark"
        assert found["metadata"]["namespace"] == "monitoring"


def test_each_service_monitor_selects_only_its_metrics_service() -> None:
    found = objects("everything")
    services = kind(found, "Service")
    for name, monitor in kind(found, "ServiceMonitor").items():
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        chosen = [key for key, one in services.items() if wanted <= one["metadata"]["labels"].items()]
        assert chosen == [f"{name}-metrics"]
        assert monitor["spec"]["namespaceSelector"]["matchNames"] == ["bench"]
        assert monitor["spec"]["sampleLimit"] == 20000


def test_the_pod_monitor_scrapes_runs_in_the_watched_namespaces() -> None:
    spec = kind(objects("everything-in-two-namespaces"), "PodMonitor")["stepmark-runs"]["spec"]
    assert spec["namespaceSelector"]["matchNames"] == ["team-a", "team-b"]
    assert {"key": "stepmark.dev/scenario-uid", "operator": "Exists"} in spec["selector"]["matchExpressions"]
    assert [endpoint["port"] for endpoint in spec["podMetricsEndpoints"]] == ["metrics", "live"]
    for endpoint in spec["podMetricsEndpoints"]:
        assert endpoint["honorLabels"] is False
        assert endpoint["metricRelabelings"][0]["action"] == "keep"


def test_every_alert_rule_is_in_the_prometheus_rule() -> None:
    written = [
        g for path in sorted((CHART / "rules").glob("*.yaml")) for g in yaml.safe_load(path.read_text())["groups"]
    ]
    assert written
    assert kind(objects("everything"), "PrometheusRule")["stepmark"]["spec"]["groups"] == written


def test_every_board_is_in_a_config_map_unchanged() -> None:
    boards = {path.name: json.loads(path.read_text()) for path in (CHART / "dashboards").glob("*.json")}
    assert boards
    found = [
        one
        for one in kind(objects("everything"), "ConfigMap").values()
        if "grafana_dashboard" in one["metadata"]["labels"]
    ]
    assert {name: json.loads(text) for one in found for name, text in one["data"].items()} == boards
    assert all(len(json.dumps(one)) < 1_000_000 for one in found)  # An object may have 1.5 MB.
