"""Where the host runs ahead, one product would take hardly longer than waiting for it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stepmark.engines._device import matmul_flops, matmul_side
from stepmark.launch.parts import SAMPLES_LEAST, time_parts


def engine(asynchronous: bool, calls: list[str]) -> Any:
    def part(name: str) -> Callable[[int], None]:
        return lambda index: calls.append(name)

    return SimpleNamespace(
        asynchronous=asynchronous,
        feed=None,
        step=part("step"),
        step_without_reduce=part("step_without_reduce"),
        parts=lambda: {"matmul": part("matmul")},
        synchronize=lambda: 0.0,
        weights=lambda: {},
    )


@pytest.mark.parametrize(("asynchronous", "products"), [(False, 1), (True, 10)])
def test_a_sample_has_as_many_products_as_its_flops_say(asynchronous: bool, products: int) -> None:
    calls: list[str] = []
    group = cast(Any, SimpleNamespace(agree_max=lambda value: value))
    found = time_parts(engine(asynchronous, calls), group, 0.0, 0, matmul_flops=1000)
    assert found.matmul_flops == 1000 * products
    assert len(found.nanoseconds["matmul"]) == SAMPLES_LEAST
    assert calls.count("matmul") == products * calls.count("step")


def test_products_are_large_enough_to_load_the_device() -> None:
    assert [matmul_side("cpu", one) for one in ("float32", "float64")] == [512, 512]
    assert [matmul_side("gpu", one) for one in ("float32", "bfloat16", "float64")] == [8192, 8192, 4096]
    assert matmul_flops("gpu", "bfloat16") == 2 * 8192**3
