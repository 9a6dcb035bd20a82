"""Plan the launches of `time-to-accuracy`: in each block every cell once, all from one seed.

The seed of a block decides on the initial weights and on the order of the samples. So within a block all cells do the
same work, and between blocks both differ.
"""

from dataclasses import replace

from stepmark import catalog
from stepmark.errors import CannotRun
from stepmark.plan.blocks import Launch, Plan, seed_of
from stepmark.plan.estimate import (
    BARE_START_SECONDS,
    CHECK_SECONDS,
    COMPILED_FIRST_STEP_SECONDS,
    LAUNCH_SECONDS,
    RAY_START_SECONDS,
    ZYGOTE_SECONDS,
)
from stepmark.plan.probes import launches, wanted_checks
from stepmark.scenario.model import Scenario
from stepmark.scenario.target import Target

LEARNING_STEP_SECONDS, EVALUATION_SECONDS = 0.003, 0.01  # Models that learn in some hundred steps are small.


def target_of(scenario: Scenario) -> Target:
    """Return the accuracy that the scenario's cells are trained to.

    Raises:
        CannotRun: the scenario has no target, or its model depends on the other samples of a batch.
    """
    target, model = scenario.spec.target, scenario.spec.workload.model
    if target.accuracy is None:
        raise CannotRun("spec.target.accuracy: expected the accuracy to train to, found none. Add it.")
    if not catalog.is_foreign(model) and catalog.load_workload(model).uses_batch_statistics:
        raise CannotRun(
            f"spec.workload.model: expected a model without BatchNorm, found {model}. Its outputs are those of "
            "training, which depend on the other samples of a batch. Choose mlp, lstm, transformer or gpt."
        )
    return target


def learning_blocks(plan: Plan) -> tuple[tuple[Launch, ...], ...]:
    """Return the launches in the plan's order, of the blocks that are always made.

    Raises:
        CannotRun: the scenario cannot be trained to an accuracy.
    """
    target, measurement = target_of(plan.scenario), plan.scenario.spec.measurement
    seeds = [seed_of(measurement.seed, "learning", block) for block in range(measurement.launches)]
    return tuple(
        tuple(replace(launch, seed=seed, target=target) for launch in block)
        for seed, block in zip(seeds, plan.blocks, strict=False)
    )


def estimate_learning_seconds(plan: Plan, launcher: str) -> float:
    """Return the estimated seconds of all launches, with their start and parity checks: a rough guess."""
    blocks, target = learning_blocks(plan), target_of(plan.scenario)
    total = RAY_START_SECONDS if launcher == "ray" else BARE_START_SECONDS
    total += CHECK_SECONDS * len(launches(wanted_checks(plan)))
    training = (
        target.max_steps * LEARNING_STEP_SECONDS + target.max_steps / target.evaluate_every_steps * EVALUATION_SECONDS
    )
    for block in blocks:
        engines = {launch.cell.engine for launch in block}
        total += sum(ZYGOTE_SECONDS.get(engine, 1.0) for engine in engines)
        compiled = (launch.cell.engine for launch in block if launch.cell.execution == "compiled")
        total += sum(COMPILED_FIRST_STEP_SECONDS.get(engine, 0.0) for engine in compiled)
        total += len(block) * (LAUNCH_SECONDS + plan.scenario.spec.measurement.warmup_seconds + training)
    return total
