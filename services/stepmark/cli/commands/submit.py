"""`stepmark submit`: run the same scenario file on a cluster."""

from pathlib import Path
from typing import Annotated

import typer

from stepmark.cli.options import HubChoices, Namespace, TokenFile


def submit(
    file: Annotated[Path, typer.Argument(help="A scenario file.", show_default=False)],
    namespace: Namespace = None,
    name: Annotated[
        str | None, typer.Option(help="The object's name. Default: the file's and five characters: a new run.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, print progress, and at the end what `run` prints.")] = (
        False
    ),
    hub: Annotated[
        str | None,
        typer.Option("--hub", envvar="STEPMARK_HUB_URL", help="The cluster's hub: with --watch, for the table."),
    ] = None,
    hub_token_file: TokenFile = None,
) -> None:
    """Create a scenario on the cluster of the current kubectl context, where stepmark's chart is installed.

    With --watch the exit codes are those of `run`; Ctrl-C then leaves the run going.
    """
    from stepmark.cli.cluster import Target
    from stepmark.cli.verbs import submit as verb

    verb.submit(file, Target(namespace, name), watch, HubChoices(hub, hub_token_file))
