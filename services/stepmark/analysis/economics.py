"""Compute what a slower start costs: after how many steps the candidate that starts later has caught up."""

import math
from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict

from stepmark.analysis.intervals import Estimate, geometric_mean
from stepmark.results.record import StartupSeconds


class BreakEven(BaseModel):
    """Store after how many `steps` `slower_start` has used less time in all than `faster_start`; None means never.

    `low` and `high` are the least and the most steps that the four intervals allow together: every end is taken at its
    worst, so their confidence is above that of each interval. None there means never, unless `bounded` is false: then
    some interval is missing. `seconds` is the time from the start to the break-even; None means never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slower_start: str
    faster_start: str
    steps: int | None
    low: int | None
    high: int | None
    bounded: bool
    seconds: float | None
    text: str


def startup_total_seconds(startup: StartupSeconds, imported: bool = True) -> float:
    """Return the sum of spawn, import, group, build and first step of one launch.

    The first step includes compilation. With `imported` false the import is left out: a forked launch uses its zygote's
    import, paid once per block, while a user who runs the training alone pays it in full.
    """
    parts = startup.spawn + startup.group + startup.build + startup.first_step
    return parts + (startup.import_ if imported else 0.0)


def startup_estimate(by_block: Mapping[int, StartupSeconds], imported: bool = True) -> Estimate | None:
    """Return the geometric mean of the start-up totals of one cell's launches, with its 95 % interval.

    `by_block` holds the slowest rank's seconds by block. The result is None without launches, or if a total is not
    positive.
    """
    totals = np.array([startup_total_seconds(startup, imported) for startup in by_block.values()])
    return geometric_mean(totals) if len(totals) and totals.min() > 0 else None


def break_even(
    first: str,
    first_startup_seconds: Estimate,
    first_step_seconds: Estimate,
    second: str,
    second_startup_seconds: Estimate,
    second_step_seconds: Estimate,
) -> BreakEven:
    """Return the break-even of two candidates: the steps N with s1 + N t1 = s2 + N t2, rounded up.

    `first` and `second` are the names of the candidates.
    """
    if first_startup_seconds.value > second_startup_seconds.value:
        return break_even(
            second, second_startup_seconds, second_step_seconds, first, first_startup_seconds, first_step_seconds
        )
    start = _difference(second_startup_seconds, first_startup_seconds)
    gain = _difference(first_step_seconds, second_step_seconds)
    steps = _steps(start.value, gain.value)
    bounded = None not in (start.low, start.high, gain.low, gain.high)
    low = _steps(start.low, gain.high) if start.low is not None and gain.high is not None else None
    high = _steps(start.high, gain.low) if start.high is not None and gain.low is not None else None
    seconds = None if steps is None else second_startup_seconds.value + steps * second_step_seconds.value
    return BreakEven(
        slower_start=second,
        faster_start=first,
        steps=steps,
        low=low,
        high=high,
        bounded=bounded,
        seconds=seconds,
        text=_text(first, second, start.value, steps, low, high, bounded),
    )


def _difference(one: Estimate, other: Estimate) -> Estimate:
    def ends(a: float | None, b: float | None) -> float | None:
        return None if a is None or b is None else a - b

    return Estimate(value=one.value - other.value, low=ends(one.low, other.high), high=ends(one.high, other.low))


def _steps(start_seconds: float, gain_seconds: float) -> int | None:
    """Return the steps until a gain per step has paid for a later start; None means never."""
    if start_seconds < 0:
        return 0
    return math.ceil(start_seconds / gain_seconds) if gain_seconds > 0 else None


def _text(
    first: str, second: str, later: float, steps: int | None, low: int | None, high: int | None, bounded: bool
) -> str:
    start = f"{second} starts {later:.3g} s later than {first}"
    if steps is None:
        doubt = f", though the intervals allow it after {low:,} steps" if low is not None else ""
        return f"{start} and never catches up{doubt}"
    if not bounded:
        return f"{start} and is ahead after {steps:,} steps (no interval)"
    most = f"{high:,}" if high is not None else "never"
    return f"{start} and is ahead after {steps:,} steps ({low:,} to {most})"
