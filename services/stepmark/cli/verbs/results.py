"""`stepmark results`: print the result of a run again."""

from pathlib import Path

import typer
from rich.console import Console

from stepmark.cli.hub_source import local_folder
from stepmark.cli.options import HubChoices
from stepmark.report import terminal
from stepmark.runs.summaries import summary_of


def results(folder: Path, price_per_worker_hour: float | None, as_json: bool, hub: HubChoices) -> None:
    """Print the summary of the run."""
    with local_folder(folder, hub) as there:
        summary = summary_of(there, price_per_worker_hour)
    if as_json:
        typer.echo(summary.model_dump_json(indent=2))
    else:
        terminal.show(summary, Console())
