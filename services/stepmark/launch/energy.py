"""What a rank's device has used, by NVML's counter. Unknown for CPUs, for GPUs before Volta, and without NVML."""

import os


def energy_joules(device: str) -> float | None:
    """Joules since the driver was loaded (nvmlDeviceGetTotalEnergyConsumption, mJ); `device` as an engine says it."""
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
    """NVML's index or UUID of CUDA's device `index`: CUDA counts only what CUDA_VISIBLE_DEVICES leaves.

    On machines with unlike GPUs the two count in the same order only under CUDA_DEVICE_ORDER=PCI_BUS_ID.
    """
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return visible[index] if index < len(visible) else str(index)
