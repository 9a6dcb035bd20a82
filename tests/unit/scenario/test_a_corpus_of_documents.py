"""Valid documents of the corpus load and invalid ones are refused. The API server's answers: tests/cluster."""

from pathlib import Path

import pytest

from conftest import ROOT
from stepmark.errors import ScenarioErrors
from stepmark.scenario.load import scenario_from_file

CORPUS = ROOT / "tests" / "corpus" / "scenarios"
INVALID = sorted((CORPUS / "invalid").glob("*.yaml"))


def layers(path: Path) -> set[str]:
    return set(path.read_text().splitlines()[0].removeprefix("# refused-by: ").split(", "))


@pytest.mark.parametrize("path", sorted((CORPUS / "valid").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_valid_document_loads(path: Path) -> None:
    scenario_from_file(path)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_document_is_refused(path: Path) -> None:
    with pytest.raises(ScenarioErrors):
        scenario_from_file(path)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_document_names_the_layers_that_refuse_it(path: Path) -> None:
    assert layers(path) <= {"schema", "cel", "pydantic"}
    assert "pydantic" in layers(path)
