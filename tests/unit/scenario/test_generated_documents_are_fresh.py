"""`make generate` was run after the last change of the model, an engine or a workload."""

from conftest import ROOT
from stepmark.scenario import crd, reference


def test_the_reference_page() -> None:
    assert (ROOT / "docs" / "scenario.md").read_text() == reference.page()


def test_the_schema_for_editors() -> None:
    assert (ROOT / "docs" / "scenario.schema.json").read_text() == reference.schema()


def test_the_custom_resource_definition() -> None:
    assert (ROOT / "charts" / "stepmark" / "templates" / "crd" / "scenarios.yaml").read_text() == crd.template()


def test_every_field_of_the_document_is_described() -> None:
    assert "|  |\n" not in reference.page()
