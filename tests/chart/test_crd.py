"""charts/stepmark/templates/crd, as Helm gives it to the cluster."""

from typing import Any

from rendering import kind, objects


def definition(**values: Any) -> dict[str, Any]:
    return kind(objects(**values), "CustomResourceDefinition")["scenarios.stepmark.dev"]


def test_uninstalling_keeps_it_unless_told_otherwise() -> None:
    assert definition()["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in definition(crds={"keep": False})["metadata"]


def test_it_can_be_left_to_somebody_else() -> None:
    assert not kind(objects("little"), "CustomResourceDefinition")
