"""The records of a rank's device: what it is, and how it was used while a launch was measured. None is unknown."""

from typing import Annotated, Literal

from pydantic import Field

from stepmark.results.base import Count, Long, RecordModel, Text
from stepmark.terms import DeviceKind

_Float = Annotated[float, Field(ge=0, allow_inf_nan=False)]
CapReason = Literal["software-power", "software-thermal", "hardware-thermal", "hardware-power-brake", "sync-boost"]
"""Why a GPU lowered its clocks, by NVML's counters."""


class DeviceFacts(RecordModel):
    """What a device is, as its driver says it before the run.

    `uuid_tail` holds the last 8 characters of its UUID. `compute_capability` is written as 9.0, and `cuda_driver` is
    the newest CUDA version that the driver knows. `peers` maps the local ranks of this node to how their devices are
    connected with this one: NV18 is 18 links of NVLink, PIX, PXB, PHB, NODE and SYS are as in `nvidia-smi topo`, and
    "p2p" follows where each can read the other's memory. `pcie_generation` and `pcie_width` are the most that device
    and machine allow. `pcie_bytes_per_second` and `nvlink_bytes_per_second` are what PCIe and all active NVLinks
    together carry at most in one direction, by their specification; older records do not have them.
    `shared` says that the run's profile accepts devices that others use too, and parts of a device.
    """

    kind: DeviceKind
    name: Text
    uuid_tail: Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,8}$")]
    pci_bus: Text | None = None
    compute_capability: Annotated[str, Field(pattern=r"^[0-9]{1,2}\.[0-9]$")] | None = None
    memory_bytes: Long | None = None
    driver: Text | None = None
    cuda_driver: Text | None = None
    sm_clock_most_hz: Long | None = None
    memory_clock_most_hz: Long | None = None
    power_limit_watts: _Float | None = None
    power_default_watts: _Float | None = None
    persistence: bool | None = None
    ecc: bool | None = None
    mig: bool | None = None
    mps: bool | None = None
    compute_mode: Text | None = None
    application_clocks: bool | None = None
    pcie_generation: Count | None = None
    pcie_width: Count | None = None
    pcie_bytes_per_second: Long | None = None
    numa_node: Count | None = None
    nvlinks: Count | None = None
    nvlink_generation: Count | None = None
    nvlink_bytes_per_second: Long | None = None
    shared: bool = False
    peers: Annotated[dict[Text, Text], Field(max_length=64)] = Field(default_factory=dict)


class DeviceUse(RecordModel):
    """How a device was used while a launch made its steps, warm-up among them, as its supervisor saw it.

    Clocks, watts, degrees Celsius and the utilisation are samples, taken about twice a second. `capped_seconds` maps
    each reason to the seconds for which it lowered the clocks, and the ECC counts are memory errors, both of the
    `counted_seconds` between the first and the last reading. `processes_before` is the number of processes that used
    the device before the launch began, and `processes_most` the largest number while it ran, the launch's own among
    them. For a process with several devices, samples are taken together, memory and errors are added, and
    `capped_seconds` are those of the device that lost the most. `xids` are the numbers of the errors that the driver
    reported from the launch's start to its end, None where it reports none to programs.
    """

    sm_clock_mean_hz: _Float | None = None
    sm_clock_least_hz: _Float | None = None
    power_mean_watts: _Float | None = None
    temperature_first_celsius: Count | None = None
    temperature_last_celsius: Count | None = None
    utilization_mean_ratio: Annotated[float, Field(ge=0, le=1)] | None = None
    counted_seconds: _Float | None = None
    capped_seconds: dict[CapReason, _Float] = Field(default_factory=dict)
    ecc_uncorrected: Count | None = None
    ecc_corrected: Count | None = None
    processes_before: Count | None = None
    processes_most: Count | None = None
    memory_used_before_bytes: Long | None = None
    xids: Annotated[tuple[Count, ...], Field(max_length=64)] | None = None


class DeviceMemory(RecordModel):
    """The most device memory that a launch used.

    `allocated_peak_bytes` and `reserved_peak_bytes` are by the framework's own count of tensors and of what it keeps
    from the driver; `used_peak_bytes` is by NVML, and has the driver's own share in it.
    """

    allocated_peak_bytes: Long | None = None
    reserved_peak_bytes: Long | None = None
    used_peak_bytes: Long | None = None
