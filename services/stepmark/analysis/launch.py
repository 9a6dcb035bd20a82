"""Reduce one launch to its steady job step times and their median, and check whether its record can be believed."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stepmark.analysis.calls import rest_of_call_seconds
from stepmark.analysis.device_checks import device_notes, invalid_device, power_capped_ratio, sm_clock_hz
from stepmark.analysis.device_use import device_memory_bytes, power_watts
from stepmark.analysis.feeding import LaunchFeeding, launch_feeding
from stepmark.analysis.interference import disturbed_because, taken_share
from stepmark.analysis.job_times import JobTimes, device_step_seconds, job_times
from stepmark.analysis.lengths import LaunchLengths, launch_lengths, round_steps, uneven
from stepmark.analysis.link_limits import LinkLimit, link_limit
from stepmark.analysis.long_steps import long_step
from stepmark.analysis.peaks import peak_flops_per_second
from stepmark.analysis.proofs import TimedProof, timed_proof
from stepmark.analysis.steady import SteadyState, steady_state
from stepmark.analysis.time_split import LaunchParts, launch_parts
from stepmark.analysis.utilization import Use, use_of
from stepmark.plan.cells import Cell
from stepmark.results.record import (
    Departure,
    LaunchHeader,
    LaunchRecord,
    ModelFacts,
    RankReport,
    StartupSeconds,
    Window,
)
from stepmark.results.rounds import levelled

_WINDOW_TOLERANCE = 0.005  # largest difference between the sum of the steps, by either clock, and the host's window
_RANKS_TOLERANCE = 0.02  # largest difference between the windows of ranks that exchange gradients in every step


@dataclass(frozen=True)
class LaunchSummary:
    """Store the figures of one good launch.

    `step_seconds` are the job's steady seconds per step, of shape (stamps,), and `single_step_seconds` those of its
    steady steps one by one, of shape (steps,): by the devices' clocks where they have them, else by the host's where
    every stamp ends one step, else None. `mean_step_seconds` includes slow steps and is what a job takes;
    `median_step_seconds` is a typical step, or a typical stretch over its number of steps. float32 is precise enough
    for percentiles, and halves the memory of ten thousand launches.
    """

    block: int
    step_seconds: NDArray[np.float32]
    single_step_seconds: NDArray[np.float32] | None
    median_step_seconds: float
    mean_step_seconds: float
    samples_per_second: float
    peak_memory_bytes: int | None
    steady: SteadyState


@dataclass(frozen=True)
class Launch:
    """Store what a summary keeps of a launch.

    `why_bad` says that the launch failed or is invalid; it then has no figures. `disturbed` says why it does not count;
    it has no figures then either. `taken_share` is what others took of its cores. `attempt` is above 0 where the launch
    was made again. `long_step` is a sentence about a step that took far longer than others. `startup_seconds` holds the
    slowest rank's seconds, part by part. `parts` are those of its step, where they were timed. `departures` are those
    from the framework's defaults. `device_notes` are sentences about its GPUs, and `sm_clock_hz` is their mean clock in
    the windows, of which `power_capped_ratio` is the share that their power limit slowed down. `power_watts` is the
    mean of one rank's GPUs, and `device_memory_bytes` the most that one rank used. `link_limit` is what the links
    between its GPUs carry at most. `started_at` is in UTC, as ISO 8601.
    `lengths` is what it says of samples of different lengths, `feeding` how its steps were fed from the host, and
    `rest_of_call_seconds` what a call of the framework's own loop took beside its steps; each may be None.
    """

    cell: str
    block: int
    why_bad: str | None
    figures: LaunchSummary | None = None
    startup_seconds: StartupSeconds | None = None
    use: Use | None = None
    parts: LaunchParts | None = None
    departures: tuple[Departure, ...] = ()
    proof: TimedProof | None = None
    attempt: int = 0
    disturbed: str | None = None
    taken_share: float | None = None
    long_step: str = ""
    device_notes: tuple[str, ...] = ()
    sm_clock_hz: float | None = None
    power_capped_ratio: float | None = None
    model: ModelFacts | None = None
    power_watts: float | None = None
    device_memory_bytes: int | None = None
    link_limit: LinkLimit | None = None
    feeding: LaunchFeeding | None = None
    rest_of_call_seconds: float | None = None
    started_at: str = ""
    lengths: LaunchLengths | None = None


def reduced(record: LaunchRecord, flops_per_sample: int | None) -> Launch:
    """Reduce a record to what a summary keeps. The record itself need not be kept.

    `flops_per_sample` is the workload's formula, or None where only the record may know.
    """
    header, disturbed = record.header, disturbed_because(record.header)
    launch = Launch(
        header.cell.key,
        header.block,
        None,
        attempt=header.attempt,
        taken_share=taken_share(header),
        started_at=header.started_at,
    )
    if disturbed is not None:
        return replace(launch, disturbed=disturbed)
    why_bad = _why_bad(record)
    if why_bad is not None:
        return replace(launch, why_bad=why_bad)
    figures, use, model = summarize(record), use_of(header), header.ranks[0].model
    if flops_per_sample is None and model is not None:
        flops_per_sample = model.flops_per_sample
    why_bad = _too_fast(header.cell, use.device, figures.samples_per_second, flops_per_sample)
    if why_bad is not None:
        return replace(launch, why_bad=why_bad)
    return replace(
        launch,
        figures=figures,
        startup_seconds=_startup(header),
        use=use,
        parts=launch_parts(header.block, figures.median_step_seconds, header.ranks),
        departures=header.ranks[0].departures,
        proof=timed_proof(header),
        long_step=long_step(record),
        device_notes=device_notes(header),
        sm_clock_hz=sm_clock_hz(header),
        power_capped_ratio=power_capped_ratio(header),
        model=model,
        power_watts=power_watts(header),
        device_memory_bytes=device_memory_bytes(header),
        link_limit=link_limit(header),
        lengths=launch_lengths(record),
        feeding=launch_feeding(header),
        rest_of_call_seconds=rest_of_call_seconds(header),
    )


def _why_bad(record: LaunchRecord) -> str | None:
    failure = record.header.failure
    if failure is not None:
        return f"failed: {failure.cause}" if failure.rank is None else f"failed: rank {failure.rank}: {failure.cause}"
    reason = invalid(record)
    return f"invalid: {reason}" if reason is not None else None


def _startup(header: LaunchHeader) -> StartupSeconds:
    parts = {name: max(getattr(r.startup_seconds, name) for r in header.ranks) for name in StartupSeconds.model_fields}
    return StartupSeconds.model_construct(**parts)  # each was checked when the record was read


def summarize(record: LaunchRecord) -> LaunchSummary:
    """Return the figures of a launch that `invalid` finds nothing against."""
    times = job_times(record)
    whole = _round_of_stamps(record, times)
    alike = levelled(times.step_seconds, whole, first_step=record.warmup_stamps)
    state = steady_state(alike, stamp_steps=int(times.steps.max(initial=1)))
    start = min(-(-state.start // whole) * whole, len(alike) - whole)  # Otherwise the mean would be of some batches.
    state = replace(state, start=max(start, 0)) if whole > 1 else state
    steady = times.since(state.start)
    steps, seconds = int(steady.steps.sum()), float(steady.seconds.sum())
    step_seconds = steady.step_seconds.astype(np.float32)
    single = step_seconds if times.one_by_one else None
    if (by_device := device_step_seconds(record)) is not None:
        single = by_device[times.steps[: state.start].sum() :].astype(np.float32)
    peaks = [_peak_memory_bytes(rank) for rank in record.header.ranks]
    return LaunchSummary(
        block=record.header.block,
        step_seconds=step_seconds,
        single_step_seconds=single,
        median_step_seconds=float(np.median(alike[state.start :])),
        mean_step_seconds=seconds / steps,
        samples_per_second=record.header.cell.global_batch * steps / seconds,
        peak_memory_bytes=max((peak for peak in peaks if peak is not None), default=None),
        steady=state,
    )


def _round_of_stamps(record: LaunchRecord, times: JobTimes) -> int:
    """Return after how many stamps the shapes of batches come again. Stretches of several steps have whole rounds."""
    return round_steps(record) if times.one_by_one else 1


def _peak_memory_bytes(rank: RankReport) -> int | None:
    """Return the most memory that a rank used: on a GPU what its framework allocated there, or where it does not say,
    what the driver saw in use; on CPU cores what its process had. None where that is unknown.
    """
    memory = rank.device_memory
    if rank.device is None or memory is None:
        return rank.peak_memory_bytes
    return memory.allocated_peak_bytes if memory.allocated_peak_bytes is not None else memory.used_peak_bytes


def invalid(record: LaunchRecord) -> str | None:
    """Return how the record's own numbers contradict each other, or None. Such a launch enters no verdict."""
    ranks, steps = record.header.ranks, record.step_nanoseconds
    if len(ranks) != record.header.cell.processes or steps.shape[0] != len(ranks):
        return f"{len(ranks)} reports and {steps.shape[0]} rows of steps from {record.header.cell.processes} processes"
    if steps.min(initial=1) <= 0:
        return "a step's duration is 0 or less"
    for rank, row in zip(ranks, steps, strict=True):
        if [_shape(window) for window in rank.windows] != [_shape(window) for window in ranks[0].windows]:
            return f"rank {rank.rank}: its windows are not those of rank {ranks[0].rank}"
        if sum(window.stamps for window in rank.windows) != len(row):
            return f"rank {rank.rank}: windows and steps differ in number"
        measured, window = int(row[record.warmup_stamps :].sum()), _window_nanoseconds(rank)
        if _apart(measured, rank):
            return f"rank {rank.rank}: steps add up to {measured / 1e9:.3f} s, and the window took {window / 1e9:.3f} s"
        if rank.compilations_after_warmup != rank.compilations_after_window:
            return f"rank {rank.rank} compiled inside the measured window"
    return uneven(record) or invalid_device(record.header) or _clocks_apart(record) or _ranks_apart(record)


