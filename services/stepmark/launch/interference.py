"""Measure what other processes took of a rank's cores during its measured windows.

The kernel's counters are read before and after the windows, never while steps are timed. A counter that this kernel or
container does not show is None, never 0. Sources: proc_stat(5) and proc_pid_schedstat(5); cpu.stat of cgroup v2 and v1,
admin-guide/cgroup-v2.rst.
"""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stepmark.results.record import Interference

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class CpuSeconds:
    """Hold the CPU seconds of some cores together, since boot.

    `busy` counts all processes and the kernel's threads, but not interrupts, since a rank's own messages cause them.
    `steal` is the time that the hypervisor gave to other machines, and `everything` the sum of all states.
    """

    busy: float
    steal: float
    everything: float


def cpu_seconds(stat: str, cpus: frozenset[int]) -> CpuSeconds | None:
    """Return the CPU seconds of these cores from the text of /proc/stat, or None where it lacks one of them."""
    rows = [line.split() for line in stat.splitlines() if line.startswith("cpu") and line[3:4].isdigit()]
    found = [[int(ticks) for ticks in row[1:9]] for row in rows if int(row[0][3:]) in cpus]
    if len(found) != len(cpus) or any(len(ticks) < 8 for ticks in found):
        return None
    user, nice, system, *_, steal = (sum(column) / _TICKS_PER_SECOND for column in zip(*found, strict=True))
    return CpuSeconds(user + nice + system, steal, sum(map(sum, found)) / _TICKS_PER_SECOND)


def throttled_seconds(cpu_stat: str) -> float | None:
    """Return the throttled seconds from the text of a cgroup's cpu.stat, or None where it has none.

    The file counts microseconds in v2 and nanoseconds in v1.
    """
    found = dict(line.split()[:2] for line in cpu_stat.splitlines() if len(line.split()) > 1)
    for name, per_second in (("throttled_usec", 1e6), ("throttled_time", 1e9)):
        if found.get(name, "").isdigit():
            return int(found[name]) / per_second
    return None


def cpu_cgroups(cgroup: str) -> list[Path]:
    """Return the folders that may hold this process's cpu.stat, the likeliest first.

    `cgroup` is the text of /proc/self/cgroup. A container often sees its own cgroup as the root of the mount, whatever
    the text says.
    """
    found = []
    for line in cgroup.splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers == "":
            found += [CGROUPS / path.lstrip("/"), CGROUPS]
        elif "cpu" in controllers.split(","):
            found += [base / sub for base in (CGROUPS / controllers, CGROUPS / "cpu") for sub in (path.lstrip("/"), "")]
    return found


class Meter:
    """Read the counters of this process and its cores before and after `measuring`."""

    def __init__(self, cpus: tuple[int, ...], limit_share: float) -> None:
        self._cpus, self._limit_share = frozenset(cpus), limit_share
        self.found: Interference | None = None

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Measure what happens inside the `with` block and store it in `found`."""
        before = _counters(self._cpus)
        yield
        self.found = _between(before, _counters(self._cpus), len(self._cpus), self._limit_share)


@dataclass(frozen=True)
class _Counters:
    """Hold all counters at one moment. `run_delay_seconds` maps each thread to the time that it waited for a core."""

    clock: float
    cores: CpuSeconds | None
    own_seconds: float
    run_delay_seconds: dict[str, float]
    throttled_seconds: float | None


def _counters(cpus: frozenset[int]) -> _Counters:
    stat = _read(PROC / "stat")
    return _Counters(
        clock=time.monotonic(),
        cores=cpu_seconds(stat, cpus) if stat is not None else None,
        own_seconds=time.process_time() + _reaped_seconds() + sum(map(_used_seconds, _descendants("self"))),
        run_delay_seconds=_run_delays(),
        throttled_seconds=_throttled_seconds(),
    )


def _between(before: _Counters, after: _Counters, cores: int, limit_share: float) -> Interference:
    busy = steal = None
    if before.cores is not None and after.cores is not None and after.cores.everything > before.cores.everything:
        busy, steal = after.cores.busy - before.cores.busy, after.cores.steal - before.cores.steal
    waited = [delay - before.run_delay_seconds.get(tid, 0.0) for tid, delay in after.run_delay_seconds.items()]
    return Interference(
        seconds=after.clock - before.clock,
        cores=cores,
        limit_share=limit_share,
        busy_cpu_seconds=_grown(busy),
        own_cpu_seconds=max(after.own_seconds - before.own_seconds, 0.0),
        steal_seconds=_grown(steal),
        run_delay_seconds=_grown(sum(waited)) if waited else None,
        throttled_seconds=_grown(_difference(before.throttled_seconds, after.throttled_seconds)),
    )


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _grown(difference: float | None) -> float | None:
    """Return the difference, or None if the counter ran backwards, as the kernel's iowait and steal can."""
    return None if difference is None or difference < 0 else difference


def _run_delays() -> dict[str, float]:
    """Return the seconds that each living thread has waited for a core. Those of ended threads are lost."""
    found = {}
    for task in _listed(PROC / "self" / "task"):
        fields = (_read(task / "schedstat") or "").split()
        if len(fields) > 1:
            found[task.name] = int(fields[1]) / 1e9
    return found


def _throttled_seconds() -> float | None:
    for folder in cpu_cgroups(_read(PROC / "self" / "cgroup") or ""):
        if (text := _read(folder / "cpu.stat")) is not None:
            return throttled_seconds(text)
    return None


def _reaped_seconds() -> float:
    """Return the CPU time of descendants that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _descendants(pid: str) -> Iterator[str]:
    for task in _listed(PROC / pid / "task"):
        for child in (_read(task / "children") or "").split():
            yield child
            yield from _descendants(child)


def _used_seconds(pid: str) -> float:
    """Return the CPU time of a process and of the processes that it has waited for."""
    fields = (_read(PROC / pid / "stat") or "").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS_PER_SECOND


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
