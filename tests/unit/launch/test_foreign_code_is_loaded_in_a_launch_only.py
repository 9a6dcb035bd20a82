"""The process of a launch loads a package or a file of others, checks it, and keeps itself as it was."""

import hashlib
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from packages import SCRIPTED, on_path, write_package
from stepmark.errors import CannotRun
from stepmark.launch.foreign import workload_of
from stepmark.plan.foreign import WorkloadFile


def asked(model: str, file: WorkloadFile | None = None) -> Any:
    return SimpleNamespace(workload=SimpleNamespace(model=model), workload_file=file)


def own_file(folder: Path, source: str, attribute: str = "WORKLOAD") -> WorkloadFile:
    path = folder / "my_model.py"
    path.write_text(source)
    return WorkloadFile(path=path, attribute=attribute, sha256=hashlib.sha256(source.encode()).hexdigest())


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder, cores = os.getcwd(), os.sched_getaffinity(0)
    yield
    os.chdir(folder)
    os.sched_setaffinity(0, cores)


def test_a_file_gives_its_object_or_what_its_class_makes(tmp_path: Path) -> None:
    for attribute in ("WORKLOAD", "Scripted"):
        found = workload_of(asked("local/x", own_file(tmp_path, SCRIPTED, attribute)))
        assert found.frameworks() == ("sleeper",)


def test_a_file_that_has_changed_is_not_executed(tmp_path: Path) -> None:
    file = own_file(tmp_path, SCRIPTED)
    file.path.write_text("raise SystemExit('executed')")
    with pytest.raises(CannotRun, match="as it was when the run began"):
        workload_of(asked("local/x", file))


def test_a_file_without_the_name_and_an_object_that_is_no_workload_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="expected UNET in it"):
        workload_of(asked("local/unet", own_file(tmp_path, SCRIPTED, "UNET")))
    with pytest.raises(CannotRun, match="expected a stepmark workload, found dict"):
        workload_of(asked("local/x", own_file(tmp_path, "WORKLOAD = {}")))


def test_a_model_may_not_loosen_the_limit_of_its_own_certificate(tmp_path: Path) -> None:
    source = SCRIPTED + "Scripted = type('S', (Scripted,), {'float64_limit': 1.0})\n"
    with pytest.raises(CannotRun, match="float64_limit of at most 1e-07"):
        workload_of(asked("local/x", own_file(tmp_path, source, "Scripted")))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os; os.environ['OMP_NUM_THREADS'] = '64'", "OMP_NUM_THREADS"),
        ("import os; del os.environ['OMP_NUM_THREADS']", "OMP_NUM_THREADS"),
        ("import os; os.chdir('/')", "the folder and the cores"),
        ("import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})", "the folder and the cores"),
    ],
)
def test_an_import_that_changes_the_process_is_refused(tmp_path: Path, source: str, found: str) -> None:
    if "affinity" in source and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("one core only")
    with (
        on_path(write_package(tmp_path, "acme", {"workloads:unet": "acme:WORKLOAD"}, source + SCRIPTED)),
        pytest.raises(CannotRun, match=found),
    ):
        workload_of(asked("acme/unet"))


def test_an_import_that_starts_a_thread_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()
    monkeypatch.setattr(threading, "END", end, raising=False)
    source = "import threading\nthreading.Thread(target=threading.END.wait, name='greedy').start()\n"
    try:
        with pytest.raises(CannotRun, match="no threads that disturb the measurement, found greedy"):
            workload_of(asked("local/x", own_file(tmp_path, source + SCRIPTED)))
    finally:
        end.set()


def test_random_numbers_and_new_variables_of_an_import_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_CACHE", "x")  # So that it is removed again.
    monkeypatch.delenv("ACME_CACHE")
    source = "import os, random, numpy\nos.environ['ACME_CACHE'] = '1'\nrandom.seed(0)\nnumpy.random.seed(0)\n"
    before = (random.getstate(), str(np.random.get_state()))
    workload_of(asked("local/x", own_file(tmp_path, source + SCRIPTED)))
    assert (random.getstate(), str(np.random.get_state())) == before