def _shape(window: Window) -> tuple[str, int, int]:
    return window.kind, window.steps, window.stamp_steps


def _window_nanoseconds(rank: RankReport) -> int:
    """Return the nanoseconds of the rank's measured windows by the host's clock."""
    return sum(window.host_nanoseconds for window in rank.windows if window.kind == "measured")


def _apart(measured: int, rank: RankReport) -> bool:
    """Return whether the nanoseconds of the rank's measured steps are not those of its windows."""
    window = _window_nanoseconds(rank)
    longer = max(_WINDOW_TOLERANCE * window, 1e6)
    return not -longer <= window - measured <= longer + _waited_nanoseconds(rank)


def _clocks_apart(record: LaunchRecord) -> str | None:
    """Return how the devices' clocks contradict the host's, in words; None where they agree, or are not known."""
    ranks, steps = record.header.ranks, record.device_step_nanoseconds
    if steps is None:
        return None
    measured = sum(window.steps for window in ranks[0].windows if window.kind == "measured")
    if steps.shape != (len(ranks), measured):
        return f"steps by the device's clock of shape {steps.shape}, expected {(len(ranks), measured)}"
    if steps.min(initial=1) <= 0:
        return "a step's duration by the device's clock is 0 or less"
    for rank, row in zip(ranks, steps, strict=True):
        total, window = int(row.sum()), _window_nanoseconds(rank)
        if _apart(total, rank):
            both = f"{total / 1e9:.3f} s by the device's clock, and {window / 1e9:.3f} s by the host's"
            return f"host and device clocks disagree: the measured steps of rank {rank.rank} took {both}"
    return None


