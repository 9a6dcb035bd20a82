"""FLOPs and parameters are formulas; torch counts the same on the meta device, without memory or a GPU."""

import pytest

from stepmark import catalog

torch = pytest.importorskip("torch", reason="needs torch")

CASES = [
    ("mlp", {}),
    ("resnet", {"depth": 8, "imageSize": 32, "classes": 10}),
    ("resnet", {"depth": 18, "imageSize": 32, "classes": 10}),
    ("resnet", {"depth": 18, "imageSize": 224}),
    ("resnet", {"depth": 34, "imageSize": 225}),
    ("resnet", {"depth": 50}),
]


@pytest.mark.parametrize(("model", "given"), CASES)
def test_flops_of_a_training_step(model: str, given: dict) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    workload = catalog.load_workload(model)
    params = workload.parse(given)
    with torch.device("meta"):
        net = workload.torch_model(params)
        inputs = torch.empty(2, *workload.input(params).shape)
    with FlopCounterMode(display=False) as counter:
        net(inputs).sum().backward()
    assert workload.flops_per_sample(params) == pytest.approx(counter.get_total_flops() / 2, rel=0.01)


@pytest.mark.parametrize(("depth", "torchvision"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)])
def test_parameters_are_those_that_torchvision_documents(depth: int, torchvision: int) -> None:
    workload = catalog.load_workload("resnet")
    assert workload.parameter_count(workload.parse({"depth": depth})) == torchvision


def test_lstm_flops_are_its_gates_products() -> None:
    workload = catalog.load_workload("lstm")
    params = workload.parse({"length": 3, "embedding": 5, "hidden": 7, "classes": 2})
    # 3 tokens x 4 gates x 7 outputs x (5 + 7) inputs, and 7 x 2 in the dense layer; 2 FLOP each, 3 passes
    assert workload.flops_per_sample(params) == 3 * 2 * (3 * 4 * 7 * 12 + 7 * 2)
