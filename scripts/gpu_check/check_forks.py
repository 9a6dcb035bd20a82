"""Whether forked launches measure what fresh processes measure: two runs of each, in turns."""

import math
from statistics import median
from typing import Any

from findings import Findings
from lab import run
from registry import Size


def check(size: Size, findings: Findings) -> None:
    """Compare the median steps of forked and fresh launches of one small model."""
    seconds: dict[str, list[float]] = {"forked": [], "fresh": []}
    for turn, way in enumerate(("forked", "fresh", "fresh", "forked")[: size.pick(4, 2, 2)]):
        options = ["--fresh-process"] if way == "fresh" else []
        found = run(size, findings.folder, f"{way}{turn}", _spec(size), *options)
        if not found["cells"] or found["cells"][0]["step_seconds"] is None:
            findings.problem(f"{way}: expected figures, found none: {found['said'][-600:]}")
            return
        seconds[way] += found["cells"][0]["step_seconds"]["launch_medians"]
    findings.figure("launches_each", len(seconds["fresh"]))
    off = abs(median(seconds["forked"]) / median(seconds["fresh"]) - 1)
    # Two short launches of each on busy cores differ by any factor.
    findings.at_most("forked_over_fresh_off", off, size.pick(0.01, 0.05, math.inf))


def _spec(size: Size) -> dict[str, Any]:
    return {
        "workload": {"model": "mlp", "params": size.pick({"hidden": 4096, "layers": 8}, {"hidden": 4096}, {})},
        "candidates": [{"name": "torch", "engine": "torch"}],
        "scale": {"workers": [1], "batchPerWorker": size.pick(4096, 1024, 8)},
        "parity": "skipped",
        "measurement": {
            "launches": 2, "minSteps": size.pick(200, 40, 10), "minSeconds": size.pick(2, 0.5, 0),
            "warmupSteps": 5, "warmupSeconds": size.pick(1, 0.2, 0), "maxTakenShare": 1,
        },
    }  # fmt: skip
