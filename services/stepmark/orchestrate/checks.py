"""The parity checks of a plan: offered as a block before the first, and turned into certificates."""

from collections.abc import Callable, Iterator

from stepmark import catalog
from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate.session import root_cause
from stepmark.parity.certify import certificate, not_checked, stage
from stepmark.plan.blocks import Launch, Plan
from stepmark.plan.probes import Check, checks, launches, samples_per_worker
from stepmark.results.certificate import Certificate, ProbeReport, Stage
from stepmark.workloads._protocol import Workload

Run = Callable[[tuple[Launch, ...]], Iterator[tuple[Launch, list[RankOutcome]]]]


def certify(plan: Plan, done: frozenset[str], run: Run) -> Iterator[Certificate]:
    """Certificates of all measurable cells but those that are `done`.

    `run` has launches run, and yields each with its ranks' outcomes when it has ended.
    """
    wanted = tuple(check for check in checks(plan) if check.cell.key not in done)
    ended: dict[str, list[RankOutcome]] = {}
    if wanted:
        for launch, outcomes in run(launches(wanted)):
            ended[launch.id] = sorted(outcomes, key=lambda outcome: outcome.rank)
    workload = catalog.load_workload(plan.scenario.spec.workload.model)
    for check in wanted:
        yield _certificate(plan, check, ended, workload)


def _certificate(plan: Plan, check: Check, ended: dict[str, list[RankOutcome]], workload: Workload) -> Certificate:
    needed = (check.float64_reference, check.float64, check.reference, check.launch)
    for launch in needed:
        failure = root_cause(ended[launch.id]) if launch is not None else None
        if launch is not None and failure is not None:
            return not_checked(check.cell, f"the check {launch.id} failed: {failure.cause}")
    tensors = _reports(ended, check.reference)[0].tensors
    stages: list[Stage] = []
    if check.float64 is not None and check.float64_reference is not None:
        model, base = check.float64.cell, check.float64_reference.cell
        stages.append(stage("float64", model, base, _reports(ended, check.float64), workload, tensors))
    reports = _reports(ended, check.launch)
    stages.append(stage("as timed", check.cell, check.reference.cell, reports, workload, tensors))
    return certificate(check.cell, check.reference.cell, stages, reports, samples_per_worker(plan, check.cell))


def _reports(ended: dict[str, list[RankOutcome]], launch: Launch) -> list[ProbeReport]:
    return [outcome.probe for outcome in ended[launch.id] if outcome.probe is not None]
