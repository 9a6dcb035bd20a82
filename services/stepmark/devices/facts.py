"""Describe a GPU for the record."""

import os
from dataclasses import dataclass

from stepmark.devices import link_rates
from stepmark.devices.nvml import Nvml
from stepmark.errors import CannotRun
from stepmark.results.device import DeviceFacts

_UUID_TAIL = 8
SHARED_VARIABLE = "STEPMARK_SHARED_DEVICES"
"""Is true in the pods of a profile with `sharedDevices: true`."""
_MPS_VARIABLE = "CUDA_MPS_PIPE_DIRECTORY"


@dataclass(frozen=True)
class Gpu:
    """Hold what a supervisor knows of its rank's GPU: its whole UUID, its facts, and the CPU cores near it.

    `cores` is empty where they are unknown.
    """

    uuid: str
    facts: DeviceFacts
    cores: frozenset[int] = frozenset()


def gpu_of(nvml: Nvml, uuid: str) -> Gpu:
    """Return the GPU with this UUID.

    Raises:
        CannotRun: NVML does not know it, or not any more.
    """
    return Gpu(uuid, _facts_of(nvml, uuid), frozenset(nvml.cores(uuid) or ()))


def _facts_of(nvml: Nvml, uuid: str) -> DeviceFacts:
    name, memory, capability = nvml.name(uuid), nvml.memory_bytes(uuid), _dotted(nvml.compute_capability(uuid))
    if name is None:
        raise CannotRun(
            f"GPU {uuid}: expected a GPU that the driver can describe, found none. `nvidia-smi -L` lists those that it "
            "has; one that fell off its bus (Xid 79 in the kernel's log) comes back with a reset of the node."
        )
    cuda = nvml.cuda_driver()
    return DeviceFacts(
        kind="gpu",
        name=name,
        uuid_tail=uuid[-_UUID_TAIL:],
        pci_bus=nvml.pci_bus(uuid),
        compute_capability=capability,
        memory_bytes=None if memory is None else memory[0],
        driver=nvml.driver(),
        cuda_driver=_dotted(cuda),
        sm_clock_most_hz=nvml.most_clock_hz(uuid, "sm"),
        memory_clock_most_hz=nvml.most_clock_hz(uuid, "memory"),
        power_limit_watts=nvml.power_watts(uuid, "limit"),
        power_default_watts=nvml.power_watts(uuid, "default"),
        persistence=nvml.has(uuid, "persistence"),
        ecc=nvml.has(uuid, "ecc"),
        mig=True if uuid.startswith("MIG-") else nvml.has(uuid, "mig"),
        mps=_has_mps(nvml, uuid),
        compute_mode=nvml.compute_mode(uuid),
        application_clocks=nvml.application_clocks(uuid),
        numa_node=nvml.numa_node(uuid),
        shared=os.environ.get(SHARED_VARIABLE) == "true",
        **_links_of(nvml, uuid, capability),
    )


def _links_of(nvml: Nvml, uuid: str, capability: str | None) -> dict[str, int | None]:
    """Return the fields of `DeviceFacts` that are about the GPU's links."""
    (generation, width), ends = nvml.pcie(uuid) or (None, None), nvml.nvlinks(uuid)
    links = None if ends is None else len(ends)
    return {
        "pcie_generation": generation,
        "pcie_width": width,
        "pcie_bytes_per_second": link_rates.pcie_bytes_per_second(generation, width),
        "nvlinks": links,
        "nvlink_generation": link_rates.nvlink_generation(capability) if links else None,
        "nvlink_bytes_per_second": link_rates.nvlink_bytes_per_second(capability, links),
    }


def _dotted(version: tuple[int, int] | None) -> str | None:
    return None if version is None else f"{version[0]}.{version[1]}"


def _has_mps(nvml: Nvml, uuid: str) -> bool | None:
    """Return whether the Multi-Process Service shares the GPU, as far as its clients or this environment tell."""
    clients = nvml.mps_processes(uuid)
    return True if _MPS_VARIABLE in os.environ else None if clients is None else clients > 0
