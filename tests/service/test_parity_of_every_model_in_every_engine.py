"""`stepmark parity`: every model in every engine and strategy, on one and two workers, against one process."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from conftest import COMPILE_QUICKLY, CommandLine, needs, trained_models
from contract.small_models import SMALL
from stepmark import catalog
from stepmark.cli.main import app
from stepmark.launch import spawn
from stepmark.orchestrate import rank

CANDIDATES = [
    {"name": "ddp", "engine": "torch", "strategy": "ddp"},
    {"name": "fsdp", "engine": "torch", "strategy": "fsdp"},
    {"name": "explicit", "engine": "keras-tensorflow", "strategy": "multi-worker-mirrored"},
    {"name": "canonical", "engine": "keras-tensorflow", "strategy": "multi-worker-mirrored", "variant": "canonical"},
    {"name": "mirrored", "engine": "keras-tensorflow", "strategy": "mirrored"},
    {"name": "keras-torch", "engine": "keras-torch", "strategy": "ddp"},
    {"name": "keras-jax", "engine": "keras-jax", "strategy": "data-parallel"},
    {"name": "tf-keras", "engine": "tf-keras", "strategy": "mirrored"},
]
MLP = {"model": "mlp", "params": {"hidden": 64}}


@pytest.fixture(autouse=True)
def frameworks() -> None:
    needs("torch", "tensorflow", "keras", "tf_keras", "jax")


OWN_KERAS_MODEL = """
from stepmark.workloads import InputSpec, KerasModel

