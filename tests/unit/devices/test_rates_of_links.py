"""What links carry in one direction, against the totals that vendors print."""

import pytest

from stepmark.devices.link_rates import nvlink_bytes_per_second, nvlink_generation, pcie_bytes_per_second


@pytest.mark.parametrize(
    ("model", "capability", "links", "both_ways"),
    [
        ("P100", "6.0", 4, 160),
        ("V100", "7.0", 6, 300),
        ("A100", "8.0", 12, 600),
        ("A40", "8.6", 4, 112.5),
        ("H800", "9.0", 8, 400),
        ("H100", "9.0", 18, 900),
        ("B200", "10.0", 18, 1800),
    ],
)
def test_nvlinks_together_are_half_of_what_vendors_print_for_both_ways(
    model: str, capability: str, links: int, both_ways: float
) -> None:
    assert nvlink_bytes_per_second(capability, links) == both_ways * 1e9 / 2, model


@pytest.mark.parametrize(("capability", "links"), [("99.0", 18), (None, 18), ("9.0", 0), ("9.0", None)])
def test_nvlinks_of_an_unknown_gpu_and_of_one_without_any_have_no_figure(
    capability: str | None, links: int | None
) -> None:
    assert nvlink_bytes_per_second(capability, links) is None
    assert (nvlink_generation(capability) is None) == (capability != "9.0")


@pytest.mark.parametrize(
    ("generation", "width", "gigabytes"),
    [(1, 16, 4), (2, 8, 4), (3, 16, 15.75), (4, 16, 31.5), (5, 16, 63), (6, 16, 121)],
)
def test_pcie_carries_what_its_encoding_leaves(generation: int, width: int, gigabytes: float) -> None:
    assert pcie_bytes_per_second(generation, width) == pytest.approx(gigabytes * 1e9, rel=1e-3)


@pytest.mark.parametrize(("generation", "width"), [(7, 16), (None, 16), (5, None), (5, 0)])
def test_an_unknown_pcie_link_has_no_figure(generation: int | None, width: int | None) -> None:
    assert pcie_bytes_per_second(generation, width) is None
