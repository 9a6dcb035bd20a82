"""values.yaml, values.schema.json and the chart's README agree, and mistakes in values are refused."""

from typing import Any

import pytest
import yaml
from rendering import CHART, kind, objects, render

from stepmark.controller.profiles import Profile
from stepmark.generate import chart_readme, chart_values

VALUES = (CHART / "values.yaml").read_text()


def test_a_value_without_a_comment_is_refused() -> None:
    with pytest.raises(ValueError, match=r"line 3: expected a comment '# -- ...' above hub.replicas"):
        chart_readme.page("hub:\n  # says nothing in the right form\n  replicas: 1\n")


def keys(document: Any, prefix: str = "") -> set[str]:
    if not isinstance(document, dict):
        return {prefix}
    return {prefix} | {key for name, value in document.items() for key in keys(value, f"{prefix}.{name}")}


def test_every_key_of_the_model_is_in_values_yaml() -> None:
    values = yaml.safe_load(VALUES)
    parsed = chart_values.Values.model_validate_json(yaml_to_json(values)).model_dump(mode="json", by_alias=True)
    without_profiles = {key: value for key, value in parsed.items() if key != "profiles"}
    # The keys of a Peer and of Resources may be absent; every other key is written out.
    assert {k for k in keys(without_profiles) - keys(values) if not k.endswith((".requests", ".limits"))} == set()


def yaml_to_json(values: Any) -> str:
    import json

    return json.dumps(values)


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"hubb": {}}, "hubb"),
        ({"hub": {"replica": 1}}, "replica"),
        ({"hub": {"replicas": "two"}}, "replicas"),
        ({"hub": {"replicas": 0}}, "replicas"),
        ({"hub": {"anonymousRead": "yes"}}, "anonymousRead"),
        ({"hub": {"publicUrl": "javascript:alert(1)"}}, "publicUrl"),
        ({"hub": {"service": {"type": "ExternalName"}}}, "type"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"watchNamespaces": "bench"}, "watchNamespaces"),
        ({"watchNamespaces": ["Bench"]}, "watchNamespaces"),
        ({"controller": {"resources": {"request": {}}}}, "request"),
        ({"controller": {"tolerations": {}}}, "tolerations"),
        ({"networkPolicy": {"kubeRay": {"podLabel": {}}}}, "podLabel"),
        ({"monitoring": {"serviceMonitor": {"enable": True}}}, "enable"),
        ({"monitoring": {"podMonitor": {"interval": "often"}}}, "interval"),
        ({"policy": {"admission": {"actions": ["Allow"]}}}, "actions"),
        ({"test": {"timeoutSeconds": "900"}}, "timeoutSeconds"),
        ({"profiles": {"default": {"imgae": "x"}}}, "imgae"),
        ({"profiles": {"default": {"image": "$(reboot)"}}}, "image"),
        ({"profiles": {"default": {"shmSizeBytes": "16Gi"}}}, "shmSizeBytes"),
        ({"profiles": {"default": {"limits": {"maxWorker": 1}}}}, "maxWorker"),
        ({"profiles": {"default": {"head": {"memory": 4}}}}, "memory"),
        ({"profiles": {"default": {"tolerations": [{"operator": "Maybe"}]}}}, "operator"),
        ({"profiles": {"default": {"ncclEnvironment": {"LD_PRELOAD": "x"}}}}, "LD_PRELOAD"),
        ({"profiles": {"default": {"cpuPerWorker": "-1"}}}, "cpuPerWorker"),
        ({"profiles": {"new": {}}}, "image"),
    ],
)
def test_a_mistake_in_the_values_is_refused_and_its_place_named(values: dict[str, Any], place: str) -> None:
    done = render(values)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr
    assert place in done.stderr


@pytest.mark.parametrize(
    "values",
    [
        {"profiles": {"default": {"cpuPerWorker": 0.5}}},
        {"profiles": {"default": {"cpuPerWorker": "500m"}}},
        {"profiles": {"new": {"image": "registry.example:5000/a/b:1@sha256:" + "0" * 64}}},
        {"hub": {"persistence": {"size": 10737418240}}},
        {"controller": {"resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}},
        {"global": {"somethingOfAnotherChart": 1}},
    ],
)
def test_valid_values_are_accepted(values: dict[str, Any]) -> None:
    done = render(values)
    assert done.returncode == 0, done.stderr


def test_every_key_of_a_profile_reaches_the_controller() -> None:
    given: dict[str, Any] = {
        "image": "a:1",
        "extraRayJobLabels": {"team": "speed"},
        "ncclEnvironment": {"NCCL_DEBUG": "INFO"},
        "pricePerWorkerHour": 1.5,
        "limits": {"maxWorkers": 1},
    }
    found = kind(objects(profiles={"new": given}), "ConfigMap")["stepmark-profiles"]["data"]["profiles.yaml"]
    from stepmark.controller.profiles import profiles_from_text

    assert profiles_from_text(found)["new"] == Profile.model_validate_json(yaml_to_json(given))
