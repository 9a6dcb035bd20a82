"""Derive the figures and the verdict of one cell of a run from its launches."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from stepmark.analysis.bandwidth import Bandwidth
from stepmark.analysis.breakdown import Breakdown
from stepmark.analysis.cell_devices import device_figures
from stepmark.analysis.disturbance import Disturbance, counting, disturbance
from stepmark.analysis.feeding import Feeding, feeding
from stepmark.analysis.launch import Launch, LaunchSummary
from stepmark.analysis.length_figures import LengthFigures, length_figures
from stepmark.analysis.levels import Levels, two_levels
from stepmark.analysis.scaling import Mode, Scaling, scaling_of
from stepmark.analysis.steady import MATERIAL, pooled_change_below
from stepmark.analysis.step_times import Rate, StepSeconds, SummaryModel, rate_of, step_seconds_of
from stepmark.analysis.stragglers import StragglerReport
from stepmark.analysis.time_split import stragglers, time_split
from stepmark.analysis.utilization import Utilization, utilization
from stepmark.errors import UNSUPPORTED_HERE
from stepmark.plan.cells import Cell
from stepmark.results.certificate import Certificate
from stepmark.results.record import Departure, StartupSeconds
from stepmark.terms import DeviceKind

CellVerdict = Literal[
    "steady", "undecided", "drifting", "slowdown", "no steady state", "failed", "unsupported", "not measured"
]


class CellResult(SummaryModel):
    """Store the result of one cell. Figures are None where nothing valid was measured.

    `time_split_missing` says why there is no time split. `departures` lists what the cell's launches did differently
    from what the framework's users get without asking; records of schema 3 and older do not say. `device_name` is the
    name of the GPUs, or None, `device_notes` says what a reader must know of them, and `power_capped_ratio` is the
    share of the windows in which their power limit kept them from their clocks. `sm_clock_hz` and `power_watts` are
    means over launches, of one worker's GPUs, and `device_memory_bytes` is the most that a worker used of theirs.
    `message_bytes` and `bandwidth` are those of a collective, and None where a model is trained. `lengths` is None
    where all samples have one length, and `feeding` where samples stay on the device. `rest_of_call_seconds` is what a
    call of the framework's own loop took beside its steps, a median over launches; None without such a loop.
    """

    key: str
    candidate: str
    engine: str
    strategy: str
    variant: str | None
    execution: str
    levels: tuple[str, ...]
    precision: str
    options: tuple[str, ...]
    workers: int
    processes: int
    batch_per_worker: int
    several_batches: bool = False
    global_batch: int
    launches: int
    launches_failed: int
    verdict: CellVerdict
    reason: str
    parity: str | None
    disturbance: Disturbance = Disturbance()
    step_seconds: StepSeconds | None = None
    samples_per_second: Rate | None = None
    scaling: Scaling | None = None
    time_split: Breakdown | None = None
    time_split_missing: str = ""
    stragglers: StragglerReport | None = None
    utilization: Utilization | None = None
    peak_memory_bytes: int | None = None
    startup_seconds: StartupSeconds | None = None
    departures: tuple[Departure, ...] = ()
    device: DeviceKind = "cpu"
    device_name: str | None = None
    device_notes: tuple[str, ...] = ()
    power_capped_ratio: float | None = None
    sm_clock_hz: float | None = None
    power_watts: float | None = None
    device_memory_bytes: int | None = None
    message_bytes: int | None = None
    bandwidth: Bandwidth | None = None
    lengths: LengthFigures | None = None
    feeding: Feeding | None = None
    rest_of_call_seconds: float | None = None

    @property
    def state(self) -> str:
        """Return the verdict with its reason."""
        return ": ".join(part for part in (self.verdict, self.reason) if part)

    @property
    def refused_by_parity(self) -> bool:
        """Return whether the cell was checked and trains another model than the reference."""
        return self.parity is not None and self.parity.startswith("not comparable")


class Facts(BaseModel):
    """Store what a cell's figures need beside its launches. At `level`, intervals are drawn to cover 95 %."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: float
    flops_per_sample: int | None
    price_per_worker_hour: float | None


def cell_result(cell: Cell, launches: Sequence[Launch], certificate: Certificate | None, facts: Facts) -> CellResult:
    """Return the result of a cell without its scaling, which needs the one-worker cell.

    `launches` are all launches of the cell, whether they count or not.
    """
    found, launches = disturbance(launches), counting(launches)
    good = figures_of(launches)
    verdict, reason = _verdict(cell, launches, good, found)
    result = CellResult(
        **cell.model_dump(exclude={"unsupported"}),
        key=cell.key,
        global_batch=cell.global_batch,
        launches=len(good),
        launches_failed=len(launches) - len(good),
        verdict=verdict,
        reason=reason,
        parity=certificate.text if certificate else None,
        disturbance=found,
    )
    if not good:
        return result
    return result.model_copy(update=_figures(cell, [launch for launch in launches if launch.figures], good, facts))


