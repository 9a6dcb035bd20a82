"""Ask NVML, NVIDIA's management library. No other module does. GPUs are named by their UUIDs.

Every call returns None where nothing answers: without a driver or nvidia-ml-py, with a driver that lacks the function,
on a GPU that lacks the figure or that has fallen off its bus. Numbers in this file are those of nvml.h.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import takewhile
from typing import Any, Literal, Protocol

from stepmark.results.device import CapReason

Clock = Literal["sm", "memory"]
Power = Literal["now", "limit", "default"]
Feature = Literal["persistence", "ecc", "mig"]
SWITCH = "switch"
"""This is the far end of an NVLink that leads to an NVSwitch, through which every GPU can be reached."""

_CLOCKS: dict[Clock, int] = {"sm": 1, "memory": 2}
_CAPS: dict[CapReason, int] = {
    "software-power": 74,
    "sync-boost": 76,
    "software-thermal": 269,
    "hardware-thermal": 270,
    "hardware-power-brake": 271,
}
"""The fields hold the nanoseconds since the driver was loaded for which each reason lowered the clocks."""
_FIELD_TYPES = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
_COMPUTE_MODES = {0: "default", 2: "prohibited", 3: "exclusive-process"}
_ANCESTORS = {0: "INTERNAL", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}
_LINKS, _LINK_TO_SWITCH = 36, 2
_XID_EVENT, _EVENTS_MOST = 0x8, 64
_AFFINITY_WORDS = 128  # of 64 cores each: as many as Linux can have


class Nvml(Protocol):
    """List the calls that stepmark makes. `gpu` and `other` are UUIDs."""

    def driver(self) -> str | None: ...
    def cuda_driver(self) -> tuple[int, int] | None:
        """Return the newest CUDA version that the driver knows, such as (13, 0)."""

    def gpus(self) -> tuple[str, ...]:
        """Return the UUIDs of all GPUs that this container may use, in the order of their PCI addresses."""

    def name(self, gpu: str) -> str | None: ...
    def pci_bus(self, gpu: str) -> str | None: ...
    def compute_capability(self, gpu: str) -> tuple[int, int] | None: ...
    def memory_bytes(self, gpu: str) -> tuple[int, int] | None:
        """Return the memory in all, and the used part of it."""

    def clock_hz(self, gpu: str, clock: Clock) -> int | None: ...
    def most_clock_hz(self, gpu: str, clock: Clock) -> int | None: ...
    def application_clocks(self, gpu: str) -> bool | None:
        """Return whether somebody has set other clocks for applications than the default ones."""

    def power_watts(self, gpu: str, which: Power) -> float | None: ...
    def temperature_celsius(self, gpu: str) -> int | None: ...
    def utilization_ratio(self, gpu: str) -> float | None: ...
    def has(self, gpu: str, feature: Feature) -> bool | None:
        """Return whether the mode is on."""

    def compute_mode(self, gpu: str) -> str | None: ...
    def pcie(self, gpu: str) -> tuple[int, int] | None:
        """Return the newest PCIe generation that GPU and machine have in common, and the most lanes.

        What is in use now would depend on the GPU's power state.
        """

    def numa_node(self, gpu: str) -> int | None: ...
    def cores(self, gpu: str) -> tuple[int, ...] | None:
        """Return the CPU cores that are near the GPU."""

    def energy_joules(self, gpu: str) -> float | None:
        """Return the energy used since the driver was loaded. GPUs before Volta do not count it."""

    def processes(self, gpu: str) -> int | None:
        """Return the number of processes that compute on the GPU, also of those that a container cannot see."""

    def mps_processes(self, gpu: str) -> int | None: ...
    def capped_seconds(self, gpu: str) -> dict[CapReason, float] | None:
        """Return for how long each reason has lowered the clocks since the driver was loaded."""

    def ecc_errors(self, gpu: str) -> tuple[int, int] | None:
        """Return the corrected and the uncorrected memory errors since the driver was loaded."""

    def nvlinks(self, gpu: str) -> tuple[str, ...] | None:
        """Return the far end of each active link: a PCI address, or `SWITCH`."""

    def xids(self, gpu: str) -> tuple[int, ...] | None:
        """Return the Xid errors that the GPU has reported since the last call. The first call begins to listen.

        None says that this GPU or driver does not report them.
        """

    def ancestor(self, gpu: str, other: str) -> str | None:
        """Return what connects two GPUs without NVLink, as `nvidia-smi topo -m` calls it."""

    def can_read(self, gpu: str, other: str) -> bool | None:
        """Return whether the first GPU can read the other's memory directly."""


