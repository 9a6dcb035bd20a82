"""What an engine's processes find in their environment: what stepmark defines, by the kind of device."""

from dataclasses import replace
from pathlib import Path

import pytest

from stepmark import catalog
from stepmark.launch.spawn import child_environment
from stepmark.terms import DeviceKind

FOLDER = Path("/scratch")


def test_processes_on_cpu_cores_see_no_gpu_whatever_is_set_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    made = child_environment("torch", 3, FOLDER)
    assert (made["CUDA_VISIBLE_DEVICES"], made["CUDA_DEVICE_ORDER"]) == ("", "PCI_BUS_ID")
    assert made["TORCHINDUCTOR_COMPILE_THREADS"] == "1"
    assert "CUDA_CACHE_PATH" not in made


def test_processes_on_gpus_see_those_of_the_node_and_keep_what_they_compile() -> None:
    made = child_environment("torch", 3, FOLDER, "gpu", ("GPU-a", "GPU-b"))
    assert made["CUDA_VISIBLE_DEVICES"] == "GPU-a,GPU-b"
    assert (made["CUDA_CACHE_PATH"], made["TRITON_CACHE_DIR"]) == ("/scratch/cuda", "/scratch/triton")
    assert made["TORCHINDUCTOR_COMPILE_THREADS"] == made["OMP_NUM_THREADS"] == "3"


def test_an_engine_adds_its_own_by_the_kind_of_device(monkeypatch: pytest.MonkeyPatch) -> None:
    module = catalog.load_engine("sleeper")
    its: dict[DeviceKind, dict[str, str]] = {"gpu": {"PLACE": "cuda"}, "cpu": {"PLACE": "cpu"}}
    monkeypatch.setattr(module, "SUPPORT", replace(module.SUPPORT, device_environment=its))
    assert child_environment("sleeper", 1, FOLDER)["PLACE"] == "cpu"
    assert child_environment("sleeper", 1, FOLDER, "gpu", ("GPU-a",))["PLACE"] == "cuda"


def test_networks_are_set_by_the_administrator_and_nothing_else_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FI_PROVIDER", "efa")
    monkeypatch.setenv("NCCL_NET", "IB")
    monkeypatch.setenv("TORCH_LOGS", "all")
    made = child_environment("torch", 1, FOLDER, "gpu", ("GPU-a",))
    assert (made["FI_PROVIDER"], made["NCCL_NET"]) == ("efa", "IB")
    assert "TORCH_LOGS" not in made
