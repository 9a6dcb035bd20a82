"""One launch, reduced: job step times, their steady part, its median, and whether the record adds up."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepmark.analysis.steady import SteadyState, steady_state
from stepmark.results.record import LaunchRecord, Window

_WINDOW_TOLERANCE = 0.005  # between the sum of the steps and the window by the host's clock


@dataclass(frozen=True)
class LaunchSummary:
    """Figures of one good launch. `step_seconds` are the job's steady steps, shape (steps,)."""

    block: int
    step_seconds: NDArray[np.float64]
    median_step_seconds: float
    samples_per_second: float
    peak_memory_bytes: int | None
    steady: SteadyState


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
        step_seconds=steady,
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
    return None


def _measured(windows: tuple[Window, ...], row: NDArray[np.int64]) -> tuple[int, int]:
    """Nanoseconds of the measured part: by the steps, and by the windows."""
    warmup = sum(window.steps for window in windows if window.kind == "warmup")
    return int(row[warmup:].sum()), sum(window.host_nanoseconds for window in windows if window.kind == "measured")
