"""`stepmark largest-batch`."""

from typing import Annotated

import typer

from stepmark.cli.options import AsJson, Launcher, OwnWorkload, ScenarioFile


def largest_batch(
    file: ScenarioFile,
    up_to: Annotated[int, typer.Option(min=1, max=65536, help="No batch above this is tried.")] = 65536,
    launcher: Annotated[Launcher, typer.Option(help="As of `run`.")] = Launcher.bare,
    workload: OwnWorkload = None,
    as_json: AsJson = False,
) -> None:
    """Find the largest batch per worker that trains, for each cell; time nothing.

    The search doubles the scenario's batch until it does not fit, then bisects, each batch in a fresh process. On CPU
    cores `measurement.memoryLimitBytes` says what fits. Exit code 1 if a launch failed for other reasons than memory.
    """
    from stepmark.cli.verbs import largest_batch as verb

    verb.largest_batch(file, up_to, launcher.value, workload, as_json)
