import json
import os
import sqlite3
from pathlib import Path

import pytest

from conftest import ROOT, CommandLine

QUICKSTART = ROOT / "scenarios" / "quickstart.yaml"


VERBS = [
    "validate",
    "plan",
    "parity",
    "largest-batch",
    "first-step",
    "run",
    "questions",
    "results",
    "report",
    "forecast",
    "compare",
    "doctor",
]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(stepmark: CommandLine, verb: str) -> None:
    done = stepmark(verb, "--help")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "line 1"),
        ("kind: Scenario", "apiVersion: expected a value, found nothing. Add it."),
        ("x: &a [*a]", "no YAML anchors or aliases"),
        ("x: " + "y" * 300_000, "at most 262144 bytes"),
    ],
)
@pytest.mark.parametrize("verb", ["validate", "plan", "run"])
def test_a_refused_scenario_ends_with_2_and_a_reason(stepmark: CommandLine, verb: str, text: str, said: str) -> None:
    file = stepmark.folder / "bad.yaml"
    file.write_text(text)
    done = stepmark(verb, file)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_scenario_file_of_10_megabytes_is_refused_unread(stepmark: CommandLine) -> None:
    file = stepmark.folder / "big.yaml"
    file.write_bytes(b"a" * 10_000_000)
    assert "at most 262144 bytes, found 10000000 bytes" in stepmark("validate", file).stderr


def test_control_characters_of_a_scenario_do_not_reach_the_terminal(stepmark: CommandLine) -> None:
    file = stepmark.folder / "bad.yaml"
    file.write_text('"key\\e[31m\\a": 1\n"[bold]x": 1\n')
    err = stepmark("validate", file).stderr
    assert "\x1b" not in err
    assert "\x07" not in err
    assert "[bold]x" in err


@pytest.mark.parametrize("path", ["nowhere.yaml", "."])
def test_an_unreadable_scenario_file_ends_with_3(stepmark: CommandLine, path: str) -> None:
    done = stepmark("validate", path)
    assert done.returncode == 3
    assert "expected a readable scenario file" in done.stderr


def test_validate_prints_its_result_as_json(stepmark: CommandLine) -> None:
    assert json.loads(stepmark("validate", QUICKSTART, "--json").stdout)["valid"] is True
    file = stepmark.folder / "bad.yaml"
    file.write_text("kind: Scenario")
    done = stepmark("validate", file, "--json")
    assert done.returncode == 2
    errors = json.loads(done.stdout)["errors"]
    assert {"path": "apiVersion", "expected": "a value", "found": "nothing", "fix": "Add it."} in errors


def test_plan_prints_cells_order_and_time_and_runs_nothing(stepmark: CommandLine) -> None:
    done = stepmark("plan", QUICKSTART)
    assert done.returncode == 0
    for said in ("4 cells", "block 0: ", "28 launches in 7 blocks, order from seed 0", "minutes"):
        assert said in done.stdout
    document = json.loads(stepmark("plan", QUICKSTART, "--json").stdout)
    assert [len(block) for block in document["blocks"]] == [4] * 7
    assert not (stepmark.folder / "out").exists()


def test_a_run_makes_the_launches_in_the_order_that_plan_prints(stepmark: CommandLine) -> None:
    from stepmark.results.store import SqliteStore

    file = stepmark.scenario(scale={"workers": [1, 2], "batchPerWorker": 8})
    planned = json.loads(stepmark("plan", file, "--json").stdout)["blocks"]
    stepmark("run", file, "--launcher", "bare", "--out", "out")
    records = SqliteStore.open(stepmark.folder / "out").records()
    by_start = sorted(records, key=lambda record: record.header.started_at)
    assert [record.header.launch_id for record in by_start] == [launch for block in planned for launch in block]


def test_doctor_names_every_engine_and_a_remedy_for_what_is_missing(stepmark: CommandLine) -> None:
    found = json.loads(stepmark("doctor", "--json").stdout)
    subjects = {finding["subject"] for finding in found["findings"]}
    assert {"engine torch", "engine keras-tensorflow", "launcher ray", "compiler for torch.compile"} <= subjects
    assert all(finding["ok"] or finding["remedy"] for finding in found["findings"])


def test_results_of_a_folder_without_a_run_end_with_3(stepmark: CommandLine) -> None:
    done = stepmark("results", ".")
    assert done.returncode == 3
    assert "expected the results of a run, found no such file" in done.stderr


def test_a_results_file_that_stepmark_did_not_write_ends_with_3(stepmark: CommandLine) -> None:
    (stepmark.folder / "results.db").write_bytes(b"not a database" * 100)
    done = stepmark("results", ".")
    assert done.returncode == 3
    assert "expected results of stepmark" in done.stderr


def test_damaged_results_end_with_3_and_without_a_traceback(stepmark: CommandLine) -> None:
    run = ["run", stepmark.scenario(), "--launcher", "bare", "--out", "out"]
    stepmark(*run)
    with sqlite3.connect(stepmark.folder / "out" / "results.db") as database:
        database.execute("update launches set header = replace(header, '\"rank\":0', '\"rank\":1') where rowid = 1")
    forecast, compare = ["forecast", "--workers", "4", "out"], ["compare", "out", "out"]
    for verb in (["results", "out"], ["report", "out"], forecast, compare, [*run, "--resume"]):
        done = stepmark(*verb)
        assert done.returncode == 3
        assert "out/results.db: expected results of stepmark, found values of b00" in done.stderr


def test_a_scenario_that_makes_its_parser_raise_is_refused_with_2(stepmark: CommandLine) -> None:
    (stepmark.folder / "s.yaml").write_text('a: "\\Uffffffff"\n')
    done = stepmark("validate", "s.yaml")
    assert done.returncode == 2
    assert "expected values that YAML can hold, found OverflowError" in done.stderr


def test_a_wrong_option_ends_with_2_and_refers_to_help(stepmark: CommandLine) -> None:
    done = stepmark("run", QUICKSTART, "--launcher", "mpi")
    assert done.returncode == 2
    assert "--help" in done.stderr


def test_an_output_folder_that_cannot_be_written_ends_with_3(stepmark: CommandLine) -> None:
    (stepmark.folder / "file").write_text("")
    done = stepmark("run", stepmark.scenario(), "--launcher", "bare", "--out", "file/out")
    assert done.returncode == 3
    assert "expected a folder to write results to" in done.stderr


def test_a_run_without_its_engine_names_it_and_the_remedy_at_once(stepmark: CommandLine, tmp_path: Path) -> None:
    shadow = tmp_path / "sitecustomize.py"
    shadow.write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'torch' else find(name, package)\n"
    )
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{tmp_path}:{before}"
    try:
        file = stepmark.scenario(
            candidates=[{"name": "t", "engine": "torch"}], workload={"model": "mlp"}, data={"source": "synthetic"}
        )
        done = stepmark("run", file, "--launcher", "bare", "--out", "out")
    finally:
        os.environ["PYTHONPATH"] = before
    assert done.returncode == 3
    assert "engine torch: expected the module torch, found none. pip install 'stepmark[torch]'" in done.stderr
    assert not (stepmark.folder / "out" / "results.db").exists()


def test_the_module_runs_as_the_command_and_prints_its_version(stepmark: CommandLine) -> None:
    assert stepmark("--version").stdout.strip() == "0.1.0"
