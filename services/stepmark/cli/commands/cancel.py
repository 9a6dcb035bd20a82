"""`stepmark cancel`: end a run on a cluster."""

from typing import Annotated

import typer

from stepmark.cli.options import Namespace


def cancel(
    name: Annotated[str, typer.Argument(help="The scenario object's name.", show_default=False)],
    namespace: Namespace = None,
) -> None:
    """End a run on a cluster. What it has measured stays in the hub."""
    from stepmark.cli.verbs import cancel as verb

    verb.cancel(name, namespace)
