"""A script instead of a model: step times that are known by construction, and faults on demand.

Only the `sleeper` engine runs it. It is how stepmark's own figures and failure paths are tested against known truth.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stepmark.strict import StrictModel
from stepmark.workloads._protocol import InputSpec, Workload

Factor = Annotated[float, Field(gt=0, le=1000)]
Seconds = Annotated[float, Field(ge=0, le=3600)]


class Params(StrictModel):
    """The shape of the step times. Factors multiply `stepSeconds`."""

    step_seconds: Annotated[float, Field(gt=0, le=3600)] = 0.01
    """A steady step with one worker."""
    compiled_factor: Factor = 1.0
    """At execution `compiled`."""
    slower_factor: Factor = 1.0
    """For the engine's variant `slower`."""
    seconds_per_added_worker: Seconds = 0.0
    """Added for every worker beyond the first: communication."""
    update_seconds: Seconds = 0.0
    """Of a step, what its update takes: the step that is timed without it is so much shorter."""
    warmup_steps: Annotated[int, Field(ge=0, le=5000)] = 0
    """So many first steps take `warmupFactor` as long."""
    warmup_factor: Factor = 1.0
    """Of the first steps."""
    drift_per_step: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Every step is longer than the first by this share more."""
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Standard deviation of the logarithm of a step's time."""
    launch_jitter: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The same for whole launches: all steps of a launch share it."""
    straggler_rank: Annotated[int, Field(ge=0, le=4096)] | None = None
    """This rank takes `stragglerSeconds` longer in every step."""
    straggler_seconds: Seconds = 0.0
    """What the straggler adds to a step."""
    startup_seconds: Seconds = 0.0
    """Length of the build."""
    fault: Literal["kill", "hang", "raise", "memory", "garbage"] | None = None
    """How rank `faultRank` ends at step `faultStep` of the launches in block `faultBlock`."""
    fault_rank: Annotated[int, Field(ge=0, le=4096)] = 0
    """Whom the fault meets."""
    fault_step: Annotated[int, Field(ge=0, le=10000)] = 3
    """Steps that it has done by then."""
    fault_block: Annotated[int, Field(ge=0, le=100)] | None = None
    """Absent: in every block."""


@dataclass(frozen=True)
class Script:
    """The step times of one rank of one launch, as a function of the step."""

    params: Params
    base_seconds: float
    rank: int
    launch_seed: int

    def step_seconds(self, steps: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        """The exact durations of the first `steps` steps, shape (steps,)."""
        p, index = self.params, np.arange(steps)
        rng = np.random.default_rng(self.launch_seed)
        level = self.base_seconds * np.exp(p.launch_jitter * rng.standard_normal())
        seconds = level * (1 + p.drift_per_step * index) * np.exp(p.jitter * rng.standard_normal(steps))
        seconds[: p.warmup_steps] *= p.warmup_factor
        return seconds + (p.straggler_seconds if self.rank == p.straggler_rank else 0.0)


class Scripted(Workload):
    params_model = Params

    def input(self, params: Params) -> InputSpec:
        return InputSpec("vector", (1,), classes=2)

    def parameter_count(self, params: Params) -> None:
        return None

    def flops_per_sample(self, params: Params) -> None:
        return None

    def sleeper_model(self, params: Params) -> type[Script]:
        return Script


WORKLOAD = Scripted()
