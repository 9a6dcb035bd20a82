"""`make docs` was run after the last change of the model, an engine or a workload."""

from conftest import ROOT
from stepmark.scenario import reference


def test_the_reference_page() -> None:
    assert (ROOT / "docs" / "scenario.md").read_text() == reference.page()


def test_the_schema_for_editors() -> None:
    assert (ROOT / "docs" / "scenario.schema.json").read_text() == reference.schema()


def test_every_field_of_the_document_is_described() -> None:
    assert "|  |\n" not in reference.page()
