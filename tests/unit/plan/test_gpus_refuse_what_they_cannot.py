"""What a cell on a GPU, or a cell that asks for a GPU's features, is told before anything is started."""

from typing import Any

import pytest

from conftest import scenario_document
from stepmark import catalog
from stepmark.plan.cells import Machine, cells
from stepmark.scenario.load import scenario_from_object

GPU = Machine(places=2, programs=("c++",), device="gpu", gpu_name="NVIDIA H200", compute_capability=(9, 0))
CPU = Machine(places=2, programs=("c++",))


def reason(machine: Machine, engine: str = "torch", strategy: str = "single", **asked: Any) -> str | None:
    options, sweep = asked.pop("options", []), {"execution": ["eager"], "precision": ["float32"]}
    document = scenario_document(
        workload=asked.pop("workload", {"model": "mlp"}),
        candidates=[{"name": "a", "engine": engine, "strategy": strategy, "options": options}],
        sweep=sweep | asked.pop("sweep", {}),
        scale={"workers": [1], "batchPerWorker": 8},
        **asked,
    )
    [cell] = cells(scenario_from_object(document), machine)
    return cell.unsupported


COMPILED = {"execution": ["compiled"]}


@pytest.mark.parametrize("engine", ["torch", "keras-torch"])
def test_engines_on_torch_train_on_a_gpu(engine: str) -> None:
    assert reason(GPU, engine) is None
    assert reason(GPU, engine, options=["cudnn-autotune"], sweep={"precision": ["tf32"]}) is None


@pytest.mark.parametrize("engine", ["torch", "keras-torch"])
def test_gpus_that_the_wheels_know_nothing_of_are_refused(engine: str) -> None:
    assert "7.5" in (reason(GPU.model_copy(update={"compute_capability": (7, 0)}), engine) or "")
    assert reason(GPU.model_copy(update={"compute_capability": (7, 5)}), engine) is None
    assert reason(GPU.model_copy(update={"compute_capability": None}), engine) is None  # A cluster's head has none.


@pytest.mark.parametrize("engine", ["torch", "keras-torch"])
def test_cuda_graphs_need_a_gpu_a_compiler_and_whole_batches(engine: str) -> None:
    graphs: dict[str, Any] = {"options": ["cuda-graphs"]}
    assert reason(GPU, engine, **graphs, sweep=COMPILED) is None
    assert "runs on CPU cores" in (reason(CPU, engine, **graphs, sweep=COMPILED) or "")
    assert "use the level compiled" in (reason(GPU, engine, **graphs) or "")
    training = {"gradientAccumulation": 2}
    assert "micro-batch" in (reason(GPU, engine, **graphs, sweep=COMPILED, training=training) or "")


@pytest.mark.parametrize("engine", ["torch", "keras-torch"])
def test_foreach_is_an_option_where_torch_does_not_take_it_unasked(engine: str) -> None:
    assert reason(CPU, engine, options=["foreach-optimizer"]) is None
    assert "without asking" in (reason(GPU, engine, options=["foreach-optimizer"]) or "")
    assert reason(GPU, engine, options=["fused-optimizer"]) is None


def test_an_optimizer_is_not_fused_and_foreach_at_once() -> None:
    assert "not both" in (reason(CPU, options=["foreach-optimizer", "fused-optimizer"]) or "")


@pytest.mark.parametrize("engine", ["torch", "keras-torch", "keras-jax", "keras-tensorflow"])
def test_every_framework_trains_with_adamw(engine: str) -> None:
    sweep = {"execution": ["default"]}
    assert reason(CPU, engine, training={"optimizer": "adamw"}, sweep=sweep) is None


def test_an_engine_that_does_not_name_adamw_is_unsupported_with_it() -> None:
    asked: dict[str, Any] = {"strategy": "parallel", "engine": "sleeper", "training": {"optimizer": "adamw"}}
    assert reason(CPU, workload={"model": "scripted"}, **asked) == "adamw: sleeper does not support it"


def test_cuda_graphs_do_not_go_with_fsdp() -> None:
    assert "FSDP" in (reason(GPU, strategy="fsdp", options=["cuda-graphs"], sweep=COMPILED) or "")


def test_keras_is_told_its_device_before_it_is_imported() -> None:
    found = catalog.load_engine("keras-torch").SUPPORT.device_environment
    assert found == {"cpu": {"KERAS_TORCH_DEVICE": "cpu"}, "gpu": {"KERAS_TORCH_DEVICE": "cuda"}}
