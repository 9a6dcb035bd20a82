"""A scenario that is shipped, written by `stepmark new` or printed in the docs has a verdict to give."""

import re
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from stepmark.cli.verbs import new

FILES = [path for folder in ("examples", "scenarios/questions") for path in sorted((ROOT / folder).glob("*.yaml"))]


def compares(document: dict) -> bool:
    spec = document["spec"]
    return len(spec["candidates"]) > 1 or spec.get("compare", "candidates") != "candidates"


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_file_names_what_is_compared(file: Path) -> None:
    assert compares(yaml.safe_load(file.read_text()))


def test_the_first_scenario_of_the_docs_names_what_is_compared() -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "own-model.md").read_text(), re.DOTALL)
    assert compares(yaml.safe_load(text))


@pytest.mark.parametrize("framework", ["torch", "keras", "both"])
def test_the_scenario_of_a_new_package_names_what_is_compared(framework: str) -> None:
    assert compares(yaml.safe_load(new.files("acme-net", framework)["scenario.yaml"]))
