"""`stepmark forecast`: predict step times at worker counts that a run did not measure."""

from pathlib import Path

import typer
from rich.console import Console

from stepmark.analysis.forecasts import forecasts
from stepmark.cli.hub_source import local_folder
from stepmark.cli.options import HubChoices
from stepmark.report import forecast as terminal
from stepmark.runs.summaries import summary_of

_MOST_WORKERS, _MOST_TARGETS = 1_000_000, 64


def forecast(folder: Path, workers: str, workers_per_node: int | None, as_json: bool, hub: HubChoices) -> None:
    """Print the forecasts.

    Raises:
        typer.BadParameter: `workers` is no list of worker counts, or one of them is below what was measured.
        CannotRun: the folder has no results, or nothing was measured.
    """
    targets = targets_of(workers)
    with local_folder(folder, hub) as there:
        summary = summary_of(there)
    try:
        report = forecasts(summary, targets, workers_per_node)
    except ValueError as error:
        raise refused(str(error), workers) from None
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        terminal.show(report, Console())


def targets_of(text: str) -> tuple[int, ...]:
    """Parse worker counts from a list such as "8,16,64", each once, in the given order.

    Raises:
        typer.BadParameter: the list is malformed, too long, or has a count out of range.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) <= 9 for part in parts):
        raise refused("whole numbers between commas, such as 8,16,64", text)
    found = tuple(dict.fromkeys(int(part) for part in parts))
    if not all(1 <= count <= _MOST_WORKERS for count in found) or len(found) > _MOST_TARGETS:
        raise refused(f"at most {_MOST_TARGETS} worker counts, each from 1 to {_MOST_WORKERS}", text)
    return found


def refused(expected: str, found: str) -> typer.BadParameter:
    """Return the error that refuses the value of --workers."""
    shown = found if len(found) <= 60 else f"{found[:60]}..."
    return typer.BadParameter(f"expected {expected}, found {shown!r}. Correct --workers.", param_hint="--workers")