class Net(KerasModel):
    sample = InputSpec("image", (3, 8, 8), classes=4)

    def build(self, params):
        from keras import Sequential, layers

        norm = [layers.Conv2D(8, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU()]
        return Sequential([*norm, layers.DepthwiseConv2D(3), layers.GlobalAveragePooling2D(), layers.Dense(4)])
"""


@dataclass(frozen=True)
class KeptZygote:
    """A session's zygote whose socket is that of a zygote which has served other sessions and outlives this one."""

    engine: str
    path: Path
    environment: dict[str, str]
    kept: ClassVar[dict[str, spawn.Zygote]]

    def wait_until_ready(self) -> bool:
        self.path.symlink_to(self.kept[self.engine].path)
        return True

    def stop(self) -> None:
        return None


@pytest.fixture(scope="module")
def zygotes() -> Iterator[dict[str, spawn.Zygote]]:
    """Start one zygote of each engine for all models, since imports take longer than the checks.

    Sessions with zygotes of their own are in the test of a check that fails, and in all other files of tests.
    """
    with tempfile.TemporaryDirectory() as folder:  # The path of a socket has at most 107 characters.
        environments = {one["engine"]: spawn.child_environment(one["engine"], 1, Path(folder)) for one in CANDIDATES}
        started = {
            engine: spawn.Zygote(engine, Path(folder, f"{engine}.sock"), environment | COMPILE_QUICKLY)
            for engine, environment in environments.items()
        }
        try:
            assert all(zygote.wait_until_ready() for zygote in started.values())
            yield started
        finally:
            for zygote in started.values():
                zygote.stop()


@pytest.fixture
def kept_zygotes(zygotes: dict[str, spawn.Zygote], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeptZygote, "kept", zygotes, raising=False)
    monkeypatch.setattr(rank, "Zygote", KeptZygote)


def parity(stepmark: CommandLine, **changes: object) -> tuple[int, dict[str, dict]]:
    """Check the scenario in this process, from the zygotes that are kept."""
    scale = {"workers": [1, 2], "batchPerWorker": 16}
    file = stepmark.scenario(**({"scale": scale, "parity": "required"} | changes))
    done = CliRunner().invoke(app, ["parity", str(file), "--json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, {found["cell"]: found for found in json.loads(done.stdout)}


@pytest.mark.usefixtures("kept_zygotes")
@pytest.mark.parametrize("model", trained_models())
def test_every_engine_is_proven_or_gives_a_reason(stepmark: CommandLine, model: str) -> None:
    code, found = parity(stepmark, workload={"model": model, "params": SMALL[model]}, candidates=CANDIDATES)
    assert len(found) == 2 * len(CANDIDATES)
    apart = {"keras-jax.compiled.float32.w2"} if catalog.load_workload(model).uses_batch_statistics else set()
    assert {cell for cell, c in found.items() if c["badge"] == "not comparable"} == apart
    assert code == (1 if apart else 0)
    for cell in apart:  # JAX sees the global batch in BatchNorm, which makes another model.
        assert "BatchNorm's statistics are over all workers on one side" in found[cell]["text"]
    assert found["ddp.eager.float32.w2"]["badge"] == "certified"
    assert found["keras-jax.compiled.float32.w1"]["text"].startswith("compiled: within ")


@pytest.mark.usefixtures("kept_zygotes")
def test_accumulation_clipping_precision_and_compilers_are_proven(stepmark: CommandLine) -> None:
    code, found = parity(
        stepmark,
        workload=MLP,
        candidates=[c for c in CANDIDATES if c["name"] in ("ddp", "fsdp", "explicit", "keras-jax", "tf-keras")],
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


@pytest.mark.usefixtures("kept_zygotes")
def test_one_keras_file_is_the_same_model_in_every_keras_before_and_after_it_is_timed(stepmark: CommandLine) -> None:
    own, out = stepmark.folder / "net.py", stepmark.folder / "out"
    own.write_text(OWN_KERAS_MODEL)
    engines = ["keras-tensorflow", "keras-torch", "keras-jax", "tf-keras"]
    file = stepmark.scenario(
        workload={"model": "local/net"},
        candidates=[{"name": engine, "engine": engine, "strategy": "single"} for engine in engines],
        parity="required",
        measurement={"launches": 2, "minSteps": 4, "minSeconds": 0, "warmupSteps": 2, "warmupSeconds": 0},
    )
    command = ["run", str(file), "--launcher", "bare", "--out", str(out), "--workload", f"{own}:Net"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    found = {c["cell"]: (c["badge"], c["stages"][-1]["name"]) for c in stepmark.summary(out)["certificates"]}
    assert found == {
        "keras-tensorflow.graph.float32.w1": ("certified", "timed run"),
        "keras-torch.eager.float32.w1": ("certified", "timed run"),
        "keras-jax.compiled.float32.w1": ("within limits", "timed run"),
        "tf-keras.graph.float32.w1": ("certified", "timed run"),
    }


def test_a_failed_parity_check_is_a_result_that_resume_keeps(stepmark: CommandLine) -> None:
    changes = {
        "workload": MLP,
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


@pytest.mark.usefixtures("kept_zygotes")
def test_the_launches_of_a_resumed_run_are_proven(stepmark: CommandLine) -> None:
    """The run has its certificates already, and makes the reference that its launches are compared with again."""
    measurement = {"launches": 2, "minSteps": 10, "minSeconds": 0, "warmupSteps": 2, "warmupSeconds": 0}
    file = stepmark.scenario(
        workload=MLP,
        candidates=CANDIDATES[:2],
        parity="required",
        measurement=measurement,
        scale={"workers": [2], "batchPerWorker": 16},
        training={"gradientAccumulation": 2, "optimizer": "adamw"},
    )
    out = stepmark.folder / "out"
    checked = CliRunner().invoke(app, ["parity", str(file), "--out", str(out)])
    assert (checked.exit_code, "parity ddp" in checked.stderr) == (0, True), checked.output
    done = CliRunner().invoke(app, ["run", str(file), "--launcher", "bare", "--out", str(out), "--resume"])
    assert (done.exit_code, "parity ddp" in done.stderr) == (0, False), done.output
    for certificate in stepmark.summary(out)["certificates"]:
        last = certificate["stages"][-1]
        assert (certificate["badge"], last["name"], last["ranks_agree"]) == ("certified", "timed run", True)
