"""`stepmark plan`."""

from typing import Annotated

import typer

from stepmark.cli.options import LAUNCHER, AsJson, Launcher, OwnWorkload, ScenarioFile


def plan(
    file: ScenarioFile,
    launcher: Annotated[Launcher, typer.Option(help="Only the time estimate depends on it.")] = LAUNCHER,
    workload: OwnWorkload = None,
    as_json: AsJson = False,
) -> None:
    """Print cells, launches, their order, and an estimate of the time; run nothing."""
    from stepmark.cli.verbs import plan as verb

    verb.plan(file, launcher.value, workload, as_json)
