"""Watch the GPUs of one rank from its supervisor, so that the process that is measured does nothing for it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from stepmark.devices.nvml import Nvml
from stepmark.devices.xids import GPU_FAULTS
from stepmark.results.device import CapReason, DeviceFacts, DeviceUse

_IDLE_SECONDS, _POLL_SECONDS = 10.0, 0.1
# The smallest context of CUDA takes more than twice this, and the driver's own share moves less.
_NOISE_BYTES = 64 << 20

_XIDS_MOST = 64

T = TypeVar("T")
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Occupancy:
    """Say how many processes compute on a GPU, and how much of its memory is used; None where it is unknown."""

    processes: int | None
    memory_bytes: int | None

    @classmethod
    def of(cls, nvml: Nvml, gpu: str) -> "Occupancy":
        """Return what holds now."""
        memory = nvml.memory_bytes(gpu)
        return cls(nvml.processes(gpu), None if memory is None else memory[1])

    def is_back_at(self, baseline: "Occupancy") -> bool:
        """Return whether nothing is left of what came after the baseline. What is unknown counts as gone."""
        pairs = ((self.processes, baseline.processes, 0), (self.memory_bytes, baseline.memory_bytes, _NOISE_BYTES))
        return all(now is None or before is None or now <= before + noise for now, before, noise in pairs)


def wait_until_idle(
    nvml: Nvml,
    baselines: Mapping[str, Occupancy],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Wait up to 10 s until the GPUs are as they were at the session's start: a driver frees memory late.

    `baselines` maps UUIDs to what held then. What is still there afterwards is seen by `GpuWatch`, and recorded.
    """
    end = clock() + _IDLE_SECONDS
    while clock() < end:
        if all(Occupancy.of(nvml, gpu).is_back_at(baseline) for gpu, baseline in baselines.items()):
            return
        sleep(_POLL_SECONDS)


def energy_joules(nvml: Nvml, gpus: tuple[str, ...]) -> float | None:
    """Return the joules that these GPUs have used together, or None where that is unknown or there are none."""
    return _sum([nvml.energy_joules(gpu) for gpu in gpus])


@dataclass(frozen=True)
class _Counters:
    """Hold the counters of one GPU that only grow; None where they are unknown. `clock` is when they were read."""

    clock: float
    capped_seconds: Mapping[CapReason, float]
    ecc_errors: tuple[int, int] | None


@dataclass(frozen=True)
class _Xid:
    """Hold an Xid error that a GPU reported while it was watched, and when that was, in words."""

    gpu: str
    number: int
    when: str


