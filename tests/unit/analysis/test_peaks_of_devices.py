"""The vendor's peaks are found by the names that drivers give, and never by a relative's."""

import csv
from importlib import resources

import pytest

from stepmark.analysis.peaks import memory_bytes_per_second, peak_flops_per_second

H100 = "NVIDIA H100 80GB HBM3"


@pytest.mark.parametrize(
    ("device", "precision", "tera"),
    [
        (H100, "float32", 67),
        (H100, "float64", 67),  # by tensor cores, which cuBLAS uses
        ("NVIDIA H100 PCIe", "float32", 51),
        ("NVIDIA H100 PCIe", "float64", 51),
        ("NVIDIA H100 NVL", "bfloat16", 835),
        ("NVIDIA A100-SXM4-80GB", "tf32", 156),
        ("NVIDIA A100-SXM4-80GB", "float64", 19.5),
        ("Tesla T4", "float16", 65),
        ("NVIDIA A100-PCIE-40GB", "bfloat16", 312),
        ("NVIDIA A100 80GB PCIe", "bfloat16", 312),
        ("Tesla V100-SXM2-16GB", "float32", 15.7),
        ("Tesla V100-PCIE-16GB", "float16", 112),
        ("Tesla V100S-PCIE-32GB", "float16", 130),
        ("NVIDIA L40S", "bfloat16", 362.05),
        ("NVIDIA L40", "bfloat16", 181.05),
        ("NVIDIA L4", "bfloat16", 121),
        ("NVIDIA A10", "bfloat16", 125),
        ("NVIDIA H200", "bfloat16", 989.5),
        ("NVIDIA H200", "float64", 67),
        ("NVIDIA B200", "bfloat16", 2250),
        ("NVIDIA GB200", "bfloat16", 2500),
        ("NVIDIA GeForce RTX 4090", "tf32", 82.6),
    ],
)
def test_a_peak_is_dense_and_that_of_the_right_model(device: str, precision: str, tera: float) -> None:
    found = peak_flops_per_second(device, precision)
    assert found is not None
    assert found[0] == tera * 1e12


@pytest.mark.parametrize(
    "device",
    [
        *("NVIDIA RTX A1000", "RTX A1000 Laptop GPU", "NVIDIA A10G", "NVIDIA A30", "NVIDIA GeForce RTX 4090 D"),
        *("NVIDIA GH200 480GB", "NVIDIA H200 NVL", "NVIDIA A100X", "NVIDIA GeForce RTX 4090 Laptop GPU"),
        *("NVIDIA T400", "NVIDIA H100 80GB HBM2e", "NVIDIA", "", "NVIDIA RTX 4000 SFF Ada Generation"),
        *("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "NVIDIA H100 80GB HBM3 MIG 3g.40gb", "GRID A100-10C"),
    ],
)
def test_a_relative_a_slice_and_a_namesake_have_no_peak(device: str) -> None:
    found = {precision: peak_flops_per_second(device, precision) for precision in ("float32", "bfloat16", "float16")}
    assert set(found.values()) == {None}
    assert memory_bytes_per_second(device) is None


@pytest.mark.parametrize(
    ("device", "gigabytes"),
    [
        ("NVIDIA A100-SXM4-40GB", 1555),
        ("NVIDIA A100-SXM4-80GB", 2039),
        (H100, 3350),
        ("NVIDIA H200", 4800),
        ("Tesla T4", 320),
    ],
)
def test_the_bandwidth_is_that_of_the_size_of_memory_where_sizes_differ(device: str, gigabytes: float) -> None:
    found = memory_bytes_per_second(device)
    assert found is not None
    assert found[0] == gigabytes * 1e9


@pytest.mark.parametrize("name", ["peaks.csv", "bandwidths.csv"])
def test_every_row_names_its_source_and_when_it_was_read(name: str) -> None:
    text = resources.files("stepmark.analysis").joinpath(name).read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert rows
    assert all("read 20" in row["source"] for row in rows)
