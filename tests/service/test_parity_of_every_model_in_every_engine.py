"""`stepmark parity`: every model in every engine and strategy, on one and two workers, against one process."""

import importlib.util
import json

import pytest

from conftest import CommandLine
from stepmark import catalog

CANDIDATES = [
    {"name": "ddp", "engine": "torch", "strategy": "ddp"},
    {"name": "fsdp", "engine": "torch", "strategy": "fsdp"},
    {"name": "explicit", "engine": "keras-tensorflow", "strategy": "multi-worker-mirrored"},
    {"name": "canonical", "engine": "keras-tensorflow", "strategy": "multi-worker-mirrored", "variant": "canonical"},
    {"name": "mirrored", "engine": "keras-tensorflow", "strategy": "mirrored"},
    {"name": "keras-torch", "engine": "keras-torch", "strategy": "ddp"},
    {"name": "keras-jax", "engine": "keras-jax", "strategy": "data-parallel"},
]
SMALL = {
    "mlp": {"hidden": 64},
    "resnet": {"depth": 8, "imageSize": 16, "channels": 1, "classes": 10},
    "lstm": {"length": 8, "embedding": 32, "hidden": 32},
    "transformer": {"length": 8, "layers": 1, "width": 32, "heads": 2},
    "gpt": {"length": 8, "layers": 1, "width": 32, "heads": 2},
}


@pytest.fixture(autouse=True)
def frameworks() -> None:
    for module in ("torch", "tensorflow", "keras", "jax"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")


def parity(stepmark: CommandLine, **changes: object) -> tuple[int, dict[str, dict]]:
    scale = {"workers": [1, 2], "batchPerWorker": 16}
    file = stepmark.scenario(**({"scale": scale, "parity": "required"} | changes))
    done = stepmark("parity", file, "--json")
    return done.returncode, {found["cell"]: found for found in json.loads(done.stdout)}


@pytest.mark.parametrize("model", [name for name in catalog.workload_names() if name != "scripted"])
def test_every_engine_is_proven_or_gives_a_reason(stepmark: CommandLine, model: str) -> None:
    code, found = parity(stepmark, workload={"model": model, "params": SMALL[model]}, candidates=CANDIDATES)
    assert len(found) == 2 * len(CANDIDATES)
    apart = {"keras-jax.compiled.float32.w2"} if model == "resnet" else set()
    assert {cell for cell, c in found.items() if c["badge"] == "not comparable"} == apart
    assert code == (1 if apart else 0)
    for cell in apart:  # JAX sees the global batch in BatchNorm, which makes another model.
        assert "BatchNorm's statistics are over all workers on one side" in found[cell]["text"]
    assert found["ddp.eager.float32.w2"]["badge"] == "certified"
    assert found["keras-jax.compiled.float32.w1"]["text"].startswith("compiled: within ")


def test_accumulation_clipping_precision_and_compilers_are_proven(stepmark: CommandLine) -> None:
    code, found = parity(
        stepmark,
        workload={"model": "mlp", "params": SMALL["mlp"]},
        candidates=[c for c in CANDIDATES if c["name"] in ("ddp", "fsdp", "explicit", "keras-jax")],
        training={"gradientAccumulation": 2, "clipGlobalNorm": 0.5},
        sweep={"execution": ["default", "compiled"], "precision": ["float32", "bfloat16", "float16"]},
        scale={"workers": [2], "batchPerWorker": 16},
    )
    assert code == 0, [c["text"] for c in found.values() if c["badge"] == "not comparable"]
    assert found["ddp.eager.float32.w2"]["badge"] == "certified"
    assert found["explicit.graph.bfloat16.w2"]["text"].startswith("bfloat16: within ")
    assert [s["name"] for s in found["explicit.graph.bfloat16.w2"]["stages"]] == ["float64", "float32", "as timed"]
    assert "fsdp.eager.float16.w2" not in found  # The plan refuses this cell with a reason.
    # The gradient that was read off the step is clipped: in every engine it has the norm that the scenario asks for.
    assert all(abs(s["figures"]["gradient_scale"] - 1) < 1e-2 for c in found.values() for s in c["stages"])


def test_a_failed_parity_check_is_a_result_that_resume_keeps(stepmark: CommandLine) -> None:
    changes = {
        "workload": {"model": "mlp", "params": SMALL["mlp"]},
        "candidates": CANDIDATES[:1],
        "parity": "required",
        "measurement": {"launches": 2, "launchTimeoutSeconds": 1, "minSteps": 1, "minSeconds": 0},
        "sweep": {"execution": ["compiled"]},
    }
    file = stepmark.scenario(**changes)
    done = stepmark("parity", file, "--out", "out")
    assert done.returncode == 1
    assert "not comparable: the parity check" in done.stdout
    assert "launchTimeoutSeconds" in done.stdout
    again = stepmark("parity", file, "--out", "out", "--resume")
    assert again.returncode == 1
    assert "parity ddp" not in again.stderr  # The check was not made again.


def test_the_launches_of_a_resumed_run_are_proven(stepmark: CommandLine) -> None:
    """The run has its certificates already, and makes the reference that its launches are compared with again."""
    measurement = {"launches": 2, "minSteps": 10, "minSeconds": 0, "warmupSteps": 2, "warmupSeconds": 0}
    file = stepmark.scenario(
        workload={"model": "mlp", "params": SMALL["mlp"]},
        candidates=CANDIDATES[:2],
        parity="required",
        measurement=measurement,
        scale={"workers": [2], "batchPerWorker": 16},
        training={"gradientAccumulation": 2},
    )
    assert stepmark("parity", file, "--out", "out").returncode == 0
    done = stepmark("run", file, "--launcher", "bare", "--out", "out", "--resume")
    assert done.returncode == 0, done.stderr
    assert "parity ddp" not in done.stderr
    for certificate in stepmark.summary(stepmark.folder / "out")["certificates"]:
        last = certificate["stages"][-1]
        assert (certificate["badge"], last["name"], last["ranks_agree"]) == ("certified", "timed run", True)
