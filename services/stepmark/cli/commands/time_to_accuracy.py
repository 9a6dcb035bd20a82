"""`stepmark time-to-accuracy`."""

from pathlib import Path
from typing import Annotated

import typer

from stepmark.cli.options import AsJson, Launcher, OwnWorkload


def time_to_accuracy(
    file: Annotated[Path, typer.Argument(help="A scenario file with spec.target.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for time-to-accuracy.json, the record of every launch. Default: out/NAME."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue what --out holds: complete blocks are kept.")] = False,
    launcher: Annotated[Launcher, typer.Option(help="As of `run`.")] = Launcher.bare,
    workload: OwnWorkload = None,
    as_json: AsJson = False,
) -> None:
    """Train each cell on real samples to an accuracy, and compare the steps, the seconds and the final accuracies.

    Parity is checked first. All cells of a block begin with the same weights, and take the same samples in the same
    order. Exit code 1 if a launch failed.
    """
    from stepmark.cli.verbs import time_to_accuracy as verb

    verb.time_to_accuracy(file, verb.Wanted(out, resume, launcher.value, workload), as_json)
