"""Estimate how long a plan takes, before anything starts. The result is a rough guess for planning.

The constants are seconds measured on two shared CPU cores (docs/measuring.md, "What a run costs"); most other machines
are faster. Step times are only known beforehand where they are scripted. So a window is taken to last `minSeconds`, or
`minSteps` steps of 20 ms. On GPUs it has twenty stretches of steps at least (`launch/loop.py`).
"""

from stepmark.plan.blocks import Launch, Plan
from stepmark.plan.probes import launches, timed_references, wanted_checks

RAY_START_SECONDS = 12.0
BARE_START_SECONDS = 1.0
ZYGOTE_SECONDS = {"torch": 5.0, "keras-tensorflow": 7.0, "keras-torch": 6.0, "keras-jax": 3.0, "tf-keras": 7.0}
LAUNCH_SECONDS = 0.8
CHECK_SECONDS = 3.0
COMPILED_FIRST_STEP_SECONDS = {
    "torch": 6.0,
    "keras-tensorflow": 3.0,
    "keras-torch": 20.0,
    "keras-jax": 4.0,
    "tf-keras": 3.0,
}
STEP_SECONDS = 0.02
_GPU_WINDOW_SECONDS = 4.0
_PARTS_SHARE = 0.25  # Timing the parts of a step takes this share of the window's seconds (`launch/parts.py`).


def estimate_seconds(plan: Plan, blocks: int, launcher: str, fresh_process: bool) -> float:
    """Return the estimated seconds of the first `blocks` blocks of the plan, with their start and parity checks."""
    total = RAY_START_SECONDS if launcher == "ray" else BARE_START_SECONDS
    references = timed_references(plan.scenario, plan.measurable)
    total += CHECK_SECONDS * (len(launches(wanted_checks(plan))) + len(references))
    for block in plan.blocks[:blocks]:
        imports = [ZYGOTE_SECONDS.get(launch.cell.engine, 1.0) for launch in block]
        engines = {launch.cell.engine: ZYGOTE_SECONDS.get(launch.cell.engine, 1.0) for launch in block}
        total += sum(imports) if fresh_process else sum(engines.values())
        total += sum(_launch_seconds(plan, launch) for launch in block)
    return total


def _launch_seconds(plan: Plan, launch: Launch) -> float:
    m = plan.scenario.spec.measurement
    scripted = plan.scenario.spec.workload.params.get("stepSeconds")
    step = scripted if isinstance(scripted, int | float) else STEP_SECONDS
    window = max(m.min_seconds, min(m.min_steps, m.max_steps) * step)
    if launch.cell.device == "gpu":
        window = max(window, min(_GPU_WINDOW_SECONDS, m.max_steps * step))
    warmup = max(m.warmup_seconds, m.warmup_steps * step)
    compiled = COMPILED_FIRST_STEP_SECONDS.get(launch.cell.engine, 0.0) if launch.cell.execution == "compiled" else 0.0
    return LAUNCH_SECONDS + (1 + _PARTS_SHARE) * window + warmup + compiled
