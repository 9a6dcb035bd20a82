"""Run the parity checks of a plan as one block before the first, and turn their results into certificates."""

from collections.abc import Callable, Iterator

from stepmark import catalog
from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate.session import root_cause
from stepmark.parity.certify import certificate, not_checked, stage
from stepmark.parity.judge import cell_limits
from stepmark.plan.blocks import Launch, Plan
from stepmark.plan.probes import Check, Step, launches, samples_per_worker
from stepmark.results.certificate import Certificate, ProbeReport, Stage
from stepmark.workloads._protocol import FOREIGN_FLOAT64_LIMIT

Run = Callable[[tuple[Launch, ...]], Iterator[tuple[Launch, list[RankOutcome]]]]


def certify(plan: Plan, wanted: tuple[Check, ...], references: tuple[Launch, ...], run: Run) -> Iterator[Certificate]:
    """Yield the certificate of each wanted check as soon as all launches that it depends on have ended.

    `run` runs launches, and yields each with its ranks' outcomes when it has ended. `references` are the references of
    the timed launches. They are run too, and read later by those launches.
    """
    limit = _float64_limit(plan.scenario.spec.workload.model)
    waiting = list(wanted)
    ended: dict[str, list[RankOutcome]] = {}
    block = (*launches(wanted), *references)
    for launch, outcomes in run(block) if block else ():
        ended[launch.id] = sorted(outcomes, key=lambda outcome: outcome.rank)
        ready = [check for check in waiting if all(needed.id in ended for needed in launches((check,)))]
        waiting = [check for check in waiting if check not in ready]
        for check in ready:
            yield _certificate(plan, check, ended, limit)


def _float64_limit(model: str) -> float:
    """Return the largest relative error in float64. Foreign code is not loaded to ask for its own."""
    return FOREIGN_FLOAT64_LIMIT if catalog.is_foreign(model) else catalog.load_workload(model).float64_limit


def _certificate(plan: Plan, check: Check, ended: dict[str, list[RankOutcome]], float64_limit: float) -> Certificate:
    for launch in launches((check,)):
        failure = root_cause(ended[launch.id])
        if failure is not None:
            return not_checked(check.cell, f"the parity check {launch.id} failed: {failure.cause}")
    stages = [_stage(plan, step, ended, float64_limit) for step in check.steps]
    last = check.steps[-1]
    return certificate(
        check.cell,
        last.reference.cell,
        stages,
        _reports(ended, last.launch),
        samples_per_worker(plan.scenario, check.cell),
    )


def _stage(plan: Plan, step: Step, ended: dict[str, list[RankOutcome]], float64_limit: float) -> Stage:
    [reference] = _reports(ended, step.reference)
    reports = _reports(ended, step.launch)
    cell, training = step.launch.cell, plan.scenario.spec.training
    limits = cell_limits(cell, float64_limit, training.clip_global_norm is not None, training.optimizer)
    return stage(step.name, cell, step.reference.cell, reports, limits, reference.tensors)


def _reports(ended: dict[str, list[RankOutcome]], launch: Launch) -> list[ProbeReport]:
    return [outcome.probe for outcome in ended[launch.id] if outcome.probe is not None]
