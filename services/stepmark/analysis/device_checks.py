"""Check what a record says of its GPUs: what makes a launch invalid, and what a reader must know beside its figures.

Each check is a row of `CHECKS`. Limits are shares of the time that the supervisor watched the steps; the sources of the
counters are in `results.device`. None of these has been tried on a GPU: they are tested with records made by hand.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from stepmark.analysis.peaks import peak_flops_per_second
from stepmark.analysis.utilization import matmul_of
from stepmark.results.record import LaunchHeader, RankReport

_CAPPED_MOST = 0.01  # the share of the windows in which a GPU may be kept from its clocks
_IDLE_BELOW = 0.5  # a GPU that is used less than this waits for the host
_SHORT_STEP_SECONDS = 0.005
_ABOVE_PEAK = 1.02  # clocks and counters are not exact to more than this
_TF32_ERROR = 5e-5  # TF32's product of 512 x 512 normals errs by about 3e-4, float32's by less than 1e-5
_ERRORS = re.compile(r"[0-9.]+e[+-][0-9]+")  # in the flag `tf32_probe`
_CLOCKS_APART = 0.03

Consequence = Literal["invalid", "note"]
_Finder = Callable[[LaunchHeader, RankReport], str | None]


@dataclass(frozen=True)
class Check:
    """Hold one check of a rank's device, and what follows where it finds something.

    `finds` returns what was found, in words, or None.
    """

    name: str
    consequence: Consequence
    finds: _Finder


def invalid_device(header: LaunchHeader) -> str | None:
    """Return why the launch's figures cannot be believed, by what it says of its GPUs; None where nothing speaks so."""
    return next(_found(header, "invalid"), None)


def device_notes(header: LaunchHeader) -> tuple[str, ...]:
    """Return what a reader must know of the launch's GPUs, each sentence once."""
    return tuple(dict.fromkeys(_found(header, "note")))


def _found(header: LaunchHeader, consequence: Consequence) -> Iterator[str]:
    for check in CHECKS:
        if check.consequence != consequence:
            continue
        for rank in header.ranks:
            text = check.finds(header, rank) if rank.device is not None else None
            if text is not None:
                yield text if consequence == "note" else f"{check.name}: rank {rank.rank}: {text}"


def _measured_seconds(rank: RankReport) -> float:
    return sum(window.host_nanoseconds for window in rank.windows if window.kind == "measured") / 1e9


def _step_seconds(rank: RankReport) -> float:
    return _measured_seconds(rank) / max(1, sum(w.steps for w in rank.windows if w.kind == "measured"))


def capped_share(rank: RankReport, *reasons: str) -> float:
    """Return the share of the counted time for which these reasons lowered the clocks; 0 where no counter says so."""
    use = rank.device_use
    seconds = use.counted_seconds if use is not None else None
    if use is None or not seconds:
        return 0.0
    return max((use.capped_seconds.get(reason, 0.0) for reason in reasons), default=0.0) / seconds  # type: ignore[call-overload]


def _other_processes(_: LaunchHeader, rank: RankReport) -> str | None:
    use = rank.device_use
    if use is None or _may_share(rank):
        return None
    if use.processes_before:
        return f"expected a GPU that nothing else uses, found {use.processes_before} processes on it before the launch"
    if (use.processes_most or 0) > 1:
        return f"expected one process on the GPU, found {use.processes_most} while it was measured"
    return None


def _may_share(rank: RankReport) -> bool:
    """Return whether the run's profile accepts devices that are shared."""
    return rank.device is not None and rank.device.shared


def _given_twice(header: LaunchHeader, rank: RankReport) -> str | None:
    assert rank.device is not None
    if rank.device.shared:
        return None
    twins = [
        other.rank
        for other in header.ranks
        if other.rank < rank.rank
        and other.host == rank.host
        and other.device is not None
        and other.device.uuid_tail == rank.device.uuid_tail
    ]
    return f"it has the same GPU as rank {twins[0]}. Turn off time slicing" if twins else None


def _sliced(_: LaunchHeader, rank: RankReport) -> str | None:
    assert rank.device is not None
    if rank.device.shared:
        return None
    if rank.device.mig:
        return "expected a whole GPU, found MIG on"
    return "expected a GPU for this process alone, found MPS" if rank.device.mps else None


def _unlike(header: LaunchHeader, rank: RankReport) -> str | None:
    first, own = header.ranks[0].device, rank.device
    assert own is not None
    if first is None:
        return None
    if (own.name, own.memory_bytes) == (first.name, first.memory_bytes):
        return None
    return f"expected {first.name} as rank 0 has it, with as much memory, found {own.name}"


def _broken(_: LaunchHeader, rank: RankReport) -> str | None:
    share = capped_share(rank, "hardware-thermal", "hardware-power-brake")
    if share > _CAPPED_MOST:
        return f"heat or its power supply slowed it down in {share:.0%} of the windows. Look at its cooling and power"
    errors = rank.device_use.ecc_uncorrected if rank.device_use is not None else None
    return f"{errors} uncorrected memory errors in the windows. Take it out of service" if errors else None


