"""The energy of a device is NVML's counter for the device that CUDA means, in joules; without one it is unknown."""

import sys
import types

import pytest

from stepmark.launch.energy import energy_joules


class Nvml(types.ModuleType):
    """What energy.py calls of pynvml, for two devices; the second is too old to count. Tests have no real GPU."""

    class NVMLError(Exception):
        pass

    def nvmlInit(self) -> None:
        return None

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return ["GPU-a", "GPU-b"][index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        if handle == "GPU-b":
            raise self.NVMLError("Not Supported")
        return 4_500


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml("pynvml"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return monkeypatch


@pytest.mark.parametrize(("device", "joules"), [("cuda:0", 4.5), ("cuda", 4.5), ("cuda:1", None), ("cpu", None)])
def test_energy_is_in_joules_and_unknown_for_a_device_without_a_counter(
    nvml: pytest.MonkeyPatch, device: str, joules: float | None
) -> None:
    assert energy_joules(device) == joules


@pytest.mark.parametrize(("visible", "joules"), [("1,0", None), ("GPU-b,GPU-a", None), ("0", 4.5)])
def test_device_numbers_of_cuda_count_only_visible_devices(
    nvml: pytest.MonkeyPatch, visible: str, joules: float | None
) -> None:
    nvml.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert energy_joules("cuda:0") == joules


def test_energy_is_unknown_without_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert energy_joules("cuda:0") is None
