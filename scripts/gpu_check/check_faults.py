"""Whether a launch that runs out of memory is named, and the next one is good."""

from typing import Any

from findings import Findings
from lab import run
from registry import Size


def check(size: Size, findings: Findings) -> None:
    """Ask for a batch that no GPU holds, then for one that fits, in two runs one after the other."""
    if not size.on_gpu:
        findings.figure("skipped", "a CPU's memory is not filled on purpose")
        return
    bad = run(size, findings.folder, "too-large", _spec(size, 65536))
    reason = bad["cells"][0]["reason"] if bad["cells"] else bad["said"]
    findings.figure("reason", reason[:300])
    if "out of memory" not in reason.lower():
        findings.problem(f"expected a launch that ran out of memory, found: {reason[:500]}")
    good = run(size, findings.folder, "fits", _spec(size, 8))
    verdict = good["cells"][0]["verdict"] if good["cells"] else "none"
    findings.figure("verdict_after", verdict)
    if verdict in ("failed", "none"):
        findings.problem(f"expected a good launch after one that ran out of memory, found: {good['said'][-600:]}")


def _spec(size: Size, batch: int) -> dict[str, Any]:
    return {
        "workload": {"model": "resnet", "params": {"depth": 50}},
        "candidates": [{"name": "torch", "engine": "torch"}],
        "scale": {"workers": [1], "batchPerWorker": batch},
        "parity": "skipped",
        "measurement": {
            "launches": 2, "minSteps": 5, "minSeconds": 0, "warmupSteps": 2, "warmupSeconds": 0, "maxTakenShare": 1,
        },
    }  # fmt: skip
