"""Define a script in place of a model: step times that are known by construction, and faults on demand.

Only the `sleeper` engine runs it. stepmark's own figures and its handling of failures are tested against it.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stepmark.strict import StrictModel
from stepmark.workloads._untrained import Untrained

Factor = Annotated[float, Field(gt=0, le=1000)]
Seconds = Annotated[float, Field(ge=0, le=3600)]


class Params(StrictModel):
    """Set the step times. Factors multiply `stepSeconds`."""

    step_seconds: Annotated[float, Field(gt=0, le=3600)] = 0.01
    """Time of a steady step with one worker."""
    compiled_factor: Factor = 1.0
    """Factor of the step times at execution `compiled`."""
    slower_factor: Factor = 1.0
    """Factor of the step times in the engine's variant `slower`."""
    seconds_per_added_worker: Seconds = 0.0
    """Communication time that every worker beyond the first adds to a step."""
    update_seconds: Seconds = 0.0
    """Part of a step that its update takes; the step that is timed without its update is shorter by this time."""
    warmup_steps: Annotated[int, Field(ge=0, le=5000)] = 0
    """Number of first steps that take `warmupFactor` times as long."""
    warmup_factor: Factor = 1.0
    """Factor of the first `warmupSteps` steps."""
    drift_per_step: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the first step's time by which every step is longer than the one before."""
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Standard deviation of the logarithm of a step's time."""
    launch_jitter: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Standard deviation of the logarithm of a factor that all steps of a launch share."""
    straggler_rank: Annotated[int, Field(ge=0, le=4096)] | None = None
    """This rank takes `stragglerSeconds` longer in every step; absent: no rank does."""
    straggler_seconds: Seconds = 0.0
    """Time that the straggler adds to a step."""
    startup_seconds: Seconds = 0.0
    """Time that building takes."""
    asynchronous: bool = False
    """Steps return before they are done, as on a GPU."""
    device_clock_factor: Factor = 1.0
    """Factor of the times that the device of asynchronous steps takes by its own clock."""
    fault: Literal["kill", "hang", "raise", "memory", "garbage"] | None = None
    """How rank `faultRank` ends at step `faultStep` of launches in block `faultBlock`; absent: no fault."""
    fault_rank: Annotated[int, Field(ge=0, le=4096)] = 0
    """Rank that has the fault."""
    fault_step: Annotated[int, Field(ge=0, le=10000)] = 3
    """Number of steps that the rank has done when the fault occurs."""
    fault_block: Annotated[int, Field(ge=0, le=100)] | None = None
    """Block whose launches have the fault; absent: all blocks."""


@dataclass(frozen=True)
class Script:
    """Compute the step times of one rank of one launch."""

    params: Params
    base_seconds: float
    rank: int
    launch_seed: int

    def step_seconds(self, steps: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        """Return the exact durations of the first `steps` steps in seconds, of shape (steps,)."""
        p, index = self.params, np.arange(steps)
        rng = np.random.default_rng(self.launch_seed)
        level = self.base_seconds * np.exp(p.launch_jitter * rng.standard_normal())
        seconds = level * (1 + p.drift_per_step * index) * np.exp(p.jitter * rng.standard_normal(steps))
        seconds[: p.warmup_steps] *= p.warmup_factor
        return seconds + (p.straggler_seconds if self.rank == p.straggler_rank else 0.0)


class Scripted(Untrained):
    """Provide the script as a workload, which has no parameters and no operations to count."""

    params_model = Params

    def sleeper_model(self, params: Params) -> type[Script]:
        return Script


WORKLOAD = Scripted()
