"""`stepmark first-step`."""

from pathlib import Path
from typing import Annotated

import typer

from stepmark.cli.options import AsJson, Launcher, OwnWorkload


def first_step(
    file: Annotated[
        Path | None, typer.Argument(help="A scenario file. With --code it may be left out.", show_default=False)
    ] = None,
    blocks: Annotated[int, typer.Option(min=1, max=100, help="How often each start is made; a claim needs 5.")] = 5,
    edit: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="The parameter of the model that the edit changes. Default: one more of classes, or of vocabulary.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for first-step.json, the record of every process. Default: out/NAME.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue what --out holds: complete blocks are kept.")] = False,
    launcher: Annotated[Launcher, typer.Option(help="As of `run`.")] = Launcher.bare,
    workload: OwnWorkload = None,
    code: Annotated[
        bool, typer.Option("--code", help="Measure nothing: count lines, names and tokens of the models' source.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the seconds from a process's start to its first finished step, for each cell, in fresh processes.

    Each cell is started with an empty cache, again with that cache, and after a one-line edit of its model. Exit code 1
    if a start failed.
    """
    from stepmark.cli.verbs import first_step as verb

    if code:
        verb.show_code(file, as_json)
    elif file is None:
        raise typer.BadParameter("expected a scenario file, found none. Name one, or add --code.")
    else:
        verb.first_step(file, verb.Wanted(blocks, edit, out, resume, launcher.value, workload), as_json)
