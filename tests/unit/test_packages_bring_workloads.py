"""Workloads and engines are found by the entry points of installed packages, stepmark's own like those of others."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from conftest import scenario_document
from packages import on_path, write_package
from stepmark import catalog
from stepmark.cli.verbs.doctor import Finding, _of_others
from stepmark.errors import CannotRun, ScenarioErrors
from stepmark.runs.machine import check_names
from stepmark.runs.own_file import workload_file
from stepmark.scenario.load import scenario_from_object

UNET = {"workloads:unet": "Acme_Unet:WORKLOAD"}


def test_every_file_of_an_engine_or_workload_is_declared_as_an_entry_point() -> None:
    for kind, names in (("engines", catalog.engine_names()), ("workloads", catalog.workload_names())):
        files = (Path(catalog.__file__).parent / kind).glob("[!_]*.py")
        assert set(names) == {file.stem.replace("_", "-") for file in files}


def test_the_workload_of_another_package_is_named_after_it_and_listed_without_being_imported(tmp_path: Path) -> None:
    with on_path(write_package(tmp_path, "Acme.Unet".replace(".", "-"), UNET, "raise SystemExit('imported')")):
        assert catalog.names_of_others("workloads") == ("acme-unet/unet",)
        assert catalog.why_not("workloads", "acme-unet/unet") is None
        assert "Acme_Unet" not in sys.modules


def test_a_workload_may_be_an_object_or_the_class_that_makes_it(tmp_path: Path) -> None:
    entries = {"workloads:one": "acme:WORKLOAD", "workloads:other": "acme:Scripted"}
    with on_path(write_package(tmp_path, "acme", entries)):
        for name in ("acme/one", "acme/other"):
            assert catalog.load_workload(name).frameworks() == ("sleeper",)


def test_an_engine_of_another_package_is_loaded_as_a_module(tmp_path: Path) -> None:
    with on_path(write_package(tmp_path, "acme", {"engines:fast": "acme"}, "SUPPORT = 'all'")):
        assert catalog.load_engine("acme/fast").SUPPORT == "all"


def test_what_is_not_installed_is_refused_with_what_is_and_the_package_to_install(tmp_path: Path) -> None:
    scenario = scenario_from_object(scenario_document(workload={"model": "acme/unet"}))
    with on_path(write_package(tmp_path, "other", {"workloads:vit": "other:WORKLOAD"})), pytest.raises(CannotRun) as e:
        check_names(scenario.spec, None)
    assert ", ".join([*catalog.workload_names(), "other/vit"]) in str(e.value)
    assert "mlp, resnet, scripted, transformer" in str(e.value)
    assert "Install the package acme" in str(e.value)


@pytest.mark.parametrize("name", ["acme", "stepmark"])
def test_a_package_cannot_take_the_name_of_a_builtin_workload(tmp_path: Path, name: str) -> None:
    with on_path(write_package(tmp_path, name, {"workloads:mlp": "evil:WORKLOAD"})):
        if name == "acme":
            assert type(catalog.load_workload("mlp")).__module__ == "stepmark.workloads.mlp"
        else:
            with pytest.raises(CannotRun, match="one module of the package stepmark, found evil:WORKLOAD and"):
                catalog.load_workload("mlp")


def test_a_package_that_calls_itself_stepmark_adds_no_name(tmp_path: Path) -> None:
    with on_path(write_package(tmp_path, "stepmark", {"workloads:own": "evil:WORKLOAD"})):
        assert "own" not in catalog.workload_names()
        assert catalog.why_not("workloads", "own") is not None


def test_two_packages_of_one_name_are_refused(tmp_path: Path) -> None:
    one = write_package(tmp_path / "1", "acme", {"workloads:unet": "acme:WORKLOAD"})
    two = write_package(tmp_path / "2", "acme", {"workloads:unet": "acme.other:WORKLOAD"})
    with on_path(one, two), pytest.raises(CannotRun, match=r"found acme\.other:WORKLOAD and acme:WORKLOAD"):
        catalog.load_workload("acme/unet")


def test_an_installation_without_stepmarks_entry_points_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "distributions", lambda: [])
    with on_path(), pytest.raises(CannotRun, match="Install stepmark anew"):
        catalog.workload_names()


@pytest.mark.parametrize("name", ["../evil/x", "acme/unet/x", "acme.unet:X", "/unet", "acme/", "a/" + "x" * 80])
def test_a_scenario_names_no_path_and_no_module(name: str) -> None:
    with pytest.raises(ScenarioErrors, match=r"spec\.workload\.model: expected"):
        scenario_from_object(scenario_document(workload={"model": name}))


def test_the_doctor_says_which_package_brings_a_workload(tmp_path: Path) -> None:
    with on_path(write_package(tmp_path, "acme", {"workloads:unet": "acme:WORKLOAD"}, "raise SystemExit('imported')")):
        assert _of_others("workloads", "acme/unet") == Finding("workload acme/unet", True, "package acme 1.0")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("my_model.py", "expected FILE:NAME"),
        ("my_model.py:a-b", "expected FILE:NAME"),
        ("absent.py:UNET", "expected a readable Python file"),
        ("my_model.py:Other", "spec.workload.model: expected local/other"),
    ],
)
def test_a_file_of_ones_own_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_model.py").write_text("")
    spec = scenario_from_object(scenario_document(workload={"model": "local/unet"})).spec
    found = workload_file("my_model.py:UNET", spec)
    assert found is not None
    assert found.path == tmp_path / "my_model.py"
    with pytest.raises(CannotRun, match=said):
        workload_file(given, spec)


def test_a_cluster_takes_no_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    spec = scenario_from_object(scenario_document(workload={"model": "local/unet"})).spec
    with pytest.raises(CannotRun, match="found a cluster"):
        workload_file("my_model.py:UNET", spec)