def _precision(header: LaunchHeader, rank: RankReport) -> str | None:
    """Compare the error of a product that the engine made in the launch's own settings with what they should give."""
    probes = [float(text) for text in _ERRORS.findall(rank.flags.get("tf32_probe", ""))]
    if not probes or header.cell.precision not in ("float32", "tf32"):
        return None
    if header.cell.precision == "float32" and max(probes) > _TF32_ERROR:
        return f"TF32 was on in a cell of float32: a product errs by {max(probes):.1e}"
    if header.cell.precision == "tf32" and min(probes) < _TF32_ERROR:
        return f"TF32 was off in a cell of tf32: a product errs by {min(probes):.1e} only"
    return None


def _above_peak(header: LaunchHeader, rank: RankReport) -> str | None:
    assert rank.device is not None
    product, peak = matmul_of(rank), peak_flops_per_second(rank.device.name, header.cell.precision)
    if product is None or peak is None or product <= _ABOVE_PEAK * peak[0]:
        return None
    return f"a matrix product reached {product / peak[0]:.0%} of the GPU's peak ({peak[1]})"


def _accepted_sharing(_: LaunchHeader, rank: RankReport) -> str | None:
    if not _may_share(rank):
        return None
    return "GPUs may be shared or parts of one, as the profile accepts: figures hold beside these neighbours only"


def _warm(_: LaunchHeader, rank: RankReport) -> str | None:
    share = capped_share(rank, "software-thermal")
    return (
        "GPUs were slowed down by heat in over 1 % of the windows. Look at their cooling"
        if share > _CAPPED_MOST
        else None
    )


def _power_limit(_: LaunchHeader, rank: RankReport) -> str | None:
    assert rank.device is not None
    limit, usual = rank.device.power_limit_watts, rank.device.power_default_watts
    if limit is None or usual is None or limit >= usual:
        return None
    return f"GPUs are limited to {limit:.0f} W, and {usual:.0f} W are usual. Set it with nvidia-smi --power-limit"


def _settings(_: LaunchHeader, rank: RankReport) -> str | None:
    assert rank.device is not None
    if rank.device.application_clocks:
        return "GPUs have application clocks set. Remove them with nvidia-smi --reset-applications-clocks"
    if rank.device.persistence is False:
        return "GPUs have persistence mode off, so each launch loads the driver. Set it with nvidia-smi -pm 1"
    return None


def _xids(_: LaunchHeader, rank: RankReport) -> str | None:
    """Name the errors of a launch that did not end it; those that are the GPU's own fault have ended theirs."""
    numbers = rank.device_use.xids if rank.device_use is not None else None
    if not numbers:
        return None
    named = ", ".join(map(str, sorted(set(numbers))))
    return f"GPUs reported Xid {named} in launches that went on: look them up in NVIDIA's Xid catalogue"


def _waits_for_host(_: LaunchHeader, rank: RankReport) -> str | None:
    used = rank.device_use.utilization_mean_ratio if rank.device_use is not None else None
    if used is None or used >= _IDLE_BELOW or _step_seconds(rank) >= _SHORT_STEP_SECONDS:
        return None
    return "GPUs were idle most of the time: the host is the limit. Raise the batch, or compile"


CHECKS = (
    Check("shared GPU", "invalid", _other_processes),
    Check("shared GPU", "invalid", _given_twice),
    Check("shared GPU", "invalid", _sliced),
    Check("unlike GPUs", "invalid", _unlike),
    Check("GPU fault", "invalid", _broken),
    Check("wrong precision", "invalid", _precision),
    Check("wrong peak or clock", "invalid", _above_peak),
    Check("shared GPU", "note", _accepted_sharing),
    Check("heat", "note", _warm),
    Check("power limit", "note", _power_limit),
    Check("settings", "note", _settings),
    Check("errors", "note", _xids),
    Check("host-bound", "note", _waits_for_host),
)


def power_capped_ratio(header: LaunchHeader) -> float | None:
    """Return the share of the windows in which the power limit lowered the clocks, by the rank that it held back most.

    It is None where no rank has the counter.
    """
    shares = [
        capped_share(rank, "software-power")
        for rank in header.ranks
        if rank.device_use is not None and "software-power" in rank.device_use.capped_seconds
    ]
    return max(shares, default=None)


def sm_clock_hz(header: LaunchHeader) -> float | None:
    """Return the mean clock of the launch's GPUs in the windows; None where a rank does not know it."""
    means = [rank.device_use.sm_clock_mean_hz if rank.device_use is not None else None for rank in header.ranks]
    known = [mean for mean in means if mean]
    return sum(known) / len(known) if known and len(known) == len(means) else None


def clock_note(means: Sequence[float]) -> str | None:
    """Return that the launches of one cell ran at unlike clocks, and how far apart; None where they did not.

    `means` holds the mean clocks of its launches in Hz, where they are known.
    """
    if len(means) < 2 or max(means) <= (1 + _CLOCKS_APART) * min(means):
        return None
    return f"GPU clocks differed between launches by {max(means) / min(means) - 1:.0%}. Let the GPUs warm up for longer"