def figures_of(launches: Sequence[Launch]) -> list[LaunchSummary]:
    """Return the figures of the good launches."""
    return [launch.figures for launch in launches if launch.figures is not None]


def rates(good: Sequence[LaunchSummary]) -> dict[int, float]:
    """Return the samples per second by block."""
    return {launch.block: launch.samples_per_second for launch in good}


def with_scaling(
    result: CellResult,
    cell: Cell,
    baseline: Cell | None,
    mode: Mode,
    good: Mapping[str, dict[int, float]],
    level: float,
) -> CellResult:
    """Return the result with its scaling, where both the cell and its one-worker cell were measured.

    `good` maps a cell key to samples per second by block.
    """
    if baseline is None or not good.get(cell.key) or not good.get(baseline.key):
        return result
    found = scaling_of(cell, baseline, mode, good[cell.key], good[baseline.key], level)
    if found is None:
        return result
    reason = "; ".join(part for part in (result.reason, found.note) if part)
    return result.model_copy(update={"scaling": found, "reason": reason})


def _figures(cell: Cell, launches: list[Launch], good: list[LaunchSummary], facts: Facts) -> dict[str, object]:
    parts = [launch.parts for launch in launches if launch.parts is not None]
    uses = [launch.use for launch in launches if launch.use is not None]
    step = step_seconds_of(good, facts.level)
    rate = rate_of(cell, good, facts.level)
    peaks = [launch.peak_memory_bytes for launch in good if launch.peak_memory_bytes is not None]
    calls = [launch.rest_of_call_seconds for launch in launches if launch.rest_of_call_seconds is not None]
    split, missing = time_split(parts, facts.level)
    used = utilization(cell, facts.flops_per_sample, rate.median, uses, facts.price_per_worker_hour)
    return {
        "step_seconds": step,
        "samples_per_second": rate,
        "time_split": split,
        "time_split_missing": missing,
        "stragglers": stragglers(parts),
        "utilization": used,
        "peak_memory_bytes": max(peaks, default=None),
        "startup_seconds": _startup(launches),
        "rest_of_call_seconds": float(np.median(calls)) if calls else None,
        **device_figures(launches),
        "lengths": length_figures([one.lengths for one in launches if one.lengths is not None], rate),
        "feeding": feeding([one.feeding for one in launches if one.feeding is not None], rate.median, facts.level),
        "departures": tuple(dict.fromkeys(one for launch in launches for one in launch.departures)),
    }


def _startup(launches: list[Launch]) -> StartupSeconds:
    """Return medians over launches of the slowest rank's seconds. Forked launches pay the import once per block."""
    slowest = [launch.startup_seconds for launch in launches]
    return StartupSeconds(
        **{name: float(np.median([getattr(one, name) for one in slowest])) for name in StartupSeconds.model_fields}
    )


def _verdict(
    cell: Cell, launches: Sequence[Launch], good: list[LaunchSummary], found: Disturbance
) -> tuple[CellVerdict, str]:
    if cell.unsupported is not None:
        return "unsupported", cell.unsupported
    if not launches and found.launches_disturbed:
        return "not measured", found.text
    if not launches:
        return "not measured", "no launch of this cell has ended yet; continue with --resume"
    bad = [launch.why_bad for launch in launches if launch.why_bad is not None]
    notes = [f"{len(bad)} of {len(launches)} launches {bad[0]}"] if bad else []
    notes += [note for note in (found.text, *(launch.long_step for launch in launches)) if note]
    if not good and bad and all(UNSUPPORTED_HERE in text for text in bad):
        return "unsupported", bad[0].partition(UNSUPPORTED_HERE)[2]
    if not good:
        return "failed", notes[0]
    if (levels := two_levels([launch.mean_step_seconds for launch in good])) is not None:
        notes.append(_levels_told(levels))
    unsteady = [launch.steady for launch in good if launch.steady.verdict not in ("steady", "undecided")]
    if unsteady:
        notes.append(f"{len(unsteady)} of {len(good)} launches are not steady: {unsteady[0].reason}")
    if 2 * len(unsteady) > len(good):
        return Counter(state.verdict for state in unsteady).most_common(1)[0][0], "; ".join(notes)
    below = pooled_change_below([launch.steady for launch in good])
    if all(launch.steady.verdict == "steady" for launch in good) or (below is not None and below <= MATERIAL):
        return "steady", "; ".join(notes)
    unseen = "" if below is None else f": a drift of up to {below:.1%} cannot be excluded"
    return "undecided", "; ".join(
        [*notes, f"the windows are too short for this noise{unseen}; raise minSteps or minSeconds"]
    )


def _levels_told(levels: Levels) -> str:
    """Describe both levels with their launches, in words."""
    return (
        f"launches lie at two levels: {levels.low * 1e3:.4g} ms per step in {levels.count_low}, "
        f"{levels.high * 1e3:.4g} ms in {levels.count_high}; the figures are of the median launch"
    )
