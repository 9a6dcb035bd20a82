"""What a package says of its workload is asked before a run. Whatever its import does, this process goes on."""

import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import scenario_document
from packages import SCRIPTED, on_path, write_package
from stepmark.errors import CannotRun, ScenarioErrors
from stepmark.orchestrate.describe import facts_of
from stepmark.plan.blocks import make_plan
from stepmark.plan.cells import Machine
from stepmark.plan.foreign import WorkloadFacts
from stepmark.scenario.load import scenario_from_object

CANDIDATES = [
    {"name": "plain", "engine": "sleeper", "strategy": "parallel"},
    {"name": "torch", "engine": "torch", "strategy": "ddp"},
]


def facts(
    folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, refuse: bool = True, **changes: Any
) -> WorkloadFacts | None:
    """Return what is said of a workload in a package with this source."""
    write_package(folder, "acme", {"workloads:unet": "acme:WORKLOAD"}, source)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    changes = {"workload": {"model": "acme/unet", "params": {"stepSeconds": 0.5}}} | changes
    with on_path(folder):
        try:
            return facts_of(scenario_from_object(scenario_document(**changes)), None, refuse)
        finally:
            assert "acme" not in sys.modules


def test_a_package_that_prints_is_asked_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = facts(tmp_path, monkeypatch, "print('{' * 100_000)\n" + SCRIPTED)
    assert found is not None
    assert found.params["stepSeconds"] == 0.5
    assert (found.params["jitter"], found.flops_per_sample, found.unavailable) == (0.0, None, {})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import absent_library", "acme/unet cannot be loaded: ModuleNotFoundError: No module named 'absent_library'"),
        ("raise SystemExit(0)", "acme/unet cannot be loaded: SystemExit: 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "exit code -11"),
        ("import os; os._exit(0)", "gave no valid answer"),
    ],
)
def test_a_package_whose_import_fails_is_refused_with_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    with pytest.raises(CannotRun) as refused:
        facts(tmp_path, monkeypatch, source)
    assert said in str(refused.value)


def test_a_package_whose_import_hangs_is_ended_at_the_launches_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measurement = {"launches": 2, "launchTimeoutSeconds": 1}
    with pytest.raises(CannotRun, match="longer than launchTimeoutSeconds, 1 s"):
        facts(tmp_path, monkeypatch, "import time; time.sleep(3600)", measurement=measurement)


def test_params_that_the_workload_does_not_know_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workload = {"model": "acme/unet", "params": {"stepSecond": 1}}
    with pytest.raises(ScenarioErrors, match=r"spec\.workload\.params\.stepSecond: expected one of the keys"):
        facts(tmp_path, monkeypatch, SCRIPTED, workload=workload)


def test_only_the_cells_of_an_engine_that_cannot_train_it_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = facts(tmp_path, monkeypatch, SCRIPTED, candidates=CANDIDATES)
    assert found is not None
    assert found.unavailable == {"torch": "acme/unet is not written for torch, only for sleeper"}
    scenario = scenario_from_object(scenario_document(workload={"model": "acme/unet"}, candidates=CANDIDATES))
    plan = make_plan(scenario, Machine(places=1, programs=()), found)
    assert [cell.engine for cell in plan.measurable] == ["sleeper"]
    assert [cell.unsupported for cell in plan.cells if cell.engine == "torch"] == [found.unavailable["torch"]]


def test_in_a_cluster_the_cause_is_a_result_that_the_hub_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = facts(tmp_path, monkeypatch, "import absent_library", refuse=False)
    assert found is not None
    assert "absent_library" in found.unavailable["sleeper"]


def test_a_workload_of_stepmark_is_not_asked() -> None:
    assert facts_of(scenario_from_object(scenario_document()), None) is None
