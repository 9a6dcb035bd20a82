"""`stepmark parity`: prove that the candidates of a scenario train the same model."""

import json
import tempfile
from pathlib import Path

import typer
from rich.console import Console

from stepmark.errors import CannotRun
from stepmark.report import terminal
from stepmark.results.certificate import Certificate
from stepmark.runs.measuring import Choices, measure_plan, open_run
from stepmark.scenario.load import scenario_from_file


def parity(file: Path, out: Path | None, choices: Choices, as_json: bool) -> None:
    """Make only the certificates, and keep them in `out`, if it is given, for a later `run --resume`.

    Raises:
        CannotRun: parity is skipped, or no cell can be checked.
        typer.Exit: 1, if a cell is not comparable.
    """
    scenario = scenario_from_file(file)
    if scenario.spec.parity == "skipped":
        raise CannotRun(f"{file}: expected parity: required or reported, found skipped. Nothing to check.")
    with tempfile.TemporaryDirectory() as scratch, open_run(scenario, out or Path(scratch), choices) as opened:
        measure_plan(opened, out, choices)
        found = list(opened.store.certificates().values())
    if not found:
        raise CannotRun(
            f"{file}: expected cells that can be checked, found none: the model has no weights, or no cell can run "
            "here. `stepmark plan` says which."
        )
    _show(found, as_json)
    if not all(certificate.comparable for certificate in found):
        raise typer.Exit(1)


def _show(found: list[Certificate], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([json.loads(certificate.model_dump_json()) for certificate in found], indent=2))
    else:
        terminal.show_certificates(found, Console())
