"""CUDA_VISIBLE_DEVICES in all its forms, as CUDA reads it; and whether a process has started CUDA."""

import os
from pathlib import Path

import pytest

from fakes.gpus import FakeGpu, FakeNvml
from stepmark.devices import visible
from stepmark.devices.visible import cuda_is_up, visible_gpus

A, B, C = "GPU-aa11", "GPU-ab22", "GPU-cc33"
NVML = FakeNvml([FakeGpu(A), FakeGpu(B), FakeGpu(C)])


@pytest.mark.parametrize(
    ("names", "gpus"),
    [
        (None, (A, B, C)),
        ("", ()),
        ("0", (A,)),
        ("2,0", (C, A)),
        (" 1 , 2 ", (B, C)),
        ("0,0", (A, A)),
        ("-1", ()),
        ("0,-1,1", (A,)),
        ("0,7,1", (A,)),
        ("NoDevFiles", ()),
        (C, (C,)),
        ("GPU-ab,GPU-c", (B, C)),
        ("GPU-a", ()),
        ("MIG-11111111-2222", ("MIG-11111111-2222",)),
    ],
)
def test_names_are_read_as_cuda_reads_them(names: str | None, gpus: tuple[str, ...]) -> None:
    environment = {} if names is None else {"CUDA_VISIBLE_DEVICES": names}
    assert visible_gpus(NVML, environment) == gpus


def test_without_a_driver_no_gpu_is_visible_whatever_is_named() -> None:
    assert visible_gpus(FakeNvml([]), {"CUDA_VISIBLE_DEVICES": "0,MIG-1,GPU-1"}) == ()


def test_a_process_that_has_not_started_cuda_has_not() -> None:
    assert not cuda_is_up()


def test_an_open_file_of_unified_memory_says_that_cuda_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "nvidia-uvm"
    device.touch()
    monkeypatch.setattr(visible, "_CUDA_MEMORY", str(device))
    opened = os.open(device, os.O_RDONLY)
    assert cuda_is_up()
    os.close(opened)
    assert not cuda_is_up()
