"""How long all reports of ten thousand launches take, and how much memory they need.

python benchmarks/report_size.py [steps of a launch]      <= 10 s, <= 1 GB

A store of 100 cells (1 to 10 ranks) and 100 blocks is made in shared memory; then another process reads it, derives
everything anew and writes every report.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stepmark.plan.blocks import Launch, make_plan
from stepmark.plan.cells import Machine
from stepmark.results.environment import describe
from stepmark.results.record import LaunchHeader, LaunchRecord, RankReport, StartupSeconds, Window
from stepmark.results.store import Run, SqliteStore
from stepmark.runs.summaries import summary_of, write_reports
from stepmark.scenario.load import scenario_from_object

BLOCKS, WARMUP = 100, 10
SCENARIO = {
    "apiVersion": "stepmark.dev/v1alpha1",
    "kind": "Scenario",
    "metadata": {"name": "large"},
    "spec": {
        "workload": {"model": "scripted"},
        "candidates": [{"name": f"c{i}", "engine": "sleeper", "strategy": "parallel"} for i in range(5)],
        "sweep": {"precision": ["float32", "bfloat16"]},
        "scale": {"workers": list(range(1, 11)), "batchPerWorker": 8},
        "measurement": {"launches": BLOCKS},
        "parity": "skipped",
    },
}


def fill(folder: Path, steps: int) -> int:
    """Write a store; return the number of its launches."""
    scenario, machine = scenario_from_object(SCENARIO), Machine(places=64, programs=())
    digest, rng, count = scenario.digest(), np.random.default_rng(0), 0
    run = Run(
        stepmark_version="0", scenario=SCENARIO, scenario_digest=digest, machine=machine, launcher="bare", forked=True,
        environment=describe(),
    )  # fmt: skip
    store = SqliteStore.create(folder, run)
    for block in make_plan(scenario, machine).blocks:
        for launch in block:
            noise = np.exp(rng.normal(0, 0.03, (launch.cell.processes, WARMUP + steps)))
            store.append(_record(digest, launch, (1e7 * noise).astype(np.int64)))
            count += 1
    store.close()
    return count


def _record(digest: str, launch: Launch, nanoseconds: NDArray[np.int64]) -> LaunchRecord:
    header = LaunchHeader(
        launch_id=launch.id, scenario_digest=digest, cell=launch.cell, block=launch.block, position=launch.position,
        launcher="bare", forked=True, started_at="", wall_seconds=1,
        ranks=tuple(_rank(rank, row) for rank, row in enumerate(nanoseconds)),
    )  # fmt: skip
    return LaunchRecord(header, nanoseconds)


def _rank(rank: int, row: NDArray[np.int64]) -> RankReport:
    warmup, measured = row[:WARMUP], row[WARMUP:]
    return RankReport(
        rank=rank, host="h", cpus=(rank,), peak_memory_bytes=1, first_loss=1.0, last_loss=1.0, flags={"device": "cpu"},
        startup_seconds=StartupSeconds(spawn=0.1, import_=1, group=0.1, build=0.1, first_step=0.1),
        windows=(
            Window(kind="warmup", steps=len(warmup), host_nanoseconds=int(warmup.sum())),
            Window(kind="measured", steps=len(measured), host_nanoseconds=int(measured.sum())),
        ),
        compilations_after_warmup=None, compilations_after_window=None,
    )  # fmt: skip


def report(folder: Path) -> None:
    started = time.perf_counter()
    summary = summary_of(folder)
    derived = time.perf_counter() - started
    written = write_reports(folder, summary)
    total = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sizes = ", ".join(f"{path.name} {path.stat().st_size / 1e6:.1f} MB" for path in written)
    print(f"{total:.1f} s (of them {derived:.1f} to derive the summary), {peak / 1e9:.2f} GB at most; {sizes}")


def main() -> None:
    steps = int(sys.argv[1]) if sys.argv[1:] else 200
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        print(f"{fill(Path(folder), steps)} launches of {steps} steps:", end=" ", flush=True)
        subprocess.run([sys.executable, __file__, "report", folder], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["report"]:
        report(Path(sys.argv[2]))
    else:
        main()
