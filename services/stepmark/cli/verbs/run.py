"""`stepmark run`: check, measure with progress, write the results, and print the verdicts."""

from pathlib import Path

import typer
from rich.console import Console

from stepmark.analysis.summary import Summary
from stepmark.cli.following import following
from stepmark.cli.options import HubChoices
from stepmark.report import terminal
from stepmark.results.store import FILE
from stepmark.runs.machine import check_installed
from stepmark.runs.measuring import Choices, folder_of, measure_plan, open_run
from stepmark.runs.summaries import summary_in, write_reports
from stepmark.scenario.load import scenario_from_file


def run(file: Path, out: Path | None, choices: Choices, hub: HubChoices, live_listen: str | None) -> None:
    """Measure a scenario into its folder and print the verdicts.

    Raises:
        typer.Exit: 1, if something that was to be measured failed.
    """
    scenario = scenario_from_file(file)
    folder = folder_of(scenario, out)
    with (
        open_run(scenario, folder, choices) as opened,
        following(opened.store, scenario.name, folder, hub, live_listen) as follower,
    ):
        if choices.checked_later:
            check_installed(opened.plan)
        measure_plan(opened, folder, choices, follower)
        summary = summary_in(opened.store)
        if follower is not None:
            follower.measured(summary.failed)
        _show(folder, summary)
    if summary.failed:
        raise typer.Exit(1)


def _show(folder: Path, summary: Summary) -> None:
    written = write_reports(folder, summary)
    terminal.show(summary, Console())
    typer.echo(f"Written to {folder}: " + ", ".join(path.name for path in [folder / FILE, *written]) + ".")
