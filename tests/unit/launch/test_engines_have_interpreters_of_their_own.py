"""With STEPMARK_ENGINE_PYTHONS an engine runs in the interpreter of its extra, which is asked what packages it has."""

import sys
import venv
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import ROOT
from stepmark import __version__, catalog, interpreters
from stepmark.errors import CannotRun
from stepmark.launch.spawn import FreshChild, Zygote, child_environment
from stepmark.results import environment
from stepmark.runs import machine
from unit.launch.test_files_of_a_child_are_not_trusted import spec


@pytest.fixture
def torch_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an interpreter for the extra torch with stepmark's sources and no package at all, and return its path."""
    venv.create(tmp_path / "torch", symlinks=True)
    packages = next((tmp_path / "torch").glob("lib/python3*/site-packages"))
    (packages / "stepmark.pth").write_text(str(ROOT / "services"))
    monkeypatch.setenv("STEPMARK_ENGINE_PYTHONS", str(tmp_path))
    return tmp_path / "torch" / "bin" / "python"


def test_an_engine_runs_in_the_interpreter_of_its_extra_if_there_is_one(torch_python: Path) -> None:
    own = [name for name in catalog.engine_names() if interpreters.python_of(name) == str(torch_python)]
    assert own == [name for name in catalog.engine_names() if catalog.load_engine(name).SUPPORT.extra == "torch"]
    assert {"keras-torch", "torch"} <= set(own)
    assert interpreters.python_of("sleeper") == interpreters.python_of("keras-jax") == sys.executable
    assert interpreters.pythons() == [sys.executable, str(torch_python)]


def test_without_the_variable_every_engine_runs_in_this_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEPMARK_ENGINE_PYTHONS", raising=False)
    assert interpreters.pythons() == [sys.executable]


def test_missing_modules_are_those_that_the_engines_interpreter_lacks(torch_python: Path) -> None:
    assert machine.missing_modules("keras-torch") == ["torch", "keras"]
    assert interpreters.missing(str(torch_python), ["json", "nothing"]) == ["nothing"]


def test_a_package_of_two_versions_is_recorded_with_both(torch_python: Path) -> None:
    here = environment.describe().packages["numpy"]
    packages = next(torch_python.parent.parent.glob("lib/python3*/site-packages"))
    (packages / "numpy-0.1.dist-info").mkdir()
    (packages / "numpy-0.1.dist-info" / "METADATA").write_text("Name: numpy\nVersion: 0.1\n")
    assert environment.describe().packages["numpy"] == f"{here}, 0.1"


def test_an_interpreter_without_stepmark_or_with_another_version_is_refused(torch_python: Path) -> None:
    packages = next(torch_python.parent.parent.glob("lib/python3*/site-packages"))
    (packages / "stepmark.pth").unlink()
    with pytest.raises(CannotRun, match=f"expected stepmark {__version__}, found: .*No module named"):
        machine.missing_modules("torch")
    (packages / "stepmark").mkdir()
    for name in ("__init__", "interpreters", "catalog", "errors"):
        text = (ROOT / "services" / "stepmark" / f"{name}.py").read_text()
        (packages / "stepmark" / f"{name}.py").write_text(text.replace(__version__, "0.0.9"))
    with pytest.raises(CannotRun, match=f"expected stepmark {__version__}, found: stepmark 0.0.9"):
        machine.missing_modules("torch")


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the sleeper an interpreter of its own, and return the file in which that writes the module it runs."""
    sleeper = catalog.load_engine("sleeper")
    monkeypatch.setattr(sleeper, "SUPPORT", replace(sleeper.SUPPORT, extra="asleep"))
    python = tmp_path / "asleep" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$2" > {tmp_path}/started\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("STEPMARK_ENGINE_PYTHONS", str(tmp_path))
    return tmp_path / "started"


def test_a_zygote_is_started_with_the_interpreter_of_its_engine(started: Path, tmp_path: Path) -> None:
    zygote = Zygote("sleeper", tmp_path / "socket", child_environment("sleeper", 1, tmp_path))
    zygote.wait_until_ready()
    zygote.stop()
    assert started.read_text() == "stepmark.launch.zygote\n"


def test_a_fresh_child_is_started_with_the_interpreter_of_its_engine(started: Path, tmp_path: Path) -> None:
    child = FreshChild(spec(tmp_path), child_environment("sleeper", 1, tmp_path))
    assert child.wait(60) is not None
    assert started.read_text() == "stepmark.launch.child\n"
