"""`stepmark parity`."""

from pathlib import Path
from typing import Annotated

import typer

from stepmark.cli.options import AsJson, Launcher, OwnWorkload, ScenarioFile


def parity(
    file: ScenarioFile,
    out: Annotated[
        Path | None, typer.Option(help="Folder to keep the certificates in, for `run --resume`. Default: not kept.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Keep the certificates that --out has already.")] = False,
    launcher: Annotated[Launcher, typer.Option(help="As of `run`.")] = Launcher.bare,
    layers: Annotated[
        bool, typer.Option(help="Compare each layer's input and output too, and say where two models part.")
    ] = False,
    workload: OwnWorkload = None,
    as_json: AsJson = False,
) -> None:
    """Prove that all candidates train the same model; time nothing.

    Each cell runs a few steps from the same weights and samples as the reference; logits, loss, gradients and weights
    are compared. Exit code 1 if a cell is not comparable.
    """
    from stepmark.cli.verbs import parity as verb
    from stepmark.runs.measuring import Choices

    choices = Choices(resume, launcher.value, fresh_process=False, parity_only=True, layers=layers, workload=workload)
    verb.parity(file, out, choices, as_json)
