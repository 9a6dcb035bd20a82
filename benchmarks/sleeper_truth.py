"""Throughput and efficiency known by construction, measured by all of stepmark: Ray, zygotes, loop, analysis.

python benchmarks/sleeper_truth.py                       target: within 0.5 %
python benchmarks/sleeper_truth.py --asynchronous        target: within 0.1 %

With --asynchronous, steps return before they are done, as on a GPU. Neither framework nor GPU has a part in it.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

STEP, ADDED, BATCH = 0.020, 0.005, 32
SCENARIO: dict[str, Any] = {
    "apiVersion": "stepmark.dev/v1alpha1",
    "kind": "Scenario",
    "metadata": {"name": "sleeper-truth"},
    "spec": {
        "workload": {
            "model": "scripted",
            "params": {"stepSeconds": STEP, "secondsPerAddedWorker": ADDED, "warmupSteps": 5, "warmupFactor": 3.0},
        },
        "candidates": [{"name": "sleeper", "engine": "sleeper", "strategy": "parallel"}],
        "scale": {"workers": [1, 2], "batchPerWorker": BATCH},
        "measurement": {"launches": 5, "minSteps": 100, "minSeconds": 0, "warmupSeconds": 0.2},
    },
}


def main(asynchronous: bool) -> None:
    SCENARIO["spec"]["workload"]["params"]["asynchronous"] = asynchronous
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scenario.yaml"
        file.write_text(json.dumps(SCENARIO))
        command = [sys.executable, "-m", "stepmark", "run", str(file), "--out", f"{folder}/out"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        one, two = json.loads((Path(folder) / "out" / "summary.json").read_text())["cells"]
    truths = {
        "samples/s, 1 worker": (one["samples_per_second"]["median"], BATCH / STEP),
        "samples/s, 2 workers": (two["samples_per_second"]["median"], 2 * BATCH / (STEP + ADDED)),
        "efficiency, 2 workers": (two["scaling"]["efficiency"]["value"], STEP / (STEP + ADDED)),
    }
    for name, (found, truth) in truths.items():
        print(f"{name}: {found:.4f}, by construction {truth:.4f}, off by {found / truth - 1:+.3%}")
    print(f"largest error {max(abs(found / truth - 1) for found, truth in truths.values()):.3%}")


if __name__ == "__main__":
    main("--asynchronous" in sys.argv[1:])
