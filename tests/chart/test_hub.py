"""The hub's part of the chart: charts/stepmark/templates/hub."""

import base64
from pathlib import Path
from typing import Any

import pytest
from rendering import kind, objects, render
from typer.main import get_command
from typer.testing import CliRunner

from stepmark.cli.commands.hub import app
from stepmark.hub.rights import is_ours
from stepmark.hub.settings import Grant, Settings


def hub(case: str = "defaults", **values: Any) -> dict[str, Any]:
    return kind(objects(case, **values), "Deployment")["stepmark-hub"]["spec"]


def container(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["template"]["spec"]["containers"][0]


def environment(spec: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container(spec)["env"]}


def test_a_hub_on_sqlite_has_one_pod_at_a_time_and_a_volume() -> None:
    spec = hub()
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert environment(spec)["STEPMARK_HUB_DATABASE"] == "sqlite:////var/lib/stepmark/hub.db"
    claim = kind(objects(), "PersistentVolumeClaim")["stepmark-hub"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_more_pods_than_one_on_sqlite_are_refused_with_the_remedy() -> None:
    done = render({"hub": {"replicas": 2}})
    assert done.returncode != 0
    assert "hub.replicas: expected 1, since SQLite has one writer, found 2. Set hub.postgresql.urlSecret" in done.stderr


def test_a_hub_on_postgresql_takes_its_url_from_the_secret_and_needs_no_volume() -> None:
    found = objects("postgresql")
    spec = kind(found, "Deployment")["stepmark-hub"]["spec"]
    assert environment(spec)["STEPMARK_HUB_DATABASE"] == {"secretKeyRef": {"name": "database", "key": "url"}}
    assert not kind(found, "PersistentVolumeClaim")
    assert "strategy" not in spec
    assert "results" not in {volume["name"] for volume in spec["template"]["spec"]["volumes"]}


def test_a_volume_claim_and_tokens_of_ones_own_are_used() -> None:
    found = objects("own-claim-and-tokens")
    volumes = {v["name"]: v for v in kind(found, "Deployment")["stepmark-hub"]["spec"]["template"]["spec"]["volumes"]}
    assert volumes["results"]["persistentVolumeClaim"]["claimName"] == "results"
    assert volumes["tokens"]["secret"]["secretName"] == "tokens"
    assert not kind(found, "PersistentVolumeClaim")
    assert not kind(found, "Secret")


def test_the_chart_makes_valid_tokens_that_all_differ() -> None:
    data = kind(objects(), "Secret")["stepmark-tokens"]["data"] | {
        f"second {key}": text
        for key, text in kind(objects(crds={"keep": False}), "Secret")["stepmark-tokens"]["data"].items()
    }
    tokens = {base64.b64decode(text).decode() for text in data.values()}
    assert len(tokens) == 4
    assert all(map(is_ours, tokens))


def test_the_hubs_api_and_metrics_are_two_services() -> None:
    services = kind(objects(hub={"service": {"type": "LoadBalancer"}}), "Service")
    assert [port["port"] for port in services["stepmark-hub"]["spec"]["ports"]] == [8080]
    assert services["stepmark-hub"]["spec"]["type"] == "LoadBalancer"
    assert [port["port"] for port in services["stepmark-hub-metrics"]["spec"]["ports"]] == [9090]
    assert services["stepmark-hub-metrics"]["spec"]["type"] == "ClusterIP"


def test_the_hub_has_a_kubernetes_token_only_where_it_reviews_tokens() -> None:
    assert hub()["template"]["spec"]["automountServiceAccountToken"] is False
    assert hub("everything")["template"]["spec"]["automountServiceAccountToken"] is True


def test_the_hubs_probes_use_the_health_endpoints_of_the_metrics_port() -> None:
    found = container(hub())
    assert found["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}, (
        "the metrics port is not under the API's limits"
    )
    assert found["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}


def policy(case: str) -> dict[str, Any]:
    return kind(objects(case), "NetworkPolicy")["stepmark-hub"]["spec"]


def test_runs_controller_and_helm_test_reach_the_api_and_prometheus_the_metrics() -> None:
    api, metrics = policy("everything-in-two-namespaces")["ingress"]
    controller, test, runs, ingress = api["from"]
    assert controller["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "controller"
    assert test["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "test"
    assert runs["namespaceSelector"]["matchExpressions"][0]["values"] == ["team-a", "team-b"]
    assert runs["podSelector"]["matchExpressions"] == [{"key": "stepmark.dev/scenario-uid", "operator": "Exists"}]
    assert ingress == {"podSelector": {"matchLabels": {"app": "ingress"}}}
    assert api["ports"] == [{"port": "api"}]
    assert metrics["from"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
    assert metrics["ports"] == [{"port": "metrics"}]


def test_a_hub_reaches_nothing_with_sqlite_and_dns_and_the_database_with_postgresql() -> None:
    assert policy("defaults")["egress"] == []
    dns, database = policy("postgresql")["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert database == {"ports": [{"port": 5432}]}
    assert policy("everything")["egress"][2] == {"ports": [{"port": 443}, {"port": 6443}]}


def test_network_policies_can_be_switched_off() -> None:
    assert not kind(objects("little"), "NetworkPolicy")


def test_the_hub_accepts_its_command_line_in_the_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Settings] = []
    monkeypatch.setattr("stepmark.cli.verbs.hub.serve", given.append)
    arguments = container(hub("everything"))["args"]
    assert arguments[0] == "hub"
    done = CliRunner().invoke(app, arguments[1:])
    assert done.exit_code == 0, done.output
    (settings,) = given
    assert (settings.listen, settings.metrics_listen) == ("0.0.0.0:8080", "0.0.0.0:9090")
    assert settings.public_url == "https://stepmark.example"
    assert (settings.log_format, settings.log_level) == ("text", "info")
    assert settings.anonymous_read is settings.migrate is True
    assert settings.token_review_audience == "stepmark"
    assert settings.token_review_users == {"system:serviceaccount:ci:runner": Grant(right="register")}
    assert settings.register_token_namespaces, "the controller's token is bound to the namespaces of scenarios"
    assert settings.admin_token_file == Path("/etc/stepmark/tokens/admin")


def test_the_hub_reads_its_environment_variables_in_the_chart() -> None:
    known = {parameter.envvar for parameter in get_command(app).commands["serve"].params}  # type: ignore[attr-defined]
    assert {name for name in environment(hub()) if name.startswith("STEPMARK_")} <= known
