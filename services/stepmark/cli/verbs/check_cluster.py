"""`stepmark check-cluster`: measure what a cluster check measures, or read it, and print the verdict."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer
from rich.console import Console

from stepmark.analysis.cluster_check import ClusterCheck, cluster_check
from stepmark.cli.hub_source import local_folder
from stepmark.cli.options import HubChoices
from stepmark.errors import CannotRun
from stepmark.report.cluster_check import lines
from stepmark.report.rich_tables import shown
from stepmark.results.store import SqliteStore
from stepmark.runs.machine import machine_for
from stepmark.runs.measuring import Choices, measure_plan, open_run
from stepmark.scenario.load import scenario_from_file, scenario_from_object
from stepmark.scenario.model import Scenario

FILE = Path(__file__).with_name("check-cluster.yaml")
MODEL = "cluster-check"
EXIT_CODES = {"ok": 0, "suspicious": 1, "broken": 4}


@dataclass(frozen=True)
class Check:
    """What to measure, as given on the command line. `workers` is None for as many as the machine has places."""

    workers: int | None
    launcher: Literal["ray", "bare"]
    out: Path


def check_cluster(of: Path | None, check: Check, as_json: bool, hub: HubChoices) -> None:
    """Print the verdict on this machine, or on those of a finished check.

    Raises:
        CannotRun: there are fewer than two places for ranks, or the results are of another workload.
        typer.Exit: 1, if the verdict is `suspicious`; 4, if it is `broken`.
    """
    if of is None:
        found = _measured(check)
    else:
        with local_folder(of, hub) as folder:
            found = judged(folder)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        for line in lines(found):
            Console().print(shown(line), highlight=False, soft_wrap=True)
    if EXIT_CODES[found.verdict]:
        raise typer.Exit(EXIT_CODES[found.verdict])


def _measured(check: Check) -> ClusterCheck:
    scenario = scenario_for(check.workers)
    choices = Choices(False, check.launcher, False)
    with open_run(scenario, check.out, choices) as opened:
        measure_plan(opened, check.out, choices, None)
        return cluster_check(opened.store.records(), MODEL)


def scenario_for(workers: int | None) -> Scenario:
    """Return the scenario of a check with so many workers; None for as many as this machine has places.

    Raises:
        CannotRun: there are fewer than two places for ranks.
    """
    scenario = scenario_from_file(FILE)
    workers = workers or machine_for(scenario.spec).places
    if workers < 2:
        raise CannotRun("expected places for two ranks or more, found one. Give this machine another core or GPU.")
    document = scenario.model_dump(mode="json", by_alias=True)
    document["spec"]["scale"]["workers"] = [workers]
    return scenario_from_object(document)


def judged(folder: Path) -> ClusterCheck:
    """Return the verdict on a finished check in this folder.

    Raises:
        CannotRun: the folder has no results, or those of another workload.
    """
    store = SqliteStore.open(folder)
    try:
        model = store.run().parsed_scenario.spec.workload.model
        if model != MODEL:
            raise CannotRun(f"{folder}: expected results of {MODEL}, found those of {model}. Name another run.")
        return cluster_check(store.records(), MODEL)
    finally:
        store.close()
