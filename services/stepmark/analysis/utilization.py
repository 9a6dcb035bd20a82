"""Compute how much of the hardware a cell uses, and what its samples cost.

Use is measured against a vendor's peak and against a measured matrix product.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from stepmark.analysis.peaks import peak_flops_per_second
from stepmark.plan.cells import Cell
from stepmark.results.record import LaunchHeader, RankReport

_SECONDS_PER_HOUR = 3600


class Utilization(BaseModel):
    """Store how the whole job uses its hardware; None where something is not known.

    `model_flops_per_second` is FLOPs of the model per sample (3 x forward, matrix products only; MLPerf
    training_policies, "Utilization") x samples per second. `mfu` is that over the vendor's peak of all workers
    (Chowdhery et al., PaLM, 2022, appendix B), with `peak_source`. `matmul_utilization` is that over what a large
    matrix product reached on the same workers in the same launch; a model with larger products may exceed what that
    product reached. `joules_per_sample` is by NVML, over the measured windows. `cost_per_million_samples` is in the
    price's currency.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flops_per_sample: int | None
    model_flops_per_second: float | None
    peak_flops_per_second: float | None
    peak_source: str | None
    matmul_flops_per_second: float | None
    mfu: float | None
    matmul_utilization: float | None
    joules_per_sample: float | None
    cost_per_million_samples: float | None


@dataclass(frozen=True)
class Use:
    """Store what one launch used.

    `device` is its name, None where it is unknown or the ranks' differ. `joules` are those of all ranks over `samples`,
    and `matmul_flops_per_second` is summed over the ranks; both are None unless every rank knows them.
    """

    device: str | None
    samples: int
    joules: float | None
    matmul_flops_per_second: float | None


def use_of(launch: LaunchHeader) -> Use:
    """Return what a good launch used."""
    devices = {_device_of(rank) for rank in launch.ranks}
    measured = sum(window.steps for window in launch.ranks[0].windows if window.kind == "measured")
    return Use(
        device=devices.pop() if len(devices) == 1 else None,
        samples=launch.cell.global_batch * measured,
        joules=_sum([rank.energy_joules for rank in launch.ranks]),
        matmul_flops_per_second=_sum([matmul_of(rank) for rank in launch.ranks]),
    )


def _device_of(rank: RankReport) -> str | None:
    """Return the name of the rank's GPU: the framework's, or where it says none, the driver's."""
    return rank.flags.get("device_name") or (rank.device.name if rank.device is not None else None)


def utilization(
    cell: Cell,
    flops_per_sample: int | None,
    samples_per_second: float,
    uses: Sequence[Use],
    price_per_worker_hour: float | None,
) -> Utilization:
    """Return the utilization of a cell. `uses` are those of its good launches.

    A product's best launch counts, as for any peak.
    """
    model = None if flops_per_sample is None else flops_per_sample * samples_per_second
    peak, source = _peak({use.device for use in uses}, cell.precision)
    peak = None if peak is None else peak * cell.workers
    known = [use.matmul_flops_per_second for use in uses if use.matmul_flops_per_second is not None]
    matmul = max(known, default=None)
    joules = _sum([use.joules for use in uses])
    return Utilization(
        flops_per_sample=flops_per_sample,
        model_flops_per_second=model,
        peak_flops_per_second=peak,
        peak_source=source,
        matmul_flops_per_second=matmul,
        mfu=_share(model, peak),
        matmul_utilization=_share(model, matmul),
        joules_per_sample=None if joules is None else joules / sum(use.samples for use in uses),
        cost_per_million_samples=cost_per_million_samples(price_per_worker_hour, cell.workers, samples_per_second),
    )


def cost_per_million_samples(
    price_per_worker_hour: float | None, workers: int, samples_per_second: float
) -> float | None:
    """Return the cost in the currency of the price, without start-up; None without a price."""
    if price_per_worker_hour is None:
        return None
    return price_per_worker_hour * workers / _SECONDS_PER_HOUR / samples_per_second * 1e6


def _peak(names: set[str | None], precision: str) -> tuple[float | None, str | None]:
    """Return the peak of one worker; None where the workers' devices are not all of one kind."""
    if len(names) != 1 or (name := names.pop()) is None:
        return None, None
    return peak_flops_per_second(name, precision) or (None, None)


def matmul_of(rank: RankReport) -> float | None:
    """Return the FLOPs per second of the rank's matrix product; None where it was not timed."""
    if rank.parts is None or rank.parts.matmul_flops is None or not rank.parts.nanoseconds.get("matmul"):
        return None
    return rank.parts.matmul_flops / float(np.median(rank.parts.nanoseconds["matmul"])) * 1e9


def _sum(parts: Sequence[float | None]) -> float | None:
    """Return the sum; None if one part is None, or if there are none."""
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole
