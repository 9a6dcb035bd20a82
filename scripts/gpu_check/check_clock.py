"""What the clock of drained stretches costs, and whether the device's own clock agrees with it."""

import time
from statistics import median

from findings import Findings
from lab import built
from registry import Size

from stepmark.engines._protocol import Engine

_OFF_MOST = 0.005  # as `analysis.launch` has it


def check(size: Size, findings: Findings, name: str) -> None:
    """Time an engine in stretches of 1, 8 and 64 steps, hold device events against the host, and time a drain."""
    params = size.pick({"hidden": 4096, "layers": 8}, {"hidden": 2048}, {})
    engine = built(name, size, "mlp", params, size.pick(4096, 1024, 8))
    for step in range(size.pick(30, 15, 5)):
        engine.step(step)
    engine.synchronize()
    steps = size.pick(512, 128, 16)
    for every in (1, 8, 64):
        findings.figure(f"step_seconds_every_{every}", _stretches(engine, steps, min(every, steps)))
    findings.figure("drain_seconds", _drain(engine))
    _against_events(engine, steps, size, findings)


def _stretches(engine: Engine, steps: int, every: int) -> float:
    """Return the seconds of a step in stretches of `every` steps, each ended by a drain."""
    engine.drain()
    started = time.perf_counter()
    for first in range(0, steps, every):
        for step in range(first, first + every):
            engine.step(step)
        engine.drain()
    return (time.perf_counter() - started) / steps


def _drain(engine: Engine) -> float:
    """Return the median seconds of a drain of an idle device."""
    engine.drain()
    seconds = []
    for _ in range(50):
        started = time.perf_counter()
        engine.drain()
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def _against_events(engine: Engine, steps: int, size: Size, findings: Findings) -> None:
    engine.drain()
    engine.mark_window(steps)
    started = time.perf_counter()
    for step in range(steps):
        engine.step(step)
    engine.drain()
    host = time.perf_counter() - started
    by_device = engine.device_step_nanoseconds()
    findings.figure("has_device_clock", by_device is not None)
    if by_device is not None:
        findings.at_most("events_against_host_off", abs(sum(by_device) / 1e9 / host - 1), _OFF_MOST)
    if size.on_gpu:
        memory = engine.device_memory()
        findings.figure("allocated_peak_bytes", None if memory is None else memory.allocated_peak_bytes)
