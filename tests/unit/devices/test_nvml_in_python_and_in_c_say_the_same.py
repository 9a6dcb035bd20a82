"""The fake that unit tests use, and nvidia-ml-py over the fake C library that whole processes use, agree in every call.

So what a unit test shows with the one holds with the real binding's types, structures and errors too.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes.gpus import FakeDriver, FakeGpu, FakeNvml, some_gpus, uuid

ASK = """
import json, sys
from stepmark.devices.nvml import here
nvml = here()
ask = lambda name, *arguments: getattr(nvml, name)(*arguments)
print(json.dumps([ask(*question) for question in json.load(sys.stdin)]))
"""
A, B, LOST = uuid(0), uuid(1), uuid(2)
QUESTIONS: list[tuple[str, ...]] = [
    *((name,) for name in ("driver", "cuda_driver", "gpus")),
    *((name, gpu) for gpu in (A, B, LOST, "GPU-none") for name in (
        "name", "pci_bus", "compute_capability", "memory_bytes", "application_clocks", "temperature_celsius",
        "utilization_ratio", "compute_mode", "pcie", "numa_node", "cores", "energy_joules", "processes",
        "mps_processes", "capped_seconds", "ecc_errors", "nvlinks", "xids",
    )),
    *((name, A, clock) for name in ("clock_hz", "most_clock_hz") for clock in ("sm", "memory")),
    *(("power_watts", gpu, which) for gpu in (A, LOST) for which in ("now", "limit", "default")),
    *(("has", gpu, feature) for gpu in (A, B, LOST) for feature in ("persistence", "ecc", "mig")),
    *((name, *pair) for name in ("ancestor", "can_read") for pair in ((A, B), (LOST, A))),
]  # fmt: skip


@pytest.fixture(scope="module")
def gpus() -> list[FakeGpu]:
    first, second, lost = some_gpus(3, cores=0b1100)
    first.links, first.processes, first.capped_ms, first.ecc_errors = 18, 3, 250, 7
    second.name, second.memory_mib, second.mig, second.xid = "NVIDIA L4", 23_034, 1, -1
    lost.lost = 1
    return [first, second, lost]


@pytest.fixture(scope="module")
def answers_in_c(gpus: list[FakeGpu], tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    driver = FakeDriver(tmp_path_factory.mktemp("driver"))
    driver.write(gpus)
    return _answers(os.environ | {"LD_LIBRARY_PATH": str(driver.folder)})


def _answers(environment: dict[str, str]) -> list[Any]:
    asked = subprocess.run(
        [sys.executable, "-c", ASK], input=json.dumps(QUESTIONS), env=environment, text=True, capture_output=True
    )
    assert asked.returncode == 0, asked.stderr
    return json.loads(asked.stdout)


@pytest.mark.parametrize("number", range(len(QUESTIONS)), ids=["-".join(one).lower() for one in QUESTIONS])
def test_both_give_the_same_answer(gpus: list[FakeGpu], answers_in_c: list[Any], number: int) -> None:
    name, *arguments = QUESTIONS[number]
    in_python = getattr(FakeNvml(gpus), name)(*arguments)
    assert json.loads(json.dumps(in_python)) == answers_in_c[number]


def test_without_a_driver_nothing_is_known(tmp_path: Path) -> None:
    answers = _answers(os.environ | {"LD_LIBRARY_PATH": str(tmp_path)})
    assert answers == [[] if name == "gpus" else None for name, *_ in QUESTIONS]


ASK_FOR_XIDS = f"""
import sys
from stepmark.devices.nvml import here
for _ in range(3):
    print(here().xids("{A}"), flush=True)
    sys.stdin.readline()
"""


def test_an_xid_is_told_once_also_of_a_gpu_that_is_lost_by_it(tmp_path: Path) -> None:
    driver = FakeDriver(tmp_path)
    driver.write([FakeGpu(A, xid=13)])  # Nobody listened yet.
    asked = subprocess.Popen(
        [sys.executable, "-c", ASK_FOR_XIDS], env=os.environ | {"LD_LIBRARY_PATH": str(driver.folder)},
        text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with asked:
        assert asked.stdin is not None
        assert asked.stdout is not None
        before = asked.stdout.readline()
        driver.write([FakeGpu(A, xid=79, lost=1)])
        asked.stdin.write("\n")
        asked.stdin.flush()
        then = asked.stdout.readline()
        after, _ = asked.communicate("\n\n")
    assert (before, then, after) == ("()\n", "(79,)\n", "()\n")
