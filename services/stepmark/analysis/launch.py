"""One launch, reduced: its job step times, their steady part, its median, and whether the record can be believed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepmark.analysis.steady import SteadyState, steady_state
from stepmark.analysis.utilization import peak_flops_per_second
from stepmark.results.record import LaunchHeader, LaunchRecord, StartupSeconds, Window

_WINDOW_TOLERANCE = 0.005  # between the sum of the steps and the window by the host's clock
_RANKS_TOLERANCE = 0.02  # between the windows of ranks that exchange gradients in every step


@dataclass(frozen=True)
class LaunchSummary:
    """Figures of one good launch. `step_seconds` are the job's steady steps, shape (steps,).

    float32 is enough for percentiles, and halves what ten thousand launches take.
    """

    block: int
    step_seconds: NDArray[np.float32]
    median_step_seconds: float
    samples_per_second: float
    peak_memory_bytes: int | None
    steady: SteadyState


@dataclass(frozen=True)
class Launch:
    """A launch without its arrays. `why_bad`: it failed or is invalid, and then has no `figures`."""

    header: LaunchHeader
    why_bad: str | None
    figures: LaunchSummary | None

    @property
    def block(self) -> int:
        return self.header.block


def reduced(record: LaunchRecord, flops_per_sample: int | None) -> Launch:
    """What a summary needs of a record: the record itself need not be kept."""
    failure = record.header.failure
    if failure is not None:
        cause = failure.cause if failure.rank is None else f"rank {failure.rank}: {failure.cause}"
        return Launch(record.header, f"failed: {cause}", None)
    reason = invalid(record)
    if reason is not None:
        return Launch(record.header, f"invalid: {reason}", None)
    figures = summarize(record)
    reason = _too_fast(record.header, figures.samples_per_second, flops_per_sample)
    return Launch(record.header, reason, None if reason else figures)


def startup_seconds(header: LaunchHeader) -> StartupSeconds:
    """The slowest rank's, part by part."""
    parts = {name: max(getattr(r.startup_seconds, name) for r in header.ranks) for name in StartupSeconds.model_fields}
    return StartupSeconds(**parts)


def job_step_seconds(record: LaunchRecord) -> NDArray[np.float64]:
    """Measured steps only, shape (steps,): a step's job time is the maximum over its ranks."""
    return record.step_nanoseconds[:, record.warmup_steps :].max(axis=0) / 1e9


def summarize(record: LaunchRecord) -> LaunchSummary:
    """Figures of a launch that `invalid` finds nothing against."""
    seconds = job_step_seconds(record)
    state = steady_state(seconds)
    steady = seconds[state.start :]
    peaks = [rank.peak_memory_bytes for rank in record.header.ranks]
    return LaunchSummary(
        block=record.header.block,
        step_seconds=steady.astype(np.float32),
        median_step_seconds=float(np.median(steady)),
        samples_per_second=record.header.cell.global_batch * len(steady) / float(steady.sum()),
        peak_memory_bytes=max((peak for peak in peaks if peak is not None), default=None),
        steady=state,
    )


def invalid(record: LaunchRecord) -> str | None:
    """Why the record's own numbers contradict each other, or None. Such a launch enters no verdict."""
    ranks, steps = record.header.ranks, record.step_nanoseconds
    if len(ranks) != record.header.cell.processes or steps.shape[0] != len(ranks):
        return f"{len(ranks)} reports and {steps.shape[0]} rows of steps for {record.header.cell.processes} processes"
    if steps.min(initial=1) <= 0:
        return "a step of no time"
    for rank, row in zip(ranks, steps, strict=True):
        if sum(window.steps for window in rank.windows) != len(row):
            return f"rank {rank.rank}: windows and steps differ in number"
        measured, window = _measured(rank.windows, row)
        if abs(measured - window) > max(_WINDOW_TOLERANCE * window, 1e6):
            return f"rank {rank.rank}: steps add up to {measured / 1e9:.3f} s, and the window took {window / 1e9:.3f} s"
        if rank.compilations_after_warmup != rank.compilations_after_window:
            return f"rank {rank.rank}: it compiled inside the measured window"
    return _ranks_apart(record)


def _ranks_apart(record: LaunchRecord) -> str | None:
    """Ranks leave a barrier together and wait for each other in every step, so their windows end within a step.

    The sleeper's do not wait: it has no transport.
    """
    if "none" in {rank.flags.get("transport", "none") for rank in record.header.ranks}:
        return None
    measured = record.step_nanoseconds[:, record.warmup_steps :]
    windows = measured.sum(axis=1)
    apart, most = int(np.ptp(windows)), max(_RANKS_TOLERANCE * windows.max(), measured.max(initial=0))
    if apart <= most:
        return None
    return f"ranks disagree: their windows of the same steps differ by {apart / 1e9:.3f} s"


def _too_fast(header: LaunchHeader, samples_per_second: float, flops_per_sample: int | None) -> str | None:
    """More FLOPs than the device has."""
    names = {rank.flags.get("device_name") for rank in header.ranks}
    name = names.pop() if len(names) == 1 else None
    peak = peak_flops_per_second(name, header.cell.precision) if name is not None else None
    if peak is None or flops_per_sample is None:
        return None
    mfu = flops_per_sample * samples_per_second / (peak[0] * header.cell.workers)
    return f"invalid: MFU of {mfu:.0%}, and no device exceeds its peak ({peak[1]})" if mfu > 1 else None


def _measured(windows: tuple[Window, ...], row: NDArray[np.int64]) -> tuple[int, int]:
    """Nanoseconds of the measured part: by the steps, and by the windows."""
    warmup = sum(window.steps for window in windows if window.kind == "warmup")
    return int(row[warmup:].sum()), sum(window.host_nanoseconds for window in windows if window.kind == "measured")
