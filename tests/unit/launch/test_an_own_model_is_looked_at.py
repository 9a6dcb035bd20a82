"""What cannot be measured is said in words before timing, and what cannot be counted is unknown."""

from typing import Any

import numpy as np
import pytest

from stepmark.engines._protocol import Operations
from stepmark.errors import ModelRefused
from stepmark.launch.own_model import check_outputs, facts, is_looked_at
from stepmark.workloads import InputSpec, TorchModel
from stepmark.workloads.mlp import WORKLOAD as MLP
from stepmark.workloads.scripted import WORKLOAD as SCRIPTED

SPEC = InputSpec("vector", (4,), 3)
RNG = np.random.default_rng(0)


class Engine:
    """Return one of the outputs at each call, and count operations as told."""

    def __init__(self, *outputs: Any, operations: Any = None) -> None:
        self.outputs, self.found = list(outputs), operations

    def forward(self, index: int) -> Any:
        return self.outputs.pop(0)

    def weights(self) -> Any:
        return {"a": np.zeros((3, 4)), "b": np.zeros(3)}

    def operations(self) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def logits() -> Any:
    return np.random.default_rng(1).standard_normal((8, 3))


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ((np.zeros((8, 4)), np.zeros((8, 4))), r"shape \(batch, 3\), found \(batch, 4\)"),
        ((logits() * np.nan, logits()), "finite outputs, found NaN"),
        ((logits(), RNG.standard_normal((8, 3))), "random in training, as with dropout"),
        ((np.full((8, 3), 1 / 3), np.full((8, 3), 1 / 3)), "probabilities, which add up to 1"),
    ],
)
def test_outputs_that_cannot_be_measured_are_refused(outputs: Any, words: str) -> None:
    with pytest.raises(ModelRefused, match=words):
        check_outputs(Engine(*outputs), SPEC)  # type: ignore[arg-type]


def test_outputs_of_a_usual_model_are_accepted() -> None:
    check_outputs(Engine(logits(), logits()), SPEC)  # type: ignore[arg-type]


class Own(TorchModel):
    sample = SPEC


def test_weights_and_operations_are_counted_with_their_source() -> None:
    found = facts(Engine(operations=Operations(72, "a counter")), Own())  # type: ignore[arg-type]
    assert found is not None
    assert (found.parameters, found.flops_per_sample, found.flops_source) == (15, 72, "a counter")


@pytest.mark.parametrize("operations", [None, RuntimeError("no such operation")])
def test_operations_that_cannot_be_counted_are_unknown(operations: Any) -> None:
    found = facts(Engine(operations=operations), Own())  # type: ignore[arg-type]
    assert found is not None
    assert (found.parameters, found.flops_per_sample, found.flops_source) == (15, None, None)


def test_models_with_formulas_are_not_counted() -> None:
    assert facts(Engine(), MLP) is None  # type: ignore[arg-type]


def test_the_models_of_others_are_looked_at_of_whatever_class_they_are() -> None:
    assert is_looked_at("acme/mlp", MLP)
    assert not is_looked_at("mlp", MLP)
    assert not is_looked_at("acme/scripted", SCRIPTED)
