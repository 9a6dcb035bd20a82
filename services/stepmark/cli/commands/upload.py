"""`stepmark upload`."""

from pathlib import Path
from typing import Annotated

import typer

from stepmark.cli.options import DRAIN_SECONDS, DrainSeconds, HubAttempt, HubChoices, HubTo, TokenFile


def upload(
    folder: Annotated[Path, typer.Argument(help="The folder of a run, as given to `run --out`.", show_default=False)],
    hub: HubTo = None,
    hub_token_file: TokenFile = None,
    hub_attempt: HubAttempt = None,
    hub_drain_seconds: DrainSeconds = DRAIN_SECONDS,
) -> None:
    """Send a run's results to a hub; what the hub has already is not sent again.

    Exit code 3 if not everything could be sent.
    """
    from stepmark.cli.verbs import upload as verb

    verb.upload(folder, HubChoices(hub, hub_token_file, hub_attempt, hub_drain_seconds))
