"""Command-line options for the address of a hub and for the credentials."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stepmark.cli.publishing import HubChoices

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


def hub_choices(
    url: str | None, token_file: Path | None, attempt: str | None = None, drain_seconds: float = 60.0
) -> "HubChoices":
    """Return the options as `HubChoices`."""
    from stepmark.cli.publishing import HubChoices

    return HubChoices(url, token_file, attempt, drain_seconds)
