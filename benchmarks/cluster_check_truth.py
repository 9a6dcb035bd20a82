"""Count how often a cluster check names a rank that is 5 % slower, and how often it invents one, in whole runs.

python benchmarks/cluster_check_truth.py      target: named in 20 of 20, invented in 0 of 20; on a quiet machine
python benchmarks/cluster_check_truth.py 3    a look

The engine `sleeper` takes known times: two ranks, nine launches, with processes, loop, store and verdict as always.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def main(runs: int) -> None:
    named = sum(slow_of({"slowRank": 1, "slowFactor": 1.05}) == ["product of rank 1"] for _ in range(runs))
    print(f"a rank 5 % slower: named, and nothing else, in {named} of {runs} checks", flush=True)
    invented = sum(bool(slow_of({})) for _ in range(runs))
    print(f"all is well: a rank or link was named in {invented} of {runs} checks", flush=True)


def slow_of(params: dict[str, Any]) -> list[str]:
    """Return what one check names."""
    spec = {
        "workload": {"model": "cluster-check", "params": params},
        "candidates": [{"name": "check", "engine": "sleeper", "strategy": "parallel"}],
        "scale": {"workers": [2], "batchPerWorker": 1},
        "parity": "skipped",
        "measurement": {
            "launches": 9, "minSteps": 240, "minSeconds": 0, "warmupSteps": 8, "warmupSeconds": 0, "maxTakenShare": 1,
        },
    }  # fmt: skip
    document = {"apiVersion": "stepmark.dev/v1alpha1", "kind": "Scenario", "metadata": {"name": "truth"}, "spec": spec}
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "scenario.yaml", f"{folder}/out"
        file.write_text(json.dumps(document))
        stepmark = [sys.executable, "-m", "stepmark"]
        run = [*stepmark, "run", str(file), "--launcher", "bare", "--out", out]
        subprocess.run(run, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        judge = [*stepmark, "check-cluster", "--of", out, "--output", "json"]
        found = json.loads(subprocess.run(judge, capture_output=True, text=True, check=False).stdout)
    return [f"{one['what']} of {one['name'].partition(' (')[0]}" for one in found["slow"]]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
