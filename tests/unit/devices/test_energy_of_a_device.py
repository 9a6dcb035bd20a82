"""NVML's counter in joules, of the device that CUDA means; unknown wherever there is none."""

import sys

import pytest

from fakes.gpus import FakeGpu, FakeNvml
from stepmark.devices.nvml import _Library
from stepmark.devices.visible import visible_gpus
from stepmark.devices.watch import energy_joules


class TwoGpus(FakeNvml):
    """The second is too old to count."""

    def energy_joules(self, gpu: str) -> float | None:
        return None if gpu == "GPU-b" else super().energy_joules(gpu)


NVML = TwoGpus([FakeGpu("GPU-a"), FakeGpu("GPU-b")])


@pytest.mark.parametrize(
    ("gpus", "joules"), [(("GPU-a",), 4.5), (("GPU-b",), None), (("GPU-a", "GPU-b"), None), ((), None)]
)
def test_the_counter_is_in_joules_and_unknown_where_there_is_none(gpus: tuple[str, ...], joules: float | None) -> None:
    assert energy_joules(NVML, gpus) == joules


def test_a_process_with_several_gpus_counts_all_of_them() -> None:
    nvml = FakeNvml([FakeGpu("GPU-a", millijoules=1_000), FakeGpu("GPU-b", millijoules=2_000)])
    assert energy_joules(nvml, ("GPU-a", "GPU-b")) == 3


@pytest.mark.parametrize(("visible", "joules"), [("1,0", None), ("GPU-b,GPU-a", None), ("0", 4.5)])
def test_cuda_counts_only_visible_devices(visible: str, joules: float | None) -> None:
    first, *_ = visible_gpus(NVML, {"CUDA_VISIBLE_DEVICES": visible})
    assert energy_joules(NVML, (first,)) == joules


def test_without_nvml_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert energy_joules(_Library(), ("GPU-a",)) is None
