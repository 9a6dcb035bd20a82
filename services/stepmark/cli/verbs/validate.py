"""`stepmark validate`: check a scenario file."""

import json
from pathlib import Path

import typer

from stepmark import catalog
from stepmark.errors import ScenarioErrors
from stepmark.scenario.load import scenario_from_file


def validate(file: Path, as_json: bool) -> None:
    """Check a scenario file and print the outcome.

    Raises:
        ScenarioErrors: the file is refused, and `as_json` is False.
        typer.Exit: 2, if the file is refused and `as_json` is True.
    """
    try:
        scenario = scenario_from_file(file)
    except ScenarioErrors as refused:
        if not as_json:
            raise
        typer.echo(json.dumps(_document(refused), indent=2))
        raise typer.Exit(refused.exit_code) from None
    if as_json:
        typer.echo(json.dumps({"valid": True, "name": scenario.name, "digest": scenario.digest()}, indent=2))
    else:
        typer.echo(f"{file}: valid, scenario {scenario.name}, digest {scenario.digest()[:16]}")
        model = scenario.spec.workload.model
        if catalog.is_foreign(model):
            typer.echo(
                f"The params of {model} are not checked here, since its code is not loaded: `stepmark plan` does."
            )


def _document(refused: ScenarioErrors) -> dict[str, object]:
    errors = [{"path": e.path, "expected": e.expected, "found": e.found, "fix": e.fix} for e in refused.errors]
    return {"valid": False, "errors": errors, "more_errors": refused.more}
