"""Every committed file that is generated is what `make generate` would write now."""

from pathlib import Path

import pytest

from conftest import ROOT
from stepmark.generate import scenario_page
from stepmark.generate.documents import documents

DOCUMENTS = documents(ROOT)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_generated_file_is_what_the_code_generates(path: Path) -> None:
    assert path.read_text() == DOCUMENTS[path], "stale: run make generate"


def test_no_dashboard_is_committed_that_is_no_longer_generated() -> None:
    assert set((ROOT / "charts" / "stepmark" / "dashboards").glob("*.json")) <= DOCUMENTS.keys()


def test_every_field_of_the_scenario_is_described() -> None:
    assert "|  |\n" not in scenario_page.page()
