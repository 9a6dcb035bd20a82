"""Whether a hub in a memory cgroup of 1 GiB survives a runner that sends launches that unpack to the limit.

Sends LAUNCHES of 64 MB, then starts the hub STARTS times on what is stored, whose figures are derived anew each time;
an innocent run is sent and must get its figures. It needs root, for the cgroup (v1 or v2).

    .venv/bin/python benchmarks/hub_memory.py [LAUNCHES [STARTS]]
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import yaml

from conftest import scenario_document
from huge_results import huge
from running_hub import STEPMARK, Hub, Results, serve, wait_for
from stepmark.hub.database import Database
from stepmark.hub.rows import update
from stepmark.hub.tables import executions

LIMIT_BYTES = 1 << 30
_ROOT = Path("/sys/fs/cgroup")


def main(launches: int, starts: int) -> int:
    folder = Path(tempfile.mkdtemp(prefix="stepmark-memory-"))
    results = _measured(folder)
    url, group = f"sqlite:///{folder / 'hub.db'}", _group()
    hostile_id, lived = "", 0
    for start in range(1, starts + 1):
        hub = serve(folder, url)
        _enter(group, hub.process.pid)
        if not hostile_id:
            hostile = hub.runner(huge(results, launches))
            hostile.send_all()
            hostile_id = hostile.run_id
        began = time.monotonic()
        innocent = hub.runner(results)
        innocent.send_all()
        cells = hub.wait_until_derived(innocent.run_id)["cells"]
        took = time.monotonic() - began
        said = _problem(hub, hostile_id) or "has figures"
        lived += hub.process.poll() is None
        print(f"start {start}: innocent {len(cells)} cells in {took:.1f} s; hostile {said}; peak {_peak(group)} MiB")
        hub.end()
        _forget_figures(url, hostile.execution_id)
    print(f"the hub lived through {lived} of {starts} starts")
    return 0 if lived == starts else 1


def _problem(hub: Hub, run_id: str) -> str:
    """Return why the run has no figures, once that is known."""
    wait_for(lambda: hub.get(f"/api/v1/runs/{run_id}")["settled"], 300)
    return str(hub.get(f"/api/v1/runs/{run_id}")["problem"])


def _forget_figures(url: str, execution_id: str) -> None:
    """Mark the execution as not derived, so that the next start has to derive it again."""
    database = Database(url)
    with database.write() as connection:
        row = connection.execute(executions.select().where(executions.c.execution_id == execution_id)).one()
        update(connection, executions, row, derived_revision=0, tried_revision=0, tries=0)
    database.close()


def _measured(folder: Path) -> Results:
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario_document()))
    command = [*STEPMARK, "run", "scenario.yaml", "--launcher", "bare", "--out", "out"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return Results.of(folder / "out")


def _group() -> Path:
    old = (_ROOT / "memory").is_dir()
    group = (_ROOT / "memory" if old else _ROOT) / f"stepmark-{os.getpid()}"
    group.mkdir()
    (group / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(LIMIT_BYTES))
    return group


def _enter(group: Path, pid: int) -> None:
    for one in (pid, *_children(pid)):
        (group / "cgroup.procs").write_text(str(one))


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _peak(group: Path) -> int:
    names = ("memory.max_usage_in_bytes", "memory.peak")
    return next((int((group / name).read_text()) >> 20 for name in names if (group / name).exists()), 0)


if __name__ == "__main__":
    sys.exit(main(int((sys.argv[1:2] or ["30"])[0]), int((sys.argv[2:3] or ["5"])[0])))
