"""What a matrix product and a copy reach, against the vendor's peaks, and whether energy agrees with power."""

import time
from typing import Any

from findings import Findings
from lab import framework
from registry import Size

from stepmark.analysis.peaks import memory_bytes_per_second, peak_flops_per_second

_BF16_GOAL = 750e12  # on one H200, whose ceiling in cuBLAS was seen at 769 to 798


def check(size: Size, findings: Findings) -> None:
    """Multiply random matrices in every precision, copy memory, and hold the energy counter against the power."""
    framework("torch", size)
    import torch

    device = torch.device("cuda:0" if size.on_gpu else "cpu")
    name = torch.cuda.get_device_name(0) if size.on_gpu else "CPU"
    findings.figure("device_name", name)
    for precision in ("float64", "float32", "tf32", "bfloat16", "float16"):
        if precision == "float16" and not size.on_gpu:
            continue
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        side = size.pick(8192, 4096, 128) // (2 if precision == "float64" else 1)
        flops = _product(torch, getattr(torch, precision.replace("tf32", "float32")), device, side, size)
        findings.figure(f"{precision}_flops_per_second", flops)
        peak = peak_flops_per_second(name, precision)
        if peak is not None:
            findings.at_most(f"{precision}_share_of_peak", flops / peak[0], 1.02)
        if precision == "bfloat16" and name == "NVIDIA H200" and size.name == "full":
            findings.at_least("bfloat16_goal_share", flops / _BF16_GOAL, 1.0)
    _copy(torch, device, name, size, findings)
    if size.on_gpu:
        _energy(torch, device, findings)


def _seconds(torch: Any, device: Any, call: Any, times: int) -> float:
    for _ in range(3):
        call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(times):
        call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / times


def _product(torch: Any, dtype: Any, device: Any, side: int, size: Size) -> float:
    """Return the FLOPs per second of products of random normals; constants would be faster than any training."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    seconds = _seconds(torch, device, lambda: torch.matmul(a, b, out=out), size.pick(30, 10, 3))
    return float(2 * side**3 / seconds)


def _copy(torch: Any, device: Any, name: str, size: Size, findings: Findings) -> None:
    source = torch.empty(size.pick(1 << 30, 1 << 28, 1 << 20), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = _seconds(torch, device, lambda: target.copy_(source), size.pick(30, 10, 3))
    moved = 2 * source.numel() / seconds  # it is read and written
    findings.figure("copy_bytes_per_second", float(moved))
    peak = memory_bytes_per_second(name)
    if peak is not None:
        findings.at_most("copy_share_of_peak", moved / peak[0], 1.02)


def _energy(torch: Any, device: Any, findings: Findings) -> None:
    """Compare the energy counter with the mean of the power readings over five seconds of products."""
    from stepmark.devices import nvml
    from stepmark.devices.visible import visible_gpus

    library, gpu = nvml.here(), visible_gpus(nvml.here())[0]
    a = torch.randn(8192, 8192, device=device).to(torch.bfloat16)
    watts, before, started = [], library.energy_joules(gpu), time.perf_counter()
    while time.perf_counter() - started < 5:
        for _ in range(20):
            torch.matmul(a, a)
        torch.cuda.synchronize()
        watts.append(library.power_watts(gpu, "now"))
    seconds, after = time.perf_counter() - started, library.energy_joules(gpu)
    known = [value for value in watts if value is not None]
    if before is None or after is None or not known:
        findings.problem("expected an energy counter and power readings, found none")
        return
    mean = sum(known) / len(known)
    findings.figure("busy_watts", mean)
    findings.at_most("energy_against_power_off", abs((after - before) / seconds / mean - 1), 0.1)
    findings.figure("capped_seconds", library.capped_seconds(gpu))
