"""A candidate with the option `fit` is measured where Keras has it, and refused with the reason where it does not."""

from typing import Any

import pytest

from conftest import scenario_document
from stepmark.plan.cells import Machine, cells
from stepmark.scenario.load import scenario_from_object

CPU = Machine(places=2, programs=("c++",))
FIT, EXECUTIONS = "fit", "steps-per-execution"


def reason(engine: str, options: list[str], strategy: str = "single", **training: Any) -> str:
    """Return why the cell is not measured; empty where it is."""
    document = scenario_document(
        candidates=[{"name": "a", "engine": engine, "strategy": strategy, "options": options}],
        workload={"model": "mlp"},
        training=training,
        scale={"workers": [1 if strategy == "single" else 2], "batchPerWorker": 8},
    )
    [cell] = cells(scenario_from_object(document), CPU)
    return cell.unsupported or ""


@pytest.mark.parametrize(
    ("engine", "options"),
    [
        ("keras-tensorflow", [FIT]),
        ("keras-tensorflow", [FIT, EXECUTIONS]),
        ("keras-jax", [FIT]),
        ("keras-jax", [FIT, EXECUTIONS]),
        ("keras-torch", [FIT]),
    ],
)
def test_every_backend_of_keras_has_fit_in_one_process(engine: str, options: list[str]) -> None:
    assert reason(engine, options) == ""
    assert reason(engine, options, clipGlobalNorm=0.5, optimizer="adamw") == ""


@pytest.mark.parametrize(
    ("engine", "strategy", "options", "words"),
    [
        ("torch", "single", [FIT], "PyTorch has no training loop of its own"),
        ("keras-torch", "ddp", [FIT], "on torch it trains in one process"),
        ("keras-torch", "single", [FIT, EXECUTIONS], "refuses more than 1 on torch"),
        ("keras-torch", "single", [FIT, "fused-optimizer"], "fit needs Keras' own"),
        ("keras-tensorflow", "multi-worker-mirrored", [FIT], "keras-team/keras#20585"),
        ("keras-tensorflow", "mirrored", [FIT, EXECUTIONS], "it fails under MirroredStrategy"),
        ("keras-tensorflow", "single", [EXECUTIONS], "give the candidate the option fit too"),
    ],
)
def test_fit_is_refused_where_there_is_none(engine: str, strategy: str, options: list[str], words: str) -> None:
    assert words in reason(engine, options, strategy)


def test_fit_is_refused_where_gradients_are_accumulated() -> None:
    assert "so its batch is no step" in reason("keras-jax", [FIT], gradientAccumulation=2)
