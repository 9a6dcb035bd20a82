"""`stepmark submit` and `stepmark cancel`: run the same scenario file on a cluster."""

from pathlib import Path
from typing import Annotated

import typer

from stepmark.cli.options import TokenFile, hub_choices

Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Default: the file's, or that of the kubectl context.")
]

Hub = Annotated[
    str | None, typer.Option("--hub", envvar="STEPMARK_HUB_URL", help="The cluster's hub: with --watch, for the table.")
]


def submit(
    file: Annotated[Path, typer.Argument(help="A scenario file.", show_default=False)],
    namespace: Namespace = None,
    name: Annotated[
        str | None, typer.Option(help="The object's name. Default: the file's and five characters: a new run.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, print progress, and at the end what `run` prints.")] = (
        False
    ),
    hub: Hub = None,
    hub_token_file: TokenFile = None,
) -> None:
    """Create a scenario on the cluster of the current kubectl context, where stepmark's chart is installed.

    With --watch the exit codes are those of `run`; Ctrl-C then leaves the run going.
    """
    from stepmark.cli import submit_verb

    target = submit_verb.Target(namespace, name)
    submit_verb.submit(file, target, watch, hub_choices(hub, hub_token_file))


def cancel(
    name: Annotated[str, typer.Argument(help="The scenario object's name.", show_default=False)],
    namespace: Namespace = None,
) -> None:
    """End a run on a cluster. What it has measured stays in the hub."""
    from stepmark.cli import submit_verb

    submit_verb.cancel(name, submit_verb.Target(namespace))
