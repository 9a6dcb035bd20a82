"""Arguments and options that several commands have."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stepmark.terms import DEFAULT_LAUNCHER

DRAIN_SECONDS = 60.0


class Launcher(StrEnum):
    """The ways to start a run's processes."""

    ray = "ray"
    bare = "bare"


LAUNCHER = Launcher(DEFAULT_LAUNCHER)


@dataclass(frozen=True)
class HubChoices:
    """The address of a hub, and how to reach it, from the command line.

    `drain_seconds` is how long the end of a run waits for a hub that does not answer.
    """

    url: str | None = None
    token_file: Path | None = None
    attempt: str | None = None
    drain_seconds: float = DRAIN_SECONDS


ScenarioFile = Annotated[
    Path, typer.Argument(help="A scenario file, such as scenarios/quickstart.yaml.", show_default=False)
]
OwnWorkload = Annotated[
    str | None,
    typer.Option(
        "--workload",
        metavar="FILE:NAME",
        help="Your own model, such as my_model.py:UNET for the scenario's model local/unet. Its code runs here.",
    ),
]
RunFolder = Annotated[
    Path,
    typer.Argument(help="The folder of a run, as given to `run --out`; with --hub, a run's id.", show_default=False),
]
Price = Annotated[
    float | None,
    typer.Option(
        "--price-per-worker-hour", min=0, help="What one worker costs per hour, in any currency: adds cost per sample."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Default: the file's, or that of the kubectl context.")
]
HubTo = Annotated[str | None, typer.Option("--hub", envvar="STEPMARK_HUB_URL", help="Address of a hub to send to.")]
HubFrom = Annotated[
    str | None, typer.Option("--hub", help="Address of a hub: a name that is no folder here is then a run's id there.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--hub-token-file", envvar="STEPMARK_HUB_TOKEN_FILE", help="File with the token; or set STEPMARK_HUB_TOKEN."
    ),
]
HubAttempt = Annotated[
    str | None,
    typer.Option(
        "--hub-attempt",
        envvar="STEPMARK_HUB_ATTEMPT",
        help="RUN_ID/NUMBER that is registered already: the token is that attempt's write token.",
    ),
]
DrainSeconds = Annotated[
    float,
    typer.Option(
        "--hub-drain-seconds",
        envvar="STEPMARK_HUB_DRAIN_SECONDS",
        min=0,
        help="How long to wait at the end for a hub that is away.",
    ),
]
