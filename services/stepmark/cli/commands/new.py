"""`stepmark new`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Write the beginnings of something of your own.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


class Framework(StrEnum):
    """The frameworks in which the model is written."""

    torch = "torch"
    keras = "keras"
    both = "both"


@app.callback()
def _group() -> None:
    return None


@app.command()
def workload(
    name: Annotated[str, typer.Argument(help="Name of the package and of its model, such as acme-unet.")],
    framework: Annotated[Framework, typer.Option(help="What the model is written in; both: a pair.")] = Framework.torch,
    out: Annotated[Path | None, typer.Option(help="Folder to write into. Default: the name.")] = None,
) -> None:
    """Write a package with a model, a test and a scenario, which runs as it is (docs/own-model.md)."""
    from stepmark.cli.verbs import new

    new.workload(name, framework.value, out)
