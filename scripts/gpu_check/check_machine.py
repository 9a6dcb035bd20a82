"""What this machine has: versions, the driver, and which of NVML's calls answer here."""

import sys
from importlib import metadata

from findings import Findings
from registry import Size

_PACKAGES = ("torch", "jax", "jaxlib", "keras", "tensorflow", "numpy", "ray", "nvidia-ml-py", "pydantic")


def check(size: Size, findings: Findings) -> None:
    """Store versions and the facts of every visible GPU."""
    findings.figure("python", sys.version.split()[0])
    for name in _PACKAGES:
        try:
            findings.figure(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
    if not size.on_gpu:
        return
    from stepmark.devices import nvml
    from stepmark.devices.facts import gpu_of
    from stepmark.devices.visible import visible_gpus

    gpus = visible_gpus(nvml.here())
    findings.at_least("gpus", len(gpus), max(1, size.ranks))
    for number, uuid in enumerate(gpus):
        facts = gpu_of(nvml.here(), uuid).facts.model_dump(mode="json")
        findings.figure(f"gpu{number}", facts)
        findings.figure(f"gpu{number}_unknown", sorted(name for name, value in facts.items() if value is None))
        findings.figure(f"gpu{number}_reports_xids", nvml.here().xids(uuid) is not None)
