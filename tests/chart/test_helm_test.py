"""The test of a release, `helm test`, what it does and what it may do: charts/stepmark/templates/tests."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from rendering import kind, objects, pod_specs, render
from typer.testing import CliRunner

from stepmark.cli.main import app
from stepmark.scenario.load import scenario_from_text


def test_the_scenario_of_helm_test_is_valid_and_in_the_sandbox() -> None:
    scenario = scenario_from_text(kind(objects(), "ConfigMap")["stepmark-test"]["data"]["scenario.yaml"])
    assert scenario.spec.profile == "sandbox"
    assert {candidate.engine for candidate in scenario.spec.candidates} == {"sleeper"}


def test_an_unknown_profile_for_helm_test_is_refused() -> None:
    done = render({"test": {"profile": "nowhere"}})
    assert 'test.profile: expected one of the profiles (default, sandbox), found "nowhere"' in done.stderr


def test_every_object_of_helm_test_exists_only_during_the_test() -> None:
    of_test = [
        one for one in objects() if one["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "test"
    ]
    assert {one["kind"] for one in of_test} == {"ConfigMap", "Pod", "Role", "RoleBinding", "ServiceAccount"}
    assert all(one["metadata"]["annotations"]["helm.sh/hook"] == "test" for one in of_test)


def test_helm_test_submits_in_the_first_watched_namespace_with_rights_there_alone() -> None:
    found = objects("everything-in-two-namespaces")
    pod = dict(pod_specs(found))["Pod stepmark-test"]
    assert "--namespace=team-a" in pod["containers"][0]["args"]
    assert [
        one["metadata"]["namespace"]
        for one in found
        if one["kind"] == "Role" and one["metadata"]["name"] == "stepmark-test"
    ] == ["team-a"]
    assert yaml.safe_dump(pod).count("admin") == 0


def test_submit_accepts_the_command_line_of_helm_test(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr("stepmark.cli.verbs.submit.submit", lambda *values: given.append(values))
    arguments = dict(pod_specs(objects()))["Pod stepmark-test"]["containers"][0]["args"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    ((file, target, watch, hub),) = given
    assert (file, target.namespace, watch) == (Path("/etc/stepmark/test/scenario.yaml"), "bench-runs", True)
    assert (hub.url, hub.token_file) == ("http://stepmark-hub.bench.svc:8080", Path("/etc/stepmark/token/register"))
