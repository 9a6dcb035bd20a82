"""The formulas of FLOPs and parameters agree with torch's counts on the meta device, without memory or a GPU."""

from typing import Any

import pytest

from conftest import needs, trained_models
from stepmark import catalog
from stepmark.workloads._protocol import InputSpec

GPT2 = {"layers": 12, "heads": 12, "width": 768, "length": 1024, "vocabulary": 50257}
LONG = {"layers": 1, "heads": 2, "width": 64, "length": 2048}  # Five of six FLOPs are attention's.
SHORT = {"layers": 3, "heads": 1, "width": 8, "length": 3, "vocabulary": 5}

CASES: list[tuple[str, dict[str, Any]]] = [
    *((model, {}) for model in trained_models()),
    ("mlp", {"layers": 1, "hidden": 3}),
    ("resnet", {"depth": 8, "imageSize": 32, "classes": 10}),
    ("resnet", {"depth": 18, "imageSize": 32, "classes": 10}),
    ("resnet", {"depth": 34, "imageSize": 225}),
    ("resnet", {"depth": 50}),
    ("lstm", {"length": 32, "embedding": 48, "hidden": 96}),
    ("lstm", {"length": 80, "embedding": 128, "hidden": 16}),
    ("transformer", GPT2),
    ("transformer", LONG),
    ("transformer", SHORT),
    ("gpt", GPT2),
    ("gpt", LONG),
    ("gpt", SHORT),
]


def model(name: str, given: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return a workload, its parameters, and its torch model on the meta device."""
    needs("torch")
    import torch

    workload = catalog.load_workload(name)
    params = workload.parse(given)
    with torch.device("meta"):
        return workload, params, workload.torch_model(params)  # type: ignore[attr-defined]


def samples(spec: InputSpec, count: int) -> Any:
    import torch

    return torch.empty(count, *spec.shape, dtype=torch.int64 if spec.kind == "tokens" else None, device="meta")


@pytest.mark.parametrize(("name", "given"), CASES)
def test_flops_of_a_training_step_are_those_that_torch_counts(name: str, given: dict[str, Any]) -> None:
    workload, params, net = model(name, given)
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        net(samples(workload.input(params), 2)).sum().backward()
    assert workload.flops_per_sample(params) == pytest.approx(counter.get_total_flops() / 2, rel=0.01)


@pytest.mark.parametrize(("name", "given"), CASES)
def test_the_parameter_count_is_that_of_the_torch_model(name: str, given: dict[str, Any]) -> None:
    workload, params, net = model(name, given)
    assert workload.parameter_count(params) == sum(p.numel() for p in net.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("name", "given", "documented"),
    [
        ("resnet", {"depth": 18}, 11_689_512),  # The figure is from torchvision's documentation.
        ("resnet", {"depth": 34}, 21_797_672),
        ("resnet", {"depth": 50}, 25_557_032),
        ("gpt", GPT2, 124_439_808),  # The figure is that of openai-community/gpt2.
    ],
)
def test_the_parameter_count_is_that_of_the_published_model(name: str, given: dict[str, Any], documented: int) -> None:
    workload = catalog.load_workload(name)
    assert workload.parameter_count(workload.parse(given)) == documented


def test_the_flops_of_an_lstm_are_those_of_its_gates() -> None:
    """The length is one where torch counts less, since it computes no gradient for the state before the first token."""
    workload = catalog.load_workload("lstm")
    params = workload.parse({"length": 3, "embedding": 5, "hidden": 7, "classes": 2})
    # 3 tokens x 4 gates x 7 outputs x (5 + 7) inputs, and 7 x 2 in the dense layer; 2 FLOP each, 3 passes.
    assert workload.flops_per_sample(params) == 3 * 2 * (3 * 4 * 7 * 12 + 7 * 2)
