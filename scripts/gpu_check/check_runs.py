"""Whole runs by the command line, as a user makes them, against what others reach on the same hardware."""

from typing import Any

from findings import Findings
from lab import engines, run
from registry import Size

# Goals on one H200: samples per second of the whole job, by run and cell.
GOALS = {
    "resnet50": {"torch.eager.bfloat16.w1": 2800.0, "torch.compiled.bfloat16.w1": 3300.0},
    "gpt2": {"torch.compiled.bfloat16.w1": 330_000 / 1024},
}


def check(size: Size, findings: Findings) -> None:
    """Run a ResNet-50, a GPT-2 and an LSTM in every engine that is installed."""
    for name, spec in _specs(size).items():
        found = run(size, findings.folder, name, spec)
        if not found["cells"]:
            findings.problem(f"{name}: expected results, found none: {found['said'][-700:]}")
            continue
        for cell in found["cells"]:
            _cell(size, name, cell, findings)
        findings.figure(f"{name}.verdicts", [one.get("verdict") for one in found.get("comparisons", [])])


def _cell(size: Size, name: str, cell: dict[str, Any], findings: Findings) -> None:
    rate = cell["samples_per_second"]["median"] if cell["samples_per_second"] else None
    used = cell["utilization"] or {}
    findings.figure(
        f"{name}.{cell['key']}",
        {"samples_per_second": rate, "verdict": cell["verdict"], "mfu": used.get("mfu"), "parity": cell["parity"]},
    )
    if rate is None and cell["verdict"] != "unsupported":
        findings.problem(f"{name}.{cell['key']}: expected figures, found {cell['verdict']}: {cell['reason']}"[:500])
    goal = GOALS.get(name, {}).get(cell["key"])
    if goal is not None and rate is not None and size.name == "full" and cell.get("device_name") == "NVIDIA H200":
        findings.at_least(f"{name}.{cell['key']}.share_of_goal", rate / goal, 1.0)


def _specs(size: Size) -> dict[str, dict[str, Any]]:
    measurement = {
        "launches": 2, "minSteps": size.pick(20, 10, 5), "minSeconds": size.pick(3, 0.5, 0), "warmupSteps": 5,
        "warmupSeconds": size.pick(1, 0, 0), "maxTakenShare": 1,
    }  # fmt: skip
    precision = {"precision": ["bfloat16" if size.on_gpu else "float32"]}
    torch = {"name": "torch", "engine": "torch", "options": ["channels-last"] if size.on_gpu else []}
    others = () if size.name == "rehearse" else engines()
    plain = [{"name": name, "engine": name} for name in others if name not in ("torch", "keras-tensorflow")]
    gpt = size.pick(
        {"vocabulary": 50304, "length": 1024, "layers": 12, "heads": 12, "width": 768},
        {"vocabulary": 50304, "length": 256, "layers": 4, "heads": 12, "width": 768},
        {"vocabulary": 20, "length": 8, "layers": 1, "heads": 2, "width": 8},
    )
    resnet = size.pick({"depth": 50}, {"depth": 50}, {"depth": 8, "imageSize": 8, "channels": 1, "classes": 10})
    found = {
        "resnet50": {
            "workload": {"model": "resnet", "params": resnet},
            "candidates": [torch, *(plain if size.name == "full" else [])],
            "sweep": {"execution": ["eager", "compiled"] if size.name == "full" else ["eager"], **precision},
            "scale": {"workers": [1], "batchPerWorker": size.pick(256, 32, 4)},
        },
        "gpt2": {
            "workload": {"model": "gpt", "params": gpt},
            "candidates": [{"name": "torch", "engine": "torch"}, *plain],
            "sweep": {"execution": ["compiled" if size.on_gpu else "default"], **precision},
            "scale": {"workers": [1], "batchPerWorker": size.pick(32, 8, 4)},
        },
    }
    if size.name == "full":
        found["lstm"] = {
            "workload": {"model": "lstm", "params": {"length": 32, "embedding": 1000, "hidden": 1000}},
            "candidates": [{"name": "torch", "engine": "torch"}, *plain],
            "sweep": precision,
            "scale": {"workers": [1], "batchPerWorker": 256},
        }
    return {name: spec | {"measurement": measurement, "parity": "required"} for name, spec in found.items()}