def _waited_nanoseconds(rank: RankReport) -> float:
    """Return how long the rank waited for a core in the windows.

    The last wait may lie between the last step's end and the window's.
    """
    waited = rank.interference.run_delay_seconds if rank.interference is not None else None
    return 0.0 if waited is None else waited * 1e9


def _ranks_apart(record: LaunchRecord) -> str | None:
    """Return how far the ranks' windows differ, in words, if that is too far; otherwise None.

    Ranks leave a barrier together and wait for each other in every step, so their windows end within a step. The
    sleeper's ranks do not wait, since it has no transport.
    """
    if "none" in {rank.flags.get("transport", "none") for rank in record.header.ranks}:
        return None
    first = record.warmup_stamps
    measured, steps = record.step_nanoseconds[:, first:], record.steps_of_stamps[first:]
    windows = measured.sum(axis=1)
    apart, most = int(np.ptp(windows)), max(_RANKS_TOLERANCE * windows.max(), (measured / steps).max(initial=0))
    if apart <= most:
        return None
    return f"ranks disagree: their windows of the same steps differ by {apart / 1e9:.3f} s"


def _too_fast(cell: Cell, device: str | None, samples_per_second: float, flops_per_sample: int | None) -> str | None:
    """Return that a launch is invalid, if it did more FLOPs than the device can; otherwise None."""
    peak = peak_flops_per_second(device, cell.precision) if device is not None else None
    if peak is None or flops_per_sample is None:
        return None
    mfu = flops_per_sample * samples_per_second / (peak[0] * cell.workers)
    return f"invalid: MFU of {mfu:.0%}, and no device exceeds its peak ({peak[1]})" if mfu > 1 else None
