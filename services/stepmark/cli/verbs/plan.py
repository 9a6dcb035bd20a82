"""`stepmark plan`: show what a run of a scenario would measure here, and how long that takes."""

import json
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from stepmark.plan.blocks import Plan
from stepmark.plan.cells import Cell
from stepmark.plan.estimate import estimate_seconds
from stepmark.plan.probes import wanted_checks
from stepmark.report.rich_tables import shown
from stepmark.runs.planning import planned
from stepmark.scenario.load import scenario_from_file


def plan(file: Path, launcher: str, workload: str | None, as_json: bool) -> None:
    """Print the cells, the blocks of launches and an estimate of the time."""
    scenario = scenario_from_file(file)
    made = planned(scenario, workload).plan
    seconds = estimate_seconds(made, made.scenario.spec.measurement.launches, launcher, fresh_process=False)
    if as_json:
        typer.echo(json.dumps(_document(made, seconds), indent=2))
    else:
        _print(made, seconds)


def _document(made: Plan, seconds: float) -> dict[str, object]:
    return {
        "scenario": made.scenario.name,
        "digest": made.scenario.digest(),
        "seed": made.scenario.spec.measurement.seed,
        "cells": [{"key": cell.key, **cell.model_dump(mode="json")} for cell in made.cells],
        "blocks": [[launch.id for launch in block] for block in made.blocks],
        "estimated_seconds": round(seconds),
    }


def _print(made: Plan, seconds: float) -> None:
    needed, seed = made.scenario.spec.measurement.launches, made.scenario.spec.measurement.seed
    console = Console()
    console.width = max(console.width, 110)
    console.print(_cell_table(made))
    _print_unsupported(console, made)
    for index, block in enumerate(made.blocks):
        more = "" if index < needed else " (only if the precision asks for it)"
        console.print(f"block {index}{more}: " + shown(", ".join(launch.cell.key for launch in block)), soft_wrap=True)
    checked = wanted_checks(made)
    if checked:
        console.print(f"parity: {len(checked)} cells are checked first", soft_wrap=True)
    launches = sum(map(len, made.blocks[:needed]))
    console.print(f"{launches} launches in {needed} blocks, order from seed {seed}")
    console.print(f"about {seconds / 60:.1f} minutes (an estimate: step and compile times are not known yet)")


def _print_unsupported(console: Console, made: Plan) -> None:
    for cell in made.cells:
        if cell.unsupported is not None:
            console.print(f"unsupported: {shown(cell.key)}, {shown(cell.unsupported)}", style="yellow", soft_wrap=True)


def _cell_table(made: Plan) -> Table:
    table = Table(title=shown(f"{made.scenario.name}: {len(made.cells)} cells"), title_justify="left", box=SIMPLE_HEAD)
    for heading in ("cell", "engine and strategy", "workers", "batch per worker"):
        table.add_column(heading, no_wrap=True)
    for cell in made.cells:
        table.add_row(*(shown(text) for text in _cell_row(cell)), style="dim" if cell.unsupported else "")
    return table


def _cell_row(cell: Cell) -> list[str]:
    default = " (default)" if "default" in cell.levels else ""
    strategy = cell.strategy if cell.variant is None else f"{cell.strategy} ({cell.variant})"
    options = f" [{', '.join(cell.options)}]" if cell.options else ""
    name = f"{cell.candidate} {cell.execution}{default} {cell.precision}{options}"
    return [name, f"{cell.engine} {strategy}", str(cell.workers), str(cell.batch_per_worker)]