class GpuWatch:
    """Watch the GPUs of one process, from before it starts until it has ended.

    Processes and memory are compared with those of the moment at which this object is made. Clocks, power, temperature
    and utilisation are read at each look while the process makes its steps, warm-up among them, and counters at the
    first of these looks and at the one after the last. Of several GPUs, the samples are taken together, and errors and
    memory are added. `facts` are those of the first. Xid errors count from the moment at which this object is made.
    """

    def __init__(self, nvml: Nvml, gpus: tuple[str, ...], facts: DeviceFacts) -> None:
        self._nvml, self._gpus, self.facts = nvml, gpus, facts
        self._before = [Occupancy.of(nvml, gpu) for gpu in gpus]
        self._reports_xids = None not in [nvml.xids(gpu) for gpu in gpus]  # Those before this moment are dropped.
        self._xids: list[_Xid] = []
        self._most: list[Occupancy] = []
        self._sums: list[int | None] = []
        self._clocks: list[int] = []
        self._watts: list[float] = []
        self._celsius: list[int] = []
        self._used: list[float] = []
        self._first: list[_Counters] | None = None
        self._last: list[_Counters] | None = None

    def look(self, stepping: bool) -> None:
        """Read the GPUs once. `stepping` says whether the process makes its steps."""
        self._hear(stepping)
        now = [Occupancy.of(self._nvml, gpu) for gpu in self._gpus]
        self._most += now
        self._sums.append(_sum([one.memory_bytes for one in now]))
        if stepping:
            self._sample()
            self._first = self._first or self._counters()
        elif self._first is not None and self._last is None:
            self._last = self._counters()

    def _hear(self, stepping: bool) -> None:
        """Keep the Xid errors since the last look."""
        if stepping or (self._first is not None and self._last is None):
            when = "during the windows"
        else:
            when = "before the windows" if self._first is None else "after the windows"
        self._xids += [_Xid(gpu, number, when) for gpu in self._gpus for number in self._nvml.xids(gpu) or ()]

    def fault(self) -> str | None:
        """Return the first fault that a GPU has reported of itself, in words, or None."""
        for one in self._xids:
            if one.number in GPU_FAULTS:
                return (
                    f"{one.gpu} reported Xid {one.number} ({GPU_FAULTS[one.number]}) {one.when}. The kernel's log has "
                    "more, and NVIDIA's Xid catalogue says what to do."
                )
        return None

    def _sample(self) -> None:
        nvml = self._nvml
        for gpu in self._gpus:
            self._clocks += _known(nvml.clock_hz(gpu, "sm"))
            self._watts += _known(nvml.power_watts(gpu, "now"))
            self._celsius += _known(nvml.temperature_celsius(gpu))
            self._used += _known(nvml.utilization_ratio(gpu))

    def _counters(self) -> list[_Counters]:
        nvml = self._nvml
        return [_Counters(time.monotonic(), nvml.capped_seconds(gpu) or {}, nvml.ecc_errors(gpu)) for gpu in self._gpus]

    @property
    def used_peak_bytes(self) -> int | None:
        """Return the most memory that was in use at one look, by all processes together."""
        return max((used for used in self._sums if used is not None), default=None)

    def use(self) -> DeviceUse:
        """Return how the GPUs were used, once the process has ended."""
        pairs = list(zip(self._first or (), self._last or (), strict=False))
        corrected, uncorrected = _ecc(pairs)
        return DeviceUse(
            sm_clock_mean_hz=_mean(self._clocks),
            sm_clock_least_hz=min(self._clocks, default=None),
            power_mean_watts=_mean(self._watts),
            temperature_first_celsius=self._celsius[0] if self._celsius else None,
            temperature_last_celsius=self._celsius[-1] if self._celsius else None,
            utilization_mean_ratio=_mean(self._used),
            counted_seconds=max((last.clock - first.clock for first, last in pairs), default=None),
            capped_seconds=_capped(pairs),
            ecc_uncorrected=uncorrected,
            ecc_corrected=corrected,
            processes_before=_most_processes(self._before),
            processes_most=_most_processes(self._most),
            memory_used_before_bytes=_sum([one.memory_bytes for one in self._before]),
            xids=tuple(one.number for one in self._xids[:_XIDS_MOST]) if self._reports_xids else None,
        )


_Pairs = list[tuple[_Counters, _Counters]]


def _capped(pairs: _Pairs) -> dict[CapReason, float]:
    """Return the seconds of each reason that all GPUs count; of several GPUs, those of the one that lost the most."""
    reasons = [first.capped_seconds.keys() & last.capped_seconds.keys() for first, last in pairs]
    common = sorted(set.intersection(*map(set, reasons))) if reasons else []
    return {
        reason: max(max(last.capped_seconds[reason] - first.capped_seconds[reason], 0.0) for first, last in pairs)
        for reason in common
    }


def _ecc(pairs: _Pairs) -> tuple[int | None, int | None]:
    """Return the corrected and the uncorrected errors between two readings."""
    grown = [
        (last.ecc_errors[0] - first.ecc_errors[0], last.ecc_errors[1] - first.ecc_errors[1])
        for first, last in pairs
        if first.ecc_errors is not None and last.ecc_errors is not None
    ]
    if not pairs or len(grown) < len(pairs):
        return None, None
    return sum(max(corrected, 0) for corrected, _ in grown), sum(max(uncorrected, 0) for _, uncorrected in grown)


def _most_processes(seen: list[Occupancy]) -> int | None:
    return max((one.processes for one in seen if one.processes is not None), default=None)


def _known(value: T | None) -> list[T]:
    return [] if value is None else [value]


def _mean(values: list[int] | list[float]) -> float | None:
    return fmean(values) if values else None


def _sum(values: Sequence[Number | None]) -> Number | None:
    known = [value for value in values if value is not None]
    return sum(known) if values and len(known) == len(values) else None
