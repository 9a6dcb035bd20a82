"""Say which GPUs a process may use, and whether it has started CUDA."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from stepmark.devices.nvml import Nvml

VARIABLE = "CUDA_VISIBLE_DEVICES"
_DESCRIPTORS = Path("/proc/self/fd")
_CUDA_MEMORY = "/dev/nvidia-uvm"


def visible_gpus(nvml: Nvml, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the UUIDs of the GPUs that CUDA would show to a process with this environment, in CUDA's order."""
    if VARIABLE not in environment:
        return nvml.gpus()
    return gpus_named(nvml, environment[VARIABLE].split(","))


def gpus_named(nvml: Nvml, names: Sequence[str]) -> tuple[str, ...]:
    """Return the UUIDs of the GPUs that a list in CUDA's form names, up to the first name that is no GPU.

    A name is a number in the order of PCI addresses, the start of a UUID that only one GPU has, or the name of a part
    of a GPU in MIG mode, which is returned as it is. As in CUDA, a wrong name hides the GPUs that are named after it.
    """
    present, found = nvml.gpus(), list[str]()
    for name in (name.strip() for name in names):
        meant = [name] if name.startswith("MIG-") and present else _meant(present, name)
        if len(meant) != 1:
            break
        found += meant
    return tuple(found)


def device_variables(gpus: Sequence[str]) -> dict[str, str]:
    """Return the variables with which CUDA shows a process these GPUs, in this order; without GPUs it shows none."""
    return {VARIABLE: ",".join(gpus), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def _meant(present: Sequence[str], name: str) -> list[str]:
    if name.isdecimal():
        return [present[int(name)]] if int(name) < len(present) else []
    return [uuid for uuid in present if name.startswith("GPU-") and uuid.startswith(name)]


def cuda_is_up() -> bool:
    """Return whether this process has started CUDA, after which no process that is forked from it can use CUDA.

    CUDA opens the device file of its unified memory when it starts, and NVML does not.
    """
    return any(map(_leads_to_cuda, _DESCRIPTORS.iterdir()))


def _leads_to_cuda(descriptor: Path) -> bool:
    try:
        return os.readlink(descriptor).startswith(_CUDA_MEMORY)
    except OSError:  # It is the descriptor with which the folder was read.
        return False
