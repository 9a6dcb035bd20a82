"""NOTES.txt: what is missing, and the next command. Helm prints it only with a cluster, so it is rendered apart."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from rendering import CHART, EVERYTHING, render

KUBERAY, PROMETHEUS, KUEUE = (
    "ray.io/v1/RayJob",
    "monitoring.coreos.com/v1/ServiceMonitor",
    "kueue.x-k8s.io/v1beta2/LocalQueue",
)


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """Copy the chart with its notes as an object, so that `helm template` renders them."""
    copy = Path(shutil.copytree(CHART, tmp_path / "stepmark"))
    notes = copy / "templates" / "NOTES.txt"
    (copy / "templates" / "_notes.tpl").write_text('{{- define "notes" }}' + notes.read_text() + "{{ end }}")
    (copy / "templates" / "notes.yaml").write_text('notes: |\n  -\n  {{- include "notes" . | nindent 2 }}\n')
    notes.unlink()
    return copy


def notes(chart: Path, values: dict[str, Any], *capabilities: str) -> str:
    options = [option for one in capabilities for option in ("--api-versions", one)]
    done = render(values, "--show-only", "templates/notes.yaml", *options, chart=chart)
    assert done.returncode == 0, done.stderr
    return str(yaml.safe_load(done.stdout)["notes"])


def test_the_notes_name_the_next_commands_where_nothing_is_missing(chart: Path) -> None:
    said = notes(chart, {"watchNamespaces": ["team-a", "team-b"]}, KUBERAY)
    assert "MISSING" not in said
    assert "the scenarios of: team-a, team-b" in said
    assert "helm test stepmark --namespace bench" in said
    assert "stepmark submit scenarios/sleeper.yaml --namespace team-a --watch" in said
    assert "-o go-template='{{.data.admin | base64decode}}'" in said


def test_the_notes_warn_where_runs_share_the_namespace_of_the_tokens(chart: Path) -> None:
    said = notes(chart, {}, KUBERAY)
    assert "stepmark submit scenarios/sleeper.yaml --namespace bench-runs --watch" in said
    assert "Note: watchNamespaces" not in said
    assert "can read the hub's admin" in notes(chart, {"watchNamespaces": ["bench"]}, KUBERAY)


def test_the_notes_warn_where_no_policy_lets_the_ingress_controller_in(chart: Path) -> None:
    values = {"hub": {"publicUrl": "https://stepmark.example", "ingress": {"enabled": True}}}
    assert "Note: networkPolicy.hubClients is empty" in notes(chart, values, KUBERAY)
    let_in: dict[str, Any] = values | {"networkPolicy": {"hubClients": [{"namespaceSelector": {}}]}}
    assert "hubClients" not in notes(chart, let_in, KUBERAY)


def test_the_notes_say_that_kuberay_is_missing(chart: Path) -> None:
    assert "MISSING: KubeRay" in notes(chart, {})


def test_the_notes_name_a_queue_without_kueue(chart: Path) -> None:
    values = {"profiles": {"default": {"queueName": "benchmarks"}}}
    assert "MISSING: Kueue. Profile default names the queue benchmarks" in notes(chart, values, KUBERAY)
    assert "MISSING" not in notes(chart, values, KUBERAY, KUEUE)


def test_the_notes_name_monitors_without_their_operator_or_its_label(chart: Path) -> None:
    unlabelled = {"monitoring": {"podMonitor": {"enabled": True}}}
    said = notes(chart, unlabelled, KUBERAY)
    assert "MISSING: the Prometheus operator" in said
    assert "--set monitoring.podMonitor.labels.release=ITS_RELEASE_NAME" in said
    said = notes(chart, EVERYTHING, KUBERAY, PROMETHEUS)
    assert "MISSING" not in said
    assert "no `release`" not in said
