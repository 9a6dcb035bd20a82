"""What the class of an own model does not say is found: its parameters from its builder, its logits in its outputs."""

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from stepmark.workloads import ModelPair, Params, TorchModel


class Width(Params):
    width: int = 4


class Torch(TorchModel):
    def build(self, params: Width) -> Any:
        return params.width


class Pair(ModelPair):
    def build_torch(self, params: "Width") -> Any:
        return params.width


class Plain(TorchModel):
    def build(self, params: Any) -> Any:
        return None


@pytest.mark.parametrize("workload", [Torch(), Pair()])
def test_parameters_are_those_that_a_builder_is_annotated_with(workload: TorchModel | ModelPair) -> None:
    assert workload.parse({"width": 8}) == Width(width=8)


def test_a_builder_without_an_annotation_takes_no_parameters() -> None:
    with pytest.raises(ValidationError):
        Plain().parse({"width": 8})


def test_logits_are_the_output_or_what_it_holds_under_that_name() -> None:
    assert Plain().torch_outputs(lambda x: x, 3) == 3
    assert Plain().torch_outputs(lambda x: SimpleNamespace(loss=None, logits=x), 3) == 3
