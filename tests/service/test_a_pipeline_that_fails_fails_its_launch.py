"""A pipeline raises, dies, ends or hangs, in a worker process or in the rank's own: its launch fails with the cause."""

import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from conftest import CommandLine, assert_all_gone, needs

# The name of the launch's folder begins with its block and candidate, which says what is planted.
PLANTED = """
import os, signal, time
from pathlib import Path
from stepmark.engines import _feed, _torch_input
from stepmark.workloads import InputSpec, TorchModel

real = _feed.Source.sample, _feed.Source.element, _torch_input._Rounds.__iter__
AT, made = 40, 0

def planted():
    return Path.cwd().name.split(".")[1]

def sample(self, number):
    global made
    made += 1
    Path(__file__).with_name(f"worker-{os.getpid()}").touch()
    if number % 64 == AT and planted() == "raises":
        raise ValueError("sample 40 is broken")
    if number % 64 == AT and planted() == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if made > 100 and planted() == "hangs":  # The first step, which may compile, has the time of a whole launch.
        time.sleep(3600)
    return real[0](self, number)

def element(self, number):
    if number > 4 and planted() == "raises-itself":
        raise ValueError("batch 5 is broken")
    return real[1](self, number)

def rounds(self):
    for number, batch in enumerate(real[2](self)):
        if number > 4 and planted() == "ends":
            return
        yield batch

_feed.Source.sample, _feed.Source.element, _torch_input._Rounds.__iter__ = sample, element, rounds

class Net(TorchModel):
    sample = InputSpec("vector", (8,), classes=3)

    def build(self, params):
        import torch

        return torch.nn.Linear(8, 3)
"""
CAUSES = {
    "raises": "the input pipeline failed: ValueError: sample 40 is broken",
    "dies": "the input pipeline failed: RuntimeError: DataLoader worker (pid",
    "hangs": "(stepTimeoutSeconds): the step waited for its input",
    "ends": "the input pipeline ended early: expected 4 batches in turn without end, found its end",
    "raises-itself": "the input pipeline failed: ValueError: batch 5 is broken",
}


@pytest.fixture(scope="module")
def reasons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return why each candidate's cell has no figures, after one run; no worker of any launch is left."""
    needs("torch")
    stepmark = CommandLine(tmp_path_factory.mktemp("planted"))
    (stepmark.folder / "planted.py").write_text(PLANTED)
    options: dict[str, list[str]] = {name: ["dataloader"] if name != "raises-itself" else [] for name in CAUSES}
    candidates: list[dict[str, Any]] = [
        {"name": name, "engine": "torch", "options": asked} for name, asked in options.items()
    ]
    scenario = stepmark.scenario(
        workload={"model": "local/net"},
        candidates=candidates,
        scale={"workers": [1], "batchPerWorker": 16},
        data={"source": "host"},
        measurement={"launches": 2, "minSteps": 20, "minSeconds": 0, "warmupSeconds": 0, "stepTimeoutSeconds": 4},
    )
    file = f"{stepmark.folder / 'planted.py'}:Net"
    done = stepmark("run", scenario, "--launcher", "bare", "--out", "out", "--workload", file)
    assert done.returncode == 1, done.stderr
    workers = [int(path.name.removeprefix("worker-")) for path in Path(stepmark.folder).glob("worker-*")]
    assert os.getpid() not in workers
    assert len(workers) > 3
    assert_all_gone([psutil.Process(pid) for pid in workers if psutil.pid_exists(pid)])
    return {cell["candidate"]: cell["reason"] for cell in stepmark.summary(stepmark.folder / "out")["cells"]}


@pytest.mark.parametrize("planted", CAUSES)
def test_a_pipeline_that_fails_fails_its_launch_with_the_cause(reasons: dict[str, str], planted: str) -> None:
    assert "2 of 2 launches failed: rank 0: " in reasons[planted]
    assert CAUSES[planted] in reasons[planted]
