"""Whether the strategies of several ranks build and train over NCCL, as far as one GPU shows it."""

from findings import Findings
from lab import engines, run
from registry import Size

_STRATEGIES = {
    "torch": ("ddp", "fsdp"),
    "keras-torch": ("ddp",),
    "keras-jax": ("data-parallel",),
    "keras-tensorflow": ("multi-worker-mirrored", "mirrored"),
    "tf-keras": ("multi-worker-mirrored", "mirrored"),
}


def check(size: Size, findings: Findings) -> None:
    """Check the parity of every strategy with one worker, and with as many as `--ranks` says."""
    workers = sorted({1, size.ranks})
    candidates = [
        {"name": f"{engine}-{strategy}", "engine": engine, "strategy": strategy}
        for engine in engines()
        for strategy in _STRATEGIES.get(engine, ())
    ]
    if size.name != "full":
        candidates = [one for one in candidates if one["engine"] == "torch"]
    spec = {
        "workload": {"model": "mlp", "params": {"hidden": 64}},
        "candidates": candidates,
        "scale": {"workers": workers, "batchPerWorker": 16},
        "parity": "required",
    }
    found = run(size, findings.folder, "strategies", spec, "--json", verb="parity")
    findings.figure("exit_code", found["exit_code"])
    findings.figure("strategies", len(candidates))
    if found["exit_code"] != 0:
        findings.problem(f"expected that every strategy trains as the reference, found: {found['said'][-900:]}")
