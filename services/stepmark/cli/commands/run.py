"""`stepmark run`."""

from pathlib import Path
from typing import Annotated

import typer

from stepmark.cli.options import (
    DRAIN_SECONDS,
    LAUNCHER,
    DrainSeconds,
    HubAttempt,
    HubChoices,
    HubTo,
    Launcher,
    OwnWorkload,
    ScenarioFile,
    TokenFile,
)


def run(
    file: ScenarioFile,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for results.db, summary.json, report.md, report.html. Default: out/NAME."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue the run in --out: finished launches are kept.")] = False,
    launcher: Annotated[Launcher, typer.Option(help="ray: one Ray Train run; bare: the same, without Ray.")] = LAUNCHER,
    fresh_process: Annotated[
        bool, typer.Option(help="A new process with its own import for every launch, instead of a fork of a zygote.")
    ] = False,
    workload: OwnWorkload = None,
    hub: HubTo = None,
    hub_token_file: TokenFile = None,
    hub_attempt: HubAttempt = None,
    hub_drain_seconds: DrainSeconds = DRAIN_SECONDS,
    live_listen: Annotated[
        str | None,
        typer.Option(
            envvar="STEPMARK_LIVE_LISTEN", help="HOST:PORT on which Prometheus can follow the run while it lasts."
        ),
    ] = None,
) -> None:
    """Measure a scenario and print the verdicts.

    Launches run in randomised blocks. Ctrl-C keeps what is finished, and `--resume` continues from there.
    """
    from stepmark.cli.verbs import run as verb
    from stepmark.runs.measuring import Choices

    # In an attempt of a cluster the hub is told of what is missing, so it is looked for later.
    choices = Choices(resume, launcher.value, fresh_process, checked_later=hub_attempt is not None, workload=workload)
    verb.run(file, out, choices, HubChoices(hub, hub_token_file, hub_attempt, hub_drain_seconds), live_listen)
