"""Plan a scenario for this machine, with the model of a package or of a person's own file."""

from dataclasses import dataclass

from stepmark.orchestrate.describe import facts_of
from stepmark.plan.blocks import Plan, make_plan
from stepmark.plan.foreign import WorkloadFile
from stepmark.runs.machine import check_names, machine_for
from stepmark.runs.own_file import workload_file
from stepmark.scenario.model import Scenario


@dataclass(frozen=True)
class Planned:
    """A plan, and the person's own file with its workload, or None where a package has it."""

    plan: Plan
    workload_file: WorkloadFile | None


def planned(scenario: Scenario, workload: str | None, refuse: bool = True) -> Planned:
    """Return the plan of a scenario. `workload` is FILE:NAME as a person gave it, or None.

    Without `refuse`, what is not installed makes its cells unsupported, with the reasons, instead of an error.

    Raises:
        CannotRun: the model or an engine is not installed, or the file cannot be used.
        ScenarioErrors: the workload refuses its params, or the data.
    """
    file = workload_file(workload, scenario.spec)
    if refuse:
        check_names(scenario.spec, file)
    return Planned(make_plan(scenario, machine_for(scenario.spec), facts_of(scenario, file, refuse)), file)
