"""The definition of Scenario, as Helm brings it to the cluster: charts/stepmark/templates/crd."""

from typing import Any

from rendering import kind, objects


def definition(**values: Any) -> dict[str, Any]:
    return kind(objects(**values), "CustomResourceDefinition")["scenarios.stepmark.dev"]


def test_uninstalling_keeps_the_definition_unless_told_otherwise() -> None:
    assert definition()["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in definition(crds={"keep": False})["metadata"]


def test_the_definition_can_be_left_out_of_the_chart() -> None:
    assert not kind(objects("little"), "CustomResourceDefinition")
