"""What Keras' engines cannot do on a kind of device is in the plan with its reason, before a process is started."""

from typing import Any

import pytest

from conftest import scenario_document
from stepmark.plan.cells import Machine, cells
from stepmark.scenario.load import scenario_from_object

CPU = Machine(places=2, programs=("c++",))
HOPPER = Machine(places=2, programs=("c++",), device="gpu", gpu_name="NVIDIA H200", compute_capability=(9, 0))
BLACKWELL = HOPPER.model_copy(update={"gpu_name": "NVIDIA B200", "compute_capability": (10, 0)})
TURING = HOPPER.model_copy(update={"gpu_name": "Tesla T4", "compute_capability": (7, 5)})
CLUSTER = HOPPER.model_copy(update={"gpu_name": None, "compute_capability": None})


def reason(machine: Machine, engine: str = "keras-tensorflow", **asked: Any) -> str | None:
    """Why the cell of two workers is not measured, or None."""
    strategy = asked.pop("strategy", "multi-worker-mirrored" if engine == "keras-tensorflow" else "data-parallel")
    candidate = {"name": "a", "engine": engine, "strategy": strategy, "options": asked.pop("options", [])}
    if "variant" in asked:
        candidate["variant"] = asked.pop("variant")
    document = scenario_document(
        candidates=[candidate],
        workload={"model": asked.pop("model", "mlp")},
        sweep={"execution": [asked.pop("execution", "default")], "precision": [asked.pop("precision", "float32")]},
        scale={"workers": [2], "batchPerWorker": 8},
    )
    assert not asked
    [cell] = cells(scenario_from_object(document), machine)
    return cell.unsupported


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16", "float16"])
@pytest.mark.parametrize("engine", ["keras-tensorflow", "keras-jax"])
def test_both_train_on_gpus_in_these_precisions(engine: str, precision: str) -> None:
    assert reason(HOPPER, engine, precision=precision) is None
    assert reason(HOPPER, engine, precision=precision, execution="compiled") is None


def test_tensorflows_xla_is_refused_on_blackwell_and_not_where_the_gpu_is_unknown() -> None:
    found = {gpu.gpu_name: reason(gpu, execution="compiled") for gpu in (HOPPER, BLACKWELL, CLUSTER)}
    assert found.pop("NVIDIA B200", None) == (
        "compiled: TensorFlow 2.21's XLA has no code for GPUs of compute capability 10.0 and later "
        "(tensorflow/tensorflow#111958); use graph"
    )
    assert set(found.values()) == {None}
    assert reason(BLACKWELL) is None
    assert reason(BLACKWELL, "keras-jax", execution="compiled") is None


def test_a_compiled_lstm_is_refused_to_tensorflow_on_gpus_alone() -> None:
    compiled = {"model": "lstm", "execution": "compiled"}
    assert "cuDNN's LSTM, which XLA cannot compile" in (reason(HOPPER, **compiled) or "")
    allowed = [reason(CPU, **compiled), reason(HOPPER, "keras-jax", **compiled), reason(HOPPER, model="lstm")]
    assert allowed == [None] * 3


def test_ring_is_another_variant_on_gpus_alone() -> None:
    assert reason(HOPPER, variant="ring") is None
    assert "on CPU cores `explicit` has it already" in (reason(CPU, variant="ring") or "")


@pytest.mark.parametrize("machine", [CPU, HOPPER])
def test_mirrored_is_not_compiled_and_the_reason_holds_on_every_device(machine: Machine) -> None:
    refused = reason(machine, strategy="mirrored", execution="compiled")
    assert refused == "XLA cannot reach the variables of another device"
    assert reason(machine, strategy="mirrored") is None


@pytest.mark.parametrize("engine", ["keras-tensorflow", "keras-jax"])
def test_precisions_that_older_gpus_lack_are_refused(engine: str) -> None:
    for precision in ("tf32", "bfloat16"):
        assert "from compute capability 8.0 on" in (reason(TURING, engine, precision=precision) or "")
    assert reason(TURING, engine, precision="float16") is None
    assert "this cell runs on CPU cores" in (reason(CPU, engine, precision="tf32") or "")


@pytest.mark.parametrize("engine", ["keras-tensorflow", "keras-jax"])
def test_cudnn_is_tuned_anyway_and_cuda_graphs_have_no_switch(engine: str) -> None:
    assert reason(HOPPER, engine, options=["cudnn-autotune"]) is None
    assert "no switch for them" in (reason(HOPPER, engine, options=["cuda-graphs"]) or "")