@cache
def here() -> Nvml:
    """Return this machine's NVML. It is started at the first call, which takes some milliseconds and no CUDA."""
    return _Library()


class _Library:
    """Call the NVML library through nvidia-ml-py."""

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}
        self._events: dict[str, Any] = {}
        self._call("nvmlInit")

    def _call(self, function: str, *arguments: object) -> Any:
        return self._answer(function, *arguments)[1]

    def _answer(self, function: str, *arguments: object) -> tuple[bool, Any]:
        """Return whether the call succeeded, and what it returned. Some calls return None where they succeed."""
        try:
            import pynvml
        except ImportError:
            return False, None
        try:
            return True, getattr(pynvml, function)(*arguments)
        except pynvml.NVMLError:  # A function that this driver lacks raises it too.
            return False, None

    def _of(self, function: str, gpu: str, *arguments: object) -> Any:
        if gpu not in self._handles:
            handle = self._call("nvmlDeviceGetHandleByUUID", gpu)
            if handle is None:
                return None
            self._handles[gpu] = handle
        return self._call(function, self._handles[gpu], *arguments)

    def _of_both(self, function: str, gpu: str, other: str, *arguments: object) -> Any:
        if self._of("nvmlDeviceGetUUID", other) is None:
            return None
        return self._of(function, gpu, self._handles[other], *arguments)

    def driver(self) -> str | None:
        return self._call("nvmlSystemGetDriverVersion")

    def cuda_driver(self) -> tuple[int, int] | None:
        version = self._call("nvmlSystemGetCudaDriverVersion")
        return None if version is None else (version // 1000, version % 1000 // 10)

    def gpus(self) -> tuple[str, ...]:
        handles = [self._call("nvmlDeviceGetHandleByIndex", i) for i in range(self._call("nvmlDeviceGetCount") or 0)]
        found = [uuid for handle in handles if handle and (uuid := self._call("nvmlDeviceGetUUID", handle))]
        return tuple(sorted(found, key=lambda uuid: self.pci_bus(uuid) or ""))

    def name(self, gpu: str) -> str | None:
        return self._of("nvmlDeviceGetName", gpu)

    def pci_bus(self, gpu: str) -> str | None:
        return _bus(self._of("nvmlDeviceGetPciInfo_v3", gpu))

    def compute_capability(self, gpu: str) -> tuple[int, int] | None:
        return self._of("nvmlDeviceGetCudaComputeCapability", gpu)

    def memory_bytes(self, gpu: str) -> tuple[int, int] | None:
        memory = self._of("nvmlDeviceGetMemoryInfo", gpu)
        return None if memory is None else (memory.total, memory.used)

    def clock_hz(self, gpu: str, clock: Clock) -> int | None:
        return _megahertz(self._of("nvmlDeviceGetClockInfo", gpu, _CLOCKS[clock]))

    def most_clock_hz(self, gpu: str, clock: Clock) -> int | None:
        return _megahertz(self._of("nvmlDeviceGetMaxClockInfo", gpu, _CLOCKS[clock]))

    def application_clocks(self, gpu: str) -> bool | None:
        clocks = [
            self._of(f"nvmlDeviceGet{kind}ApplicationsClock", gpu, clock)
            for clock in _CLOCKS.values()
            for kind in ("", "Default")
        ]
        return None if None in clocks else clocks[0::2] != clocks[1::2]

    def power_watts(self, gpu: str, which: Power) -> float | None:
        function = {"now": "Usage", "limit": "ManagementLimit", "default": "ManagementDefaultLimit"}[which]
        milliwatts = self._of(f"nvmlDeviceGetPower{function}", gpu)
        return None if milliwatts is None else milliwatts / 1e3

    def temperature_celsius(self, gpu: str) -> int | None:
        found = self._of("nvmlDeviceGetTemperatureV", gpu, 0)
        return self._of("nvmlDeviceGetTemperature", gpu, 0) if found is None else found

    def utilization_ratio(self, gpu: str) -> float | None:
        rates = self._of("nvmlDeviceGetUtilizationRates", gpu)
        return None if rates is None else rates.gpu / 100

    def has(self, gpu: str, feature: Feature) -> bool | None:
        function = {"persistence": "PersistenceMode", "ecc": "CurrentEccMode", "mig": "MigMode"}[feature]
        mode = self._of(f"nvmlDeviceGet{function}", gpu)
        if mode is None:
            return None
        return bool(mode[0] if feature == "mig" else mode)

    def compute_mode(self, gpu: str) -> str | None:
        return _COMPUTE_MODES.get(self._of("nvmlDeviceGetComputeMode", gpu))

    def pcie(self, gpu: str) -> tuple[int, int] | None:
        generation = self._of("nvmlDeviceGetMaxPcieLinkGeneration", gpu)
        width = self._of("nvmlDeviceGetMaxPcieLinkWidth", gpu)
        return None if generation is None or width is None else (generation, width)

    def numa_node(self, gpu: str) -> int | None:
        return next(_bits(self._of("nvmlDeviceGetMemoryAffinity", gpu, _AFFINITY_WORDS, 0) or ()), None)

    def cores(self, gpu: str) -> tuple[int, ...] | None:
        words = self._of("nvmlDeviceGetCpuAffinity", gpu, _AFFINITY_WORDS)
        return None if words is None else tuple(_bits(words))

    def energy_joules(self, gpu: str) -> float | None:
        millijoules = self._of("nvmlDeviceGetTotalEnergyConsumption", gpu)
        return None if millijoules is None else millijoules / 1e3

    def processes(self, gpu: str) -> int | None:
        return _length(self._of("nvmlDeviceGetComputeRunningProcesses_v3", gpu))

    def mps_processes(self, gpu: str) -> int | None:
        return _length(self._of("nvmlDeviceGetMPSComputeRunningProcesses_v3", gpu))

    def capped_seconds(self, gpu: str) -> dict[CapReason, float] | None:
        values = self._of("nvmlDeviceGetFieldValues", gpu, list(_CAPS.values()))
        if values is None:
            return None
        return {
            reason: getattr(value.value, _FIELD_TYPES[value.valueType]) / 1e9
            for reason, value in zip(_CAPS, values, strict=True)
            if value.nvmlReturn == 0
        }

    def ecc_errors(self, gpu: str) -> tuple[int, int] | None:
        corrected, uncorrected = (self._of("nvmlDeviceGetTotalEccErrors", gpu, kind, 0) for kind in (0, 1))
        return None if corrected is None or uncorrected is None else (corrected, uncorrected)

    def nvlinks(self, gpu: str) -> tuple[str, ...] | None:
        states = [self._of("nvmlDeviceGetNvLinkState", gpu, link) for link in range(_LINKS)]
        if states[0] is None:
            return None
        return tuple(self._far_end(gpu, link) for link, active in enumerate(states) if active)

    def _far_end(self, gpu: str, link: int) -> str:
        kind = self._of("nvmlDeviceGetNvLinkRemoteDeviceType", gpu, link)
        bus = _bus(self._of("nvmlDeviceGetNvLinkRemotePciInfo", gpu, link))
        return SWITCH if kind == _LINK_TO_SWITCH or bus is None else bus

    def xids(self, gpu: str) -> tuple[int, ...] | None:
        if gpu not in self._events:
            self._events[gpu] = self._listen(gpu)
        if self._events[gpu] is None:
            return None
        waiting = (self._call("nvmlEventSetWait_v2", self._events[gpu], 0) for _ in range(_EVENTS_MOST))
        events = takewhile(lambda event: event is not None, waiting)  # A call after the last event times out at once.
        return tuple(event.eventData for event in events if event.eventType == _XID_EVENT)

    def _listen(self, gpu: str) -> Any:
        """Return a set of the GPU's Xid events, which the driver fills from now on, or None."""
        events = None if self._of("nvmlDeviceGetUUID", gpu) is None else self._call("nvmlEventSetCreate")
        if events is None or self._answer("nvmlDeviceRegisterEvents", self._handles[gpu], _XID_EVENT, events)[0]:
            return events
        self._call("nvmlEventSetFree", events)
        return None

    def ancestor(self, gpu: str, other: str) -> str | None:
        return _ANCESTORS.get(self._of_both("nvmlDeviceGetTopologyCommonAncestor", gpu, other))

    def can_read(self, gpu: str, other: str) -> bool | None:
        status = self._of_both("nvmlDeviceGetP2PStatus", gpu, other, 0)
        return None if status is None else status == 0


def _megahertz(clock: int | None) -> int | None:
    return None if clock is None else clock * 1_000_000


def _bus(pci: Any) -> str | None:
    return None if pci is None else pci.busId


def _length(processes: Sequence[object] | None) -> int | None:
    return None if processes is None else len(processes)


def _bits(words: Sequence[int]) -> Iterator[int]:
    """Yield the numbers of the bits that are set in words of 64 bits."""
    for index, word in enumerate(words):
        yield from (64 * index + bit for bit in range(64) if word >> bit & 1)
