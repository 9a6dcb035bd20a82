"""GPUs that do not exist: the same ones as an object for a test of one part, and as C libraries for whole processes."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from stepmark.devices.nvml import SWITCH, Clock, Feature, Power
from stepmark.results.device import CapReason

T = TypeVar("T")
MIB = 1 << 20


def uuid(number: int) -> str:
    return f"GPU-00000000-0000-4000-8000-{number:012d}"


@dataclass
class FakeGpu:
    """One GPU. The fields are the columns of the file that libnvidia_ml.c reads."""

    uuid: str
    name: str = "NVIDIA H100 80GB HBM3"
    memory_mib: int = 81_559
    used_mib: int = 500
    cores: int = 0b11
    millijoules: int = 4_500
    mig: int = 0
    processes: int = 0
    links: int = 0
    capped_ms: int = 0
    ecc_errors: int = 0
    xid: int = 0
    lost: int = 0

    def line(self) -> str:
        return ",".join(f"{value:x}" if name == "cores" else str(value) for name, value in vars(self).items())


def some_gpus(count: int, **columns: int | str) -> list[FakeGpu]:
    return [FakeGpu(uuid(number), **columns) for number in range(count)]  # type: ignore[arg-type]


class FakeNvml:
    """`Nvml` of these GPUs, which a test may change."""

    def __init__(self, gpus: list[FakeGpu]) -> None:
        self.them = gpus
        self.ends: dict[str, tuple[str, ...]] = {}
        """The far ends of a GPU's links, where they are not all at a switch."""
        self._told: dict[str, int] = {}

    def _of(self, gpu: str, value: Callable[[FakeGpu], T]) -> T | None:
        return next((value(one) for one in self.them if one.uuid == gpu and not one.lost), None)

    def driver(self) -> str | None:
        return "580.0.0"

    def cuda_driver(self) -> tuple[int, int] | None:
        return 13, 0

    def gpus(self) -> tuple[str, ...]:
        return tuple(one.uuid for one in self.them if not one.lost)

    def name(self, gpu: str) -> str | None:
        return self._of(gpu, lambda one: one.name)

    def pci_bus(self, gpu: str) -> str | None:
        return self._of(gpu, lambda one: f"00000000:{self.them.index(one) + 1:02X}:00.0")

    def compute_capability(self, gpu: str) -> tuple[int, int] | None:
        return self._of(gpu, lambda _: (9, 0))

    def memory_bytes(self, gpu: str) -> tuple[int, int] | None:
        return self._of(gpu, lambda one: (one.memory_mib * MIB, one.used_mib * MIB))

    def clock_hz(self, gpu: str, clock: Clock) -> int | None:
        return self._of(gpu, lambda _: {"sm": 1_500_000_000, "memory": 2_600_000_000}[clock])

    def most_clock_hz(self, gpu: str, clock: Clock) -> int | None:
        return self._of(gpu, lambda _: {"sm": 1_980_000_000, "memory": 3_201_000_000}[clock])

    def application_clocks(self, gpu: str) -> bool | None:
        return None

    def power_watts(self, gpu: str, which: Power) -> float | None:
        return self._of(gpu, lambda _: {"now": 350.5, "limit": 600.0, "default": 700.0}[which])

    def temperature_celsius(self, gpu: str) -> int | None:
        return self._of(gpu, lambda _: 45)

    def utilization_ratio(self, gpu: str) -> float | None:
        return self._of(gpu, lambda _: 0.98)

    def has(self, gpu: str, feature: Feature) -> bool | None:
        return self._of(gpu, lambda one: bool(one.mig) if feature == "mig" else True)

    def compute_mode(self, gpu: str) -> str | None:
        return self._of(gpu, lambda _: "default")

    def pcie(self, gpu: str) -> tuple[int, int] | None:
        return self._of(gpu, lambda _: (5, 16))

    def numa_node(self, gpu: str) -> int | None:
        return self._of(gpu, lambda _: 0)

    def cores(self, gpu: str) -> tuple[int, ...] | None:
        return self._of(gpu, lambda one: tuple(core for core in range(64) if one.cores >> core & 1))

    def energy_joules(self, gpu: str) -> float | None:
        return self._of(gpu, lambda one: one.millijoules / 1e3)

    def processes(self, gpu: str) -> int | None:
        return self._of(gpu, lambda one: one.processes)

    def mps_processes(self, gpu: str) -> int | None:
        return None

    def capped_seconds(self, gpu: str) -> dict[CapReason, float] | None:
        return self._of(gpu, lambda one: _capped(one.capped_ms / 1e3))

    def ecc_errors(self, gpu: str) -> tuple[int, int] | None:
        return self._of(gpu, lambda one: (0, one.ecc_errors))

    def nvlinks(self, gpu: str) -> tuple[str, ...] | None:
        return self._of(gpu, lambda one: self.ends.get(gpu, (SWITCH,) * one.links))

    def xids(self, gpu: str) -> tuple[int, ...] | None:
        """A GPU reports an error when its field changes; -1 says that it reports none to programs."""
        if gpu not in self._told:
            xid = self._of(gpu, lambda one: one.xid)
            if xid is None or xid < 0:
                return None
            self._told[gpu] = xid
        now = next(one.xid for one in self.them if one.uuid == gpu)  # What is lost has reported why.
        found = (now,) if now not in (0, self._told[gpu]) else ()
        self._told[gpu] = now or self._told[gpu]
        return found

    def ancestor(self, gpu: str, other: str) -> str | None:
        return self._of(gpu, lambda _: "NODE")

    def can_read(self, gpu: str, other: str) -> bool | None:
        return self._of(gpu, lambda _: True)


def _capped(seconds: float) -> dict[CapReason, float]:
    return {"software-power": 0, "software-thermal": 0, "hardware-thermal": seconds, "hardware-power-brake": 0}


class FakeDriver:
    """Both C libraries in a folder, to be put in LD_LIBRARY_PATH. `write` changes the GPUs of running processes too."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cuda_log = folder, folder / "cuda.log"
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("needs a C compiler")
        for source, library in (("libcuda.c", "libcuda.so.1"), ("libnvidia_ml.c", "libnvidia-ml.so.1")):
            command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", str(folder / library)]
            subprocess.run([*command, str(Path(__file__).parent / source), "-ldl"], check=True)

    def write(self, gpus: list[FakeGpu]) -> None:
        draft = self.folder / "gpus.draft"
        draft.write_text("".join(f"{gpu.line()}\n" for gpu in gpus))
        draft.rename(self.folder / "gpus")


assert len(astuple(FakeGpu(""))) == 13  # as many as libnvidia_ml.c reads
