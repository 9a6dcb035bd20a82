"""`stepmark new workload` writes a package whose model, test and scenario are whole and short."""

import ast
import tomllib
from pathlib import Path

import pytest
import yaml

from stepmark import catalog
from stepmark.cli.verbs import new
from stepmark.errors import CannotRun
from stepmark.scenario.load import scenario_from_bytes
from stepmark.workloads import Workload


@pytest.mark.parametrize(("framework", "frameworks"), [("torch", 1), ("keras", 1), ("both", 2)])
def test_the_files_of_a_package_fit_together(framework: str, frameworks: int) -> None:
    files = new.files("acme-unet", framework)
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["entry-points"]["stepmark.workloads"] == {"acme-unet": "acme_unet:Model"}
    module: dict[str, type[Workload]] = {}
    exec(files["acme_unet.py"], module)
    workload = module["Model"]()
    assert len(workload.frameworks()) == frameworks
    ast.parse(files["test_acme_unet.py"])
    spec = scenario_from_bytes(files["scenario.yaml"].encode()).spec
    assert catalog.is_foreign(spec.workload.model)
    assert {catalog.load_engine(one.engine).SUPPORT.framework for one in spec.candidates} <= set(workload.frameworks())
    assert yaml.safe_load(files["scenario.yaml"])["spec"]["workload"]["model"] == "acme-unet/acme-unet"


@pytest.mark.parametrize("name", ["../evil", "Acme", "a b", "", "x" * 41])
def test_a_name_that_is_no_package_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="small letters, digits and dashes"):
        new.workload(name, "torch", tmp_path / "new")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    new.workload("acme", "torch", tmp_path)
    with pytest.raises(CannotRun, match="Choose another name"):
        new.workload("acme", "torch", tmp_path)
