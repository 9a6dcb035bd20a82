"""Collectives through the command line: known times become known bandwidths, and PyTorch's results are right."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine, needs

SIZES = [1024, 1 << 20]
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(engine: str, strategy: str, collective: str, **sweep: object) -> dict[str, Any]:
        command_line = CommandLine(tmp_path)
        path = command_line.scenario(
            workload={"model": "collective", "params": {"collective": collective}},
            candidates=[{"name": "a", "engine": engine, "strategy": strategy}],
            sweep={"messageBytes": SIZES} | sweep,
            scale={"workers": [2], "batchPerWorker": 1},
        )
        done = command_line("run", path, "--launcher", "bare", "--out", "out")
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads((tmp_path / "out/summary.json").read_text())
        return found

    return run


def test_known_times_become_known_bandwidths(run: Run, tmp_path: Path) -> None:
    cells = run("sleeper", "parallel", "all-reduce")["cells"]
    for cell, size in zip(cells, SIZES, strict=True):
        median = cell["step_seconds"]["median"]
        assert median >= 0.0002 + size / 1e9  # What the sleeper sleeps, and what a busy machine adds.
        mean, rate = cell["step_seconds"]["mean"]["value"], cell["bandwidth"]["bus_bytes_per_second"]["value"]
        assert rate == pytest.approx(size / mean)
    assert "<svg" in (tmp_path / "out/report.html").read_text().partition('id="collectives"')[2]


def test_torch_exchanges_every_part_of_a_reduce_scatter_in_both_precisions(run: Run, tmp_path: Path) -> None:
    needs("torch")
    cells = run("torch", "ddp", "reduce-scatter", precision=["float32", "bfloat16"])["cells"]
    assert [cell["bandwidth"]["message_bytes"] for cell in cells] == SIZES * 2
    with sqlite3.connect(tmp_path / "out/results.db") as database:
        [header] = database.execute("select header from launches limit 1").fetchone()
    assert json.loads(header)["ranks"][0]["flags"]["transport"] == "gloo"
