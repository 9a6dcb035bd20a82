"""`import stepmark` measures from programs and notebooks as the command line does, and is interrupted as cleanly."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stepmark
from conftest import ROOT, CommandLine, needs, scenario_document
from stepmark.analysis.cells import CellResult
from stepmark.analysis.compare import Comparison

CANDIDATES = [{"name": name, "engine": "sleeper", "strategy": "parallel"} for name in ("plain", "other")]


def python(folder: Path, *arguments: object) -> str:
    """Run a program as a person does in this folder, and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment["PYTHONPATH"] = str(ROOT / "tests")
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> stepmark.Result:
    folder = tmp_path_factory.mktemp("python") / "run"
    return stepmark.run(scenario_document(candidates=CANDIDATES), folder, launcher="bare", progress=False)


def test_a_result_has_the_models_and_files_of_the_command_line(result: stepmark.Result) -> None:
    assert all(isinstance(cell, CellResult) for cell in result.cells)
    assert [type(one) for one in result.comparisons] == [Comparison]
    assert not result.failed
    assert json.loads((result.folder / "summary.json").read_text()) == json.loads(result.summary.model_dump_json())
    assert (result.folder / "report.html").exists()
    assert str(result).splitlines()[0] in (result.folder / "report.md").read_text()


def test_a_loaded_result_is_the_one_that_was_measured(result: stepmark.Result) -> None:
    loaded = stepmark.load(str(result.folder))
    assert loaded.summary == result.summary
    assert loaded.scenario == stepmark.validate(scenario_document(candidates=CANDIDATES))


def test_the_command_line_shows_what_python_measured(result: stepmark.Result, stepmark: CommandLine) -> None:
    done = stepmark("results", result.folder, "--json")
    assert json.loads(done.stdout) == json.loads(result.summary.model_dump_json())


def test_raw_steps_are_arrays_and_rows_of_one_table(result: stepmark.Result) -> None:
    key = result.cells[0].key
    records = list(result.launches(key))
    assert {record.header.cell.key for record in records} == {key}
    assert all(record.step_nanoseconds.dtype == np.int64 for record in records)
    every = np.concatenate([record.step_nanoseconds.ravel() for record in result.launches()])
    frame = result.to_pandas()
    assert frame["step_nanoseconds"].tolist() == every.tolist()
    assert result.to_arrow().column_names == list(frame.columns)


def test_a_cell_that_the_run_does_not_have_is_named_beside_those_that_it_has(result: stepmark.Result) -> None:
    with pytest.raises(KeyError, match=r"plain\.eager\.float32\.w1"):
        result.cell("nothing")


@pytest.mark.parametrize(("missing", "method"), [("arro3", "to_arrow"), ("pandas", "to_pandas")])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    result: stepmark.Result, monkeypatch: pytest.MonkeyPatch, missing: str, method: str
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(stepmark.errors.CannotRun, match=rf"expected the packages {missing}.*pip install"):
        getattr(result, method)()


def test_a_file_a_document_and_a_scenario_are_the_same(tmp_path: Path) -> None:
    document = scenario_document()
    file = tmp_path / "scenario.yaml"
    file.write_text(json.dumps(document))
    scenario = stepmark.validate(document)
    assert {stepmark.validate(given).digest() for given in (file, str(file), document, scenario)} == {scenario.digest()}


def test_refusals_are_those_of_the_command_line(result: stepmark.Result) -> None:
    wrong: dict[str, Any] = scenario_document(candidates=[CANDIDATES[0] | {"engine": "nothing"}])
    with pytest.raises(stepmark.errors.ScenarioErrors, match=r"spec.candidates\[0\].engine: expected"):
        stepmark.run(wrong)
    unchecked = stepmark.Scenario.model_validate_json(json.dumps(scenario_document(candidates=CANDIDATES[:1] * 2)))
    with pytest.raises(stepmark.errors.ScenarioErrors, match="a name that no other candidate has"):
        stepmark.run(unchecked)
    with pytest.raises(stepmark.errors.CannotRun, match="Add --resume"):
        stepmark.run(result.scenario, result.folder, launcher="bare")


@pytest.mark.timeout(900)  # Ray starts twice, which takes minutes on a machine that does other work
@pytest.mark.parametrize(("launcher", "workers"), [("bare", 2), ("ray", 1)])
def test_an_interrupted_process_without_main_guard_lives_on_and_completes_the_run(
    tmp_path: Path, launcher: str, workers: int
) -> None:
    if launcher == "ray":
        needs("ray")
    said = python(tmp_path, ROOT / "tests" / "service" / "interrupted_from_python.py", launcher, workers)
    found = json.loads(said.splitlines()[-1])
    kept = found.pop("kept")
    assert found == {"interrupted": True, "left": [], "threads": []}
    assert 0 < kept[0] < 3
    assert kept[1] == 3


def test_a_process_that_uses_ray_by_itself_is_told_so(tmp_path: Path) -> None:
    needs("ray")
    program = tmp_path / "program.py"
    program.write_text(f"import ray, stepmark\nstepmark.run({scenario_document()!r})\n")
    with pytest.raises(AssertionError, match="CannotRun: launcher ray: expected a process that does not use Ray"):
        python(tmp_path, program)


def test_the_example_script_runs_without_main_guard_and_again(tmp_path: Path) -> None:
    script = ROOT / "examples" / "from_python.py"
    said = python(tmp_path, script)
    assert "plain.eager.float32.w1 " in said
    assert python(tmp_path, script) == said


def test_the_example_notebook_runs_and_shows_its_result(tmp_path: Path) -> None:
    needs("nbformat", "nbclient", "ipykernel")
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "examples" / "notebook.ipynb", as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=280, kernel_name="python3", resources=where).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.data for output in outputs if output.output_type == "execute_result"]
    assert 'class="stepmark-result"' in shown[0]["text/html"]
    assert shown[0]["text/markdown"].startswith("**")
    assert "step_nanoseconds" not in shown[1]["text/plain"]
    assert (tmp_path / "out" / "notebook" / "results.db").exists()


def test_the_example_notebook_is_kept_without_outputs() -> None:
    document = json.loads((ROOT / "examples" / "notebook.ipynb").read_text())
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
