"""`stepmark largest-batch`: find the largest batch with which each cell trains."""

import json
from pathlib import Path

import typer
from rich.console import Console

from stepmark.errors import CannotRun
from stepmark.orchestrate.driver import check_launcher
from stepmark.orchestrate.largest import LargestBatch, largest_batches
from stepmark.plan.blocks import Plan
from stepmark.report.rich_tables import print_whole, shown, titled
from stepmark.report.words import UNKNOWN
from stepmark.runs.machine import check_installed
from stepmark.runs.planning import planned
from stepmark.scenario.load import scenario_from_file


def largest_batch(file: Path, up_to: int, launcher: str, workload: str | None, as_json: bool) -> None:
    """Print the largest batch of every cell, with its peak memory.

    Raises:
        CannotRun: no cell can be measured, or nothing says what fits.
        typer.Exit: 1, if a launch failed for other reasons than memory.
    """
    check_launcher(launcher)
    made = planned(scenario_from_file(file), workload)
    _check(file, made.plan)
    check_installed(made.plan)
    found = largest_batches(made.plan, launcher, up_to, _tell, made.workload_file)
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in found], indent=2))
    else:
        _show(found, up_to)
    if any(one.problem and one.launches for one in found):
        raise typer.Exit(1)


def _check(file: Path, plan: Plan) -> None:
    spec = plan.scenario.spec
    if spec.scale.batches_per_worker is not None or spec.scale.mode == "strong":
        raise CannotRun(f"{file}: expected scale.batchPerWorker, where the search begins, found another batch. Set it.")
    if plan.machine.device == "cpu" and spec.measurement.memory_limit_bytes is None:
        raise CannotRun(
            f"{file}: expected measurement.memoryLimitBytes, found none. On CPU cores it says what fits; without "
            "it the search would go on until the system kills processes. Set it."
        )


def _tell(cell: str, batch: int, trains: bool) -> None:
    typer.echo(f"{cell}: {batch} {'fits' if trains else 'does not fit'}", err=True)


def _show(found: tuple[LargestBatch, ...], up_to: int) -> None:
    table = titled(f"largest batch per worker, up to {up_to}")
    for heading in ("cell", "largest batch", "peak MiB", "launches", "the smallest that does not fit said"):
        table.add_column(heading)
    for one in found:
        peak = UNKNOWN if one.peak_memory_bytes is None else f"{one.peak_memory_bytes / 2**20:,.0f}"
        table.add_row(*map(shown, (one.cell, one.text, peak, str(one.launches), one.cause)))
    print_whole(table, Console())
