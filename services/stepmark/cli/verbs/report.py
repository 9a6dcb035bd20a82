"""`stepmark report`: write the reports of a run again."""

from pathlib import Path

import typer

from stepmark.cli.hub_source import is_in_hub, local_folder
from stepmark.cli.options import HubChoices
from stepmark.errors import CannotRun
from stepmark.runs.summaries import summary_of, write_reports


def report(folder: Path, price_per_worker_hour: float | None, hub: HubChoices) -> None:
    """Write the reports of the run: into its folder, or into out/RUN_ID for a run in a hub."""
    with local_folder(folder, hub) as there:
        summary = summary_of(there, price_per_worker_hour)
    for path in write_reports(_made(Path("out") / folder) if is_in_hub(folder, hub) else folder, summary):
        typer.echo(str(path))


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRun(f"{folder}: expected a folder to write reports to, found: {error.strerror}.") from None
    return folder
