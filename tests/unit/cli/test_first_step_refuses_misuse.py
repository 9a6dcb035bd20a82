"""What `stepmark first-step` cannot measure is refused before anything starts, and nothing is written."""

from pathlib import Path

import pytest
import typer

from conftest import ROOT, CommandLine
from stepmark.cli.verbs.first_step import Wanted, first_step
from stepmark.errors import CannotRun, ScenarioError
from stepmark.results.starts import FILE

SCENARIOS = ROOT / "scenarios"


def wanted(out: Path, edit: str | None = None, resume: bool = False) -> Wanted:
    return Wanted(1, edit, out, resume, "bare")


@pytest.mark.parametrize(
    ("scenario", "edit", "kind", "said"),
    [
        ("quickstart", "classes", typer.BadParameter, "expected NAME=VALUE, found 'classes'"),
        ("quickstart", "wide=7", ScenarioError, "--edit: wide: expected"),
        ("quickstart", "hidden=[1]", ScenarioError, "--edit: .*expected"),
        ("collectives", None, CannotRun, "expected a model that is trained, found collective"),
    ],
)
def test_misuse_is_refused(tmp_path: Path, scenario: str, edit: str | None, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        first_step(SCENARIOS / f"{scenario}.yaml", wanted(tmp_path / "out", edit), as_json=False)
    assert not (tmp_path / "out").exists()


def test_a_record_that_is_damaged_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"starts": [1]}')
    scenario = CommandLine(tmp_path).scenario()
    with pytest.raises(CannotRun, match="expected the starts of `stepmark first-step`"):
        first_step(scenario, wanted(tmp_path, resume=True), as_json=False)
