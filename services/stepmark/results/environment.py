"""Describe the machine and the software of a run as they are now. What is unknown is None, never a guess."""

import os
import platform
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from stepmark import interpreters
from stepmark.results.base import Count, Finite, Long, Text

_PACKAGES = (
    "stepmark",
    "torch",
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "tf-keras",
    "jax",
    "ray",
    "numpy",
    "nvidia-ml-py",
)


class Environment(BaseModel):
    """The description of one node, taken before a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Text
    kernel: Text
    python: Text
    cpu_model: Text | None
    cpu_count: Count
    cpu_governor: Text | None
    memory_bytes: Long
    cgroup_memory_limit_bytes: Long | None
    cgroup_cpu_limit: Finite | None
    load_average_1m: Finite
    packages: dict[Text, Text]


def describe() -> Environment:
    """Return the description of this node."""
    return Environment(
        host=platform.node(),
        kernel=platform.release(),
        python=platform.python_version(),
        cpu_model=_cpu_model(),
        cpu_count=len(os.sched_getaffinity(0)),
        cpu_governor=_read(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        memory_bytes=psutil.virtual_memory().total,
        cgroup_memory_limit_bytes=_cgroup_memory(),
        cgroup_cpu_limit=cgroup_cpu_limit(),
        load_average_1m=round(os.getloadavg()[0], 2),
        packages=_packages(),
    )


def _packages() -> dict[str, str]:
    """Return the package versions of all interpreters.

    Where they differ in a package, each version is listed once, this interpreter's first.
    """
    found = [interpreters.versions(python, _PACKAGES) for python in interpreters.pythons()]
    every = {name: dict.fromkeys(one[name] for one in found if name in one) for name in _PACKAGES}
    return {name: ", ".join(versions) for name, versions in every.items() if versions}


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _cpu_model() -> str | None:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return None


def _cgroup_memory() -> int | None:
    """Return the memory limit in bytes from cgroup v2, then v1, whose "no limit" is a number beyond all memory."""
    text = _read(Path("/sys/fs/cgroup/memory.max")) or _read(Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
    limit = int(text) if text and text.isdigit() else None
    return limit if limit is not None and limit < psutil.virtual_memory().total else None


def cgroup_cpu_limit() -> float | None:
    """Return how many cores this process's cgroup may use at one time, or None without a limit.

    The limit is read from cgroup v2, then v1, whose "no limit" is -1.
    """
    quota, _, period = (_read(Path("/sys/fs/cgroup/cpu.max")) or "").partition(" ")
    if not quota:
        quota, period = (_read(Path(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us")) or "" for name in ("quota", "period"))
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None
