"""Read the energy that a rank's device has used from NVML's counter.

The value is None for CPUs, for GPUs before Volta, and where NVML is missing.
"""

import os


def energy_joules(device: str) -> float | None:
    """Return the joules used since the driver was loaded, or None where they are unknown.

    `device` is the name that an engine reports. Source: nvmlDeviceGetTotalEnergyConsumption, in mJ.
    """
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return None
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        name = _name(int(index or 0))
        by_index, by_uuid = pynvml.nvmlDeviceGetHandleByIndex, pynvml.nvmlDeviceGetHandleByUUID
        handle = by_index(int(name)) if name.isdigit() else by_uuid(name)
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
    except pynvml.NVMLError:
        return None


def _name(index: int) -> str:
    """Return NVML's index or UUID of CUDA's device `index`. CUDA counts only the devices in CUDA_VISIBLE_DEVICES.

    On machines with different GPUs, CUDA and NVML count in the same order only under CUDA_DEVICE_ORDER=PCI_BUS_ID.
    """
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return visible[index] if index < len(visible) else str(index)
