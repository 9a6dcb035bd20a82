"""What the checks share: engines in this process, and runs by the command line."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from registry import Size

from stepmark import catalog
from stepmark.engines._device import CPU, GPU
from stepmark.engines._protocol import Engine, RankContext
from stepmark.workloads import _batches

TORCH_ENGINES = ("torch", "keras-torch")


def engines() -> list[str]:
    """Return the engines whose frameworks are installed here, but the sleeper."""
    found = []
    for name in catalog.engine_names():
        needs = catalog.load_engine(name).SUPPORT.requires
        if needs and all(importlib.util.find_spec(module) is not None for module in needs):
            found.append(name)
    return found


def framework(name: str, size: Size) -> Any:
    """Import an engine's framework in this process, with the environment that a zygote would have."""
    module = catalog.load_engine(name)
    support = module.SUPPORT
    os.environ.update(support.environment | support.device_environment.get("gpu" if size.on_gpu else "cpu", {}))
    module.import_framework()
    return module


def context(size: Size, **changes: Any) -> RankContext:
    """Return the context of a single rank on this size's device."""
    values: dict[str, Any] = {
        "rank": 0, "world_size": 1, "strategy": "single", "variant": None, "execution": "eager",
        "precision": "float32", "addresses": (), "threads": 2, "seed": 7, "launch_seed": 7, "block": 0,
        "collective_timeout_seconds": 60, "device": GPU if size.on_gpu else CPU,
    }  # fmt: skip
    return RankContext(**(values | changes))


def built(name: str, size: Size, model: str, params: dict[str, Any], batch: int, **changes: Any) -> Engine:
    """Return an engine of one rank that has joined its group and built its model."""
    module, workload = framework(name, size), catalog.load_workload(model)
    parsed = workload.parse(params)
    execution = changes.pop("execution", module.SUPPORT.default_execution)
    engine: Engine = module.Engine(context(size, execution=execution, **changes))
    engine.join_group()
    batches = _batches.global_batches(workload.input(parsed), "synthetic", 7, batch, _batches.BATCHES)
    engine.build(workload, parsed, batches, 0.0625)
    return engine


def run(size: Size, folder: Path, name: str, spec: dict[str, Any], *options: str, verb: str = "run") -> dict[str, Any]:
    """Run a scenario by the command line, and return its summary, with the exit code and the last lines beside it."""
    document = {
        "apiVersion": "stepmark.dev/v1alpha1", "kind": "Scenario", "metadata": {"name": name},
        "spec": {"device": "gpu" if size.on_gpu else "cpu"} | spec,
    }  # fmt: skip
    file, out = folder / f"{name}.json", folder / name
    file.write_text(json.dumps(document))
    command = [sys.executable, "-m", "stepmark", verb, str(file), "--out", str(out), *options]
    if verb == "run":
        command += ["--launcher", "bare"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    summary = json.loads((out / "summary.json").read_text()) if (out / "summary.json").exists() else {"cells": []}
    return summary | {"exit_code": done.returncode, "said": (done.stdout + done.stderr)[-1500:]}
