"""Derive the latency and the bandwidths of a collective from the time of its steps, as nccl-tests define them."""

from stepmark import catalog
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.link_limits import LinkLimit
from stepmark.analysis.step_times import StepSeconds, SummaryModel
from stepmark.plan.cells import Cell
from stepmark.scenario.model import WorkloadChoice


class Bandwidth(SummaryModel):
    """Store how fast one collective moves its message, with intervals over blocks.

    `message_bytes` is the size S of the message, which may be a few bytes smaller than the scenario's, so that it can
    be cut among the ranks. `latency_seconds` is the mean time t of one collective until its last rank has ended it.
    `algorithm_bytes_per_second` is S / t. `bus_bytes_per_second` is that times 2 (n - 1) / n for an all-reduce, times
    (n - 1) / n for reduce-scatter and all-gather, and times 1 for a broadcast: what each link of n ranks carries, which
    can be compared with the hardware (nccl-tests, doc/PERFORMANCE.md). `limit` is what the hardware allows, and None
    where that is unknown.
    """

    collective: str
    message_bytes: int
    latency_seconds: Estimate
    algorithm_bytes_per_second: Estimate
    bus_bytes_per_second: Estimate
    limit: LinkLimit | None = None

    @property
    def limit_ratio(self) -> Estimate | None:
        """Return the share of the limit that the bus bandwidth reaches, or None where the limit is unknown."""
        return None if self.limit is None else _times(self.bus_bytes_per_second, 1 / self.limit.bytes_per_second)


def bandwidth_of(
    choice: WorkloadChoice, cell: Cell, step: StepSeconds | None, limit: LinkLimit | None = None
) -> Bandwidth | None:
    """Return the bandwidths of a cell, or None where nothing was measured or a model is trained.

    Foreign code is not loaded to tell: only stepmark's own workloads exchange messages.
    """
    if cell.message_bytes is None or catalog.is_foreign(choice.model):
        return None
    workload = catalog.load_workload(choice.model)
    message = workload.message(workload.parse(choice.params), cell.message_bytes, cell.workers, cell.precision)
    if message is None or step is None:
        return None
    algorithm = _inverse(step.mean, message.bytes)
    return Bandwidth(
        collective=message.collective,
        message_bytes=message.bytes,
        latency_seconds=step.mean,
        algorithm_bytes_per_second=algorithm,
        bus_bytes_per_second=_times(algorithm, message.bus_factor),
        limit=limit,
    )


def _inverse(seconds: Estimate, size: int) -> Estimate:
    low = None if seconds.high is None else size / seconds.high
    high = None if seconds.low is None else size / seconds.low
    return Estimate(value=size / seconds.value, low=low, high=high)


def _times(rate: Estimate, factor: float) -> Estimate:
    low = None if rate.low is None else rate.low * factor
    high = None if rate.high is None else rate.high * factor
    return Estimate(value=rate.value * factor, low=low, high=high)
