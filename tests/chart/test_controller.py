"""The controller's part of the chart: charts/stepmark/templates/controller."""

import json
from typing import Any

import pytest
import yaml
from rendering import CASES, CHART, kind, objects
from typer.testing import CliRunner

from stepmark.cli.commands.controller import app
from stepmark.controller.profiles import profiles_from_text
from stepmark.controller.settings import Settings


def controller(case: str = "defaults", **values: Any) -> dict[str, Any]:
    return kind(objects(case, **values), "Deployment")["stepmark-controller"]["spec"]


@pytest.mark.parametrize("case", CASES)
def test_the_controller_can_read_the_mounted_profiles(case: str) -> None:
    mounted = kind(objects(case), "ConfigMap")["stepmark-profiles"]["data"]["profiles.yaml"]
    assert {"default", "sandbox"} <= profiles_from_text(mounted).keys()


def test_large_sizes_in_profiles_stay_whole_numbers() -> None:
    found = objects(profiles={"default": {"shmSizeBytes": 68719476736, "memoryPerWorker": "128Gi"}})
    mounted = kind(found, "ConfigMap")["stepmark-profiles"]["data"]["profiles.yaml"]
    assert profiles_from_text(mounted)["default"].shm_size_bytes == 68719476736  # type: ignore[union-attr]


def test_a_profile_that_is_set_to_null_is_removed() -> None:
    found = objects(profiles={"sandbox": None}, test={"profile": "default"})
    assert set(json.loads(kind(found, "ConfigMap")["stepmark-profiles"]["data"]["profiles.yaml"])) == {"default"}


def test_the_default_profiles_run_the_version_of_the_chart() -> None:
    chart, values = (yaml.safe_load((CHART / name).read_text()) for name in ("Chart.yaml", "values.yaml"))
    images = {profile["image"] for profile in values["profiles"].values()}
    assert images == {f"stepmark/runner:{chart['appVersion']}"}


def test_a_new_controller_is_there_before_the_former_one_goes() -> None:
    spec = controller()
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "RollingUpdate")
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_changed_profiles_restart_the_controller_and_equal_ones_do_not() -> None:
    before, same, after = (
        controller(**values)["template"]["metadata"]["annotations"]["checksum/profiles"]
        for values in ({}, {"hub": {"anonymousRead": True}}, {"profiles": {"default": {"cpuPerWorker": 3}}})
    )
    assert before == same != after


def test_the_controller_mounts_the_register_token_and_not_the_admins() -> None:
    volumes = {volume["name"]: volume for volume in controller()["template"]["spec"]["volumes"]}
    assert [item["key"] for item in volumes["token"]["secret"]["items"]] == ["register"]


def test_the_controllers_roles_are_in_the_watched_namespaces_alone() -> None:
    found = objects("everything-in-two-namespaces")
    of_controller = {name for name in kind(found, "Role") if name.endswith("stepmark-controller")}
    assert of_controller == {"team-a/stepmark-controller", "team-b/stepmark-controller"}
    for binding in (kind(found, "RoleBinding")[name] for name in of_controller):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "stepmark-controller", "namespace": "bench"}]


def test_the_controller_reaches_only_dns_the_hub_and_the_api_server() -> None:
    policy = kind(objects(), "NetworkPolicy")["stepmark-controller"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    dns, hub, api = policy["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert hub["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "hub"
    assert api == {"ports": [{"port": 443}, {"port": 6443}]}
    assert [port for rule in policy["ingress"] for port in rule["ports"]] == [{"port": "metrics"}]


def test_the_controller_accepts_its_command_line_in_the_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Settings] = []
    monkeypatch.setattr("stepmark.controller.serve.serve", given.append)
    arguments = controller("everything-in-two-namespaces")["template"]["spec"]["containers"][0]["args"]
    assert arguments[0] == "controller"
    done = CliRunner().invoke(app, arguments[1:])
    assert done.exit_code == 0, done.output
    (settings,) = given
    assert settings.namespaces == ("team-a", "team-b")
    assert settings.hub_url == "http://stepmark-hub.bench.svc:8080"
    assert (settings.lease_namespace, settings.lease_name) == ("bench", "stepmark-controller")
    for name in ("max_runs_per_namespace", "ttl_seconds_after_finished", "threads", "lease_seconds", "log_level"):
        assert getattr(settings, name) == Settings.model_fields[name].default, "values.yaml has another default"
    assert settings.hub_peer is not None
    assert settings.hub_peer.pod_labels["app.kubernetes.io/component"] == "hub"
    assert settings.operator_peer.pod_labels == {"app.kubernetes.io/component": "kuberay-operator"}


def test_the_paths_on_the_controllers_command_line_are_mounted() -> None:
    container = controller()["template"]["spec"]["containers"][0]
    mounts = tuple(f"{mount['mountPath']}/" for mount in container["volumeMounts"])
    paths = [argument.partition("=")[2] for argument in container["args"] if "=/" in argument]
    assert len(paths) == 2
    assert all(path.startswith(mounts) for path in paths)
