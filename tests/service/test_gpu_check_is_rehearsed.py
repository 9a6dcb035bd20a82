"""scripts/gpu_check on CPU cores: the same code with tiny sizes. What it finds on a GPU is not known from here."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import COMPILE_QUICKLY, ROOT, needs

SCRIPT = ROOT / "scripts" / "gpu_check"
BROKEN = """
CHECKS = (Check("dies", 9, 9, 60), Check("hangs", 9, 9, 2), Check("finds", 9, 9, 60))
"""
CHECK = """
import os, time

def check(size, findings):
    findings.figure("seen", 1)
    {body}
"""


def run(script: Path, out: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    # A core that waits for its next product would otherwise spin.
    environment = os.environ | COMPILE_QUICKLY | {"PYTHONPATH": str(ROOT / "services"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), "--out", str(out), "--rehearse", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def found(out: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((out / "gpu.json").read_text())
    return {name: result for name, result in results.items() if isinstance(result, dict)}


def test_every_check_runs_and_finds_nothing_against_stepmark(tmp_path: Path) -> None:
    needs("torch", "jax")
    done = run(SCRIPT, tmp_path)
    results = found(tmp_path)
    assert {name: result["problems"] for name, result in results.items() if result["problems"]} == {}
    assert all(result["figures"] for result in results.values())
    assert {"machine", "zygotes", "clock.torch", "parity.keras-jax", "runs"} <= results.keys()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_check_that_dies_or_hangs_is_a_problem_and_the_next_one_runs(tmp_path: Path) -> None:
    script = tmp_path / "gpu_check"
    shutil.copytree(SCRIPT, script)
    (script / "registry.py").write_text((script / "registry.py").read_text() + BROKEN)
    for name, body in (("dies", "os._exit(7)"), ("hangs", "time.sleep(60)"), ("finds", "findings.at_most('x', 2, 1)")):
        (script / f"check_{name}.py").write_text(CHECK.format(body=body))
    done = run(script, tmp_path / "out", "--print")
    results = found(tmp_path / "out")
    assert done.returncode == 1
    assert "it ended with exit code 7" in results["dies"]["problems"][0]
    assert "it took longer than 2 s" in results["hangs"]["problems"][0]
    assert results["finds"]["problems"] == ["x: expected at most 1, found 2"]
    assert {result["figures"]["seen"] for result in results.values()} == {1}
    (line,) = (one for one in done.stdout.splitlines() if one.startswith("gpu.json: "))
    assert json.loads(line.removeprefix("gpu.json: ")) == json.loads((tmp_path / "out" / "gpu.json").read_text())
