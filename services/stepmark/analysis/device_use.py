"""What the GPUs of one launch drew and held, from the records of its ranks. None is unknown."""

from stepmark.results.record import LaunchHeader


def power_watts(header: LaunchHeader) -> float | None:
    """Return the mean power of one rank's GPUs; None where a rank does not know it."""
    means = [rank.device_use.power_mean_watts if rank.device_use is not None else None for rank in header.ranks]
    known = [mean for mean in means if mean is not None]
    return sum(known) / len(known) if known and len(known) == len(means) else None


def device_memory_bytes(header: LaunchHeader) -> int | None:
    """Return the most device memory that a rank used: by NVML, or else what its framework kept from the driver.

    The two are not the same quantity, so it is NVML's only if every rank has it. None where a rank knows neither.
    """
    held = [rank.device_memory for rank in header.ranks]
    for name in ("used_peak_bytes", "reserved_peak_bytes"):
        found = [getattr(memory, name) for memory in held if memory is not None]
        known = [peak for peak in found if peak is not None]
        if known and len(known) == len(held):
            return max(known)
    return None
