"""What tests share: scenario documents, the command line as a person starts it, and checks that processes ended."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest
import yaml

from stepmark import catalog
from stepmark.launch.buffer import Phase
from stepmark.launch.reporting import STAMPS

ROOT = Path(__file__).parent.parent
PATIENCE_SECONDS = 240
"""How long a test waits for what takes seconds on a machine with nothing else to do. It is below pytest's time-out."""

COMPILE_QUICKLY = {
    "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false",
    "TORCHINDUCTOR_VEC_ISA_OK": "1",
}
"""The environment for code that runs a few times only. XLA does not optimise machine code and makes it without MLIR, in
half the time, and torch.compile does not try by compiling whether the vector instructions that the processor names can
be used.
"""

# Test modules import from these before they name them as plugins, and then it is too late to rewrite their asserts.
pytest.register_assert_rewrite("running_hub", "running_postgres", "fixed_hub", "prometheus_world", "chromium")

# Hypothesis sets no deadline for an example: no test is about speed, and a busy machine may delay any of them.
hypothesis.settings.register_profile("stepmark", deadline=None)
hypothesis.settings.load_profile("stepmark")


def needs(*modules: str) -> None:
    """Skip the test unless these modules are installed. They are looked for without being imported.

    A process that has imported TensorFlow crashes where torch then imports triton (each brings its own LLVM), and the
    tests of a worker share its process. So frameworks that are trained by tests have processes of their own.
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Fail the test that has imported TensorFlow into the process that it shares with others, for the reason above."""
    if "tensorflow" in sys.modules:
        pytest.fail(f"{item.nodeid} imported TensorFlow: give it a process of its own", pytrace=False)


def trained_models() -> list[str]:
    """Return the names of stepmark's own workloads that train a model in real frameworks."""
    return [name for name in catalog.workload_names() if catalog.load_workload(name).has_weights]


def scenario_document(**changes: Any) -> dict[str, Any]:
    """Return a small scenario of the sleeper as a document; `changes` replaces keys of `spec`.

    Unless `changes` says otherwise, no launch counts as disturbed: tests run beside other work, and they count
    launches.
    """
    spec: dict[str, Any] = {
        "workload": {"model": "scripted", "params": {"stepSeconds": 0.004}},
        "candidates": [{"name": "plain", "engine": "sleeper", "strategy": "parallel"}],
        "scale": {"workers": [1], "batchPerWorker": 8},
        "measurement": {"launches": 2, "minSteps": 20, "minSeconds": 0, "warmupSteps": 2, "warmupSeconds": 0},
        "parity": "skipped",  # scripted steps have no weights to compare
    }
    spec |= changes
    spec["measurement"] = {"maxTakenShare": 1.0, "maxMadeAgain": 0} | spec["measurement"]
    return {"apiVersion": "stepmark.dev/v1alpha1", "kind": "Scenario", "metadata": {"name": "test"}, "spec": spec}


def _heed_ctrl_c() -> None:
    """Restore the default action of SIGINT: shells ignore it for background jobs, and programs inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class CommandLine:
    """Runs `stepmark` in the test's own folder."""

    folder: Path
    started: "list[subprocess.Popen[str]]" = field(default_factory=list)

    def scenario(self, **changes: Any) -> Path:
        path = self.folder / "scenario.yaml"
        path.write_text(yaml.safe_dump(scenario_document(**changes)))
        return path

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "stepmark", *map(str, arguments)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command,
            stdout=pipe,
            stderr=pipe,
            text=True,
            cwd=self.folder,
            env=environment,
            start_new_session=True,
            preexec_fn=_heed_ctrl_c,
        )
        self.started.append(process)
        return process

    def __call__(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        process = self.start(*arguments)
        out, err = process.communicate(timeout=3 * PATIENCE_SECONDS)
        assert "Traceback" not in out + err, out + err
        return subprocess.CompletedProcess([str(one) for one in arguments], process.returncode, out, err)

    def summary(self, out: Path) -> dict[str, Any]:
        return json.loads((out / "summary.json").read_text())


@pytest.fixture
def stepmark(tmp_path: Path) -> Iterator[CommandLine]:
    command_line = CommandLine(tmp_path)
    yield command_line
    for process in command_line.started:
        if process.poll() is None:
            process.kill()


def wait_for_line(process: "subprocess.Popen[str]", text: str) -> str:
    """Read the process' progress until a line holds `text`, and return that line; fail if the process ends first."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return line
    pytest.fail(f"the process ended before it said {text!r}")


def descendants(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def wait_for_descendant(process: "subprocess.Popen[str]", *words: str) -> psutil.Process:
    """Wait for a descendant whose command line holds all the words, and return the first one found."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for child in descendants(process):
            try:
                if all(word in " ".join(child.cmdline()) for word in words):
                    return child
            except psutil.Error:
                continue
        time.sleep(0.05)
    pytest.fail(f"no process with {words}")


def wait_for_ranks(zygote: psutil.Process, count: int, phase: int) -> list[psutil.Process]:
    """Wait until a zygote has so many ranks and the last one is in this phase of its launch; return them."""
    ranks: list[psutil.Process] = []
    while len(ranks) < count or phase_of(ranks[-1]) < phase:
        ranks = zygote.children()
    return ranks


def phase_of(rank: psutil.Process) -> int:
    """Return the phase of a rank. The file is read and not mapped, since a mapping would be a second writer."""
    try:
        return int.from_bytes((Path(rank.cwd()) / STAMPS).read_bytes()[:8], sys.byteorder)
    except (OSError, psutil.Error):
        return Phase.STARTING


def assert_all_gone(processes: list[psutil.Process]) -> None:
    """Assert that every process has ended. A zombie counts as ended: nobody reaps orphans in some containers."""
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)
    left = [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert not left, [(p.pid, p.cmdline()) for p in left]
