"""`--workload FILE:NAME` and packages, from the command line to the report, with the sleeper."""

from pathlib import Path

import pytest

from conftest import CommandLine, needs
from packages import SCRIPTED, write_package
from stepmark.results.record import LaunchRecord
from stepmark.results.store import Run, SqliteStore

PARAMS = {"stepSeconds": 0.002}
ENGINE = """
import threading
from stepmark.engines.sleeper import SUPPORT, Engine

def import_framework():
    threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
FAILS_ONCE = """
from pathlib import Path
from stepmark.workloads.scripted import Scripted

class Unet(Scripted):
    def input(self, params):
        if "b000" in str(Path.cwd()):
            raise ValueError("the model is not ready")
        return super().input(params)
"""


def stored(folder: Path) -> tuple[Run, list[LaunchRecord]]:
    store = SqliteStore.open(folder)
    try:
        return store.run(), list(store.records())
    finally:
        store.close()


def test_a_file_is_measured_by_ray_and_resumed_only_as_it_was(stepmark: CommandLine) -> None:
    needs("ray")
    file, out = stepmark.folder / "my_model.py", stepmark.folder / "out"
    file.write_text(SCRIPTED + "class UNET(Scripted):\n    pass\n")
    scenario = stepmark.scenario(workload={"model": "local/unet", "params": PARAMS})
    run = ("run", scenario, "--out", out)
    ended = stepmark(*run)
    assert (ended.returncode, "Give the file with the model" in ended.stderr) == (3, True)
    assert stepmark(*run, "--workload", f"{file}:UNET").returncode == 0
    of_run, records = stored(out)
    assert of_run.workload_origin is not None
    assert (of_run.workload_origin.file, len(of_run.workload_origin.sha256 or "")) == ("my_model.py", 64)
    assert [record.header.failure for record in records] == [None, None]
    file.write_text(file.read_text() + "# changed\n")
    ended = stepmark(*run, "--workload", f"{file}:UNET", "--resume")
    assert (ended.returncode, "A changed model is a new run" in ended.stderr) == (3, True)


def test_a_package_brings_an_engine_and_a_workload_and_the_report_needs_neither_workload_nor_zygote(
    stepmark: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's import starts a thread, so its launches are not forked; the workload fails in one block."""
    write_package(stepmark.folder / "1", "acme", {"engines:fast": "acme"}, ENGINE)
    write_package(stepmark.folder / "2", "other", {"workloads:unet": "other:Unet"}, FAILS_ONCE)
    candidates = [
        {"name": "plain", "engine": "sleeper", "strategy": "parallel"},
        {"name": "fast", "engine": "acme/fast", "strategy": "parallel"},
    ]
    scenario = stepmark.scenario(workload={"model": "other/unet", "params": PARAMS}, candidates=candidates)
    out = stepmark.folder / "out"
    monkeypatch.setenv("PYTHONPATH", f"{stepmark.folder / '1'}:{stepmark.folder / '2'}")
    ended = stepmark("run", scenario, "--launcher", "bare", "--out", out)
    assert ended.returncode == 1, ended.stderr
    _, records = stored(out)
    failed = {record.header.launch_id: record.header.failure for record in records}
    assert {launch[:4] for launch, failure in failed.items() if failure is not None} == {"b000"}
    assert {f.cause for f in failed.values() if f is not None} == {"ValueError: the model is not ready"}
    forked = {record.header.cell.engine: record.header.forked for record in records}
    assert forked == {"sleeper": True, "acme/fast": False}
    monkeypatch.setenv("PYTHONPATH", str(stepmark.folder / "1"))
    assert stepmark("report", out).returncode == 0
