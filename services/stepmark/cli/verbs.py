"""The verbs that start no process: validate, plan, results and report."""

import json
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from stepmark.analysis.summary import Summary, summarize_run
from stepmark.cli.hub_source import is_in_hub, local_folder
from stepmark.cli.machine import this_machine
from stepmark.cli.publishing import HubChoices
from stepmark.errors import CannotRun, ScenarioErrors, printable
from stepmark.plan.blocks import Plan, make_plan
from stepmark.plan.cells import Cell
from stepmark.plan.estimate import estimate_seconds
from stepmark.plan.probes import wanted_checks
from stepmark.report import html, markdown, terminal
from stepmark.report.rich_tables import shown
from stepmark.results.store import FILE, SqliteStore
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
        errors = [{"path": e.path, "expected": e.expected, "found": e.found, "fix": e.fix} for e in refused.errors]
        typer.echo(json.dumps({"valid": False, "errors": errors, "more_errors": refused.more}, indent=2))
        raise typer.Exit(refused.exit_code) from None
    if as_json:
        typer.echo(json.dumps({"valid": True, "name": scenario.name, "digest": scenario.digest()}, indent=2))
    else:
        typer.echo(f"{file}: valid, scenario {scenario.name}, digest {scenario.digest()[:16]}")


def plan(file: Path, launcher: str, as_json: bool) -> None:
    """Print the cells, the blocks of launches and an estimate of the time."""
    scenario = scenario_from_file(file)
    made = make_plan(scenario, this_machine(scenario.spec.device))
    needed = made.scenario.spec.measurement.launches
    seconds = estimate_seconds(made, needed, launcher, fresh_process=False)
    if as_json:
        document = {
            "scenario": made.scenario.name,
            "digest": made.scenario.digest(),
            "seed": made.scenario.spec.measurement.seed,
            "cells": [{"key": cell.key, **cell.model_dump(mode="json")} for cell in made.cells],
            "blocks": [[launch.id for launch in block] for block in made.blocks],
            "estimated_seconds": round(seconds),
        }
        typer.echo(json.dumps(document, indent=2))
        return
    console = Console()
    console.width = max(console.width, 110)
    console.print(_cell_table(made))
    for cell in made.cells:
        if cell.unsupported is not None:
            console.print(f"unsupported: {shown(cell.key)}, {shown(cell.unsupported)}", style="yellow", soft_wrap=True)
    for index, block in enumerate(made.blocks):
        more = "" if index < needed else " (only if the precision asks for it)"
        console.print(f"block {index}{more}: " + shown(", ".join(launch.cell.key for launch in block)), soft_wrap=True)
    checked = wanted_checks(made)
    if checked:
        console.print(f"parity: {len(checked)} cells are checked first", soft_wrap=True)
    launches = sum(map(len, made.blocks[:needed]))
    console.print(f"{launches} launches in {needed} blocks, order from seed {made.scenario.spec.measurement.seed}")
    console.print(f"about {seconds / 60:.1f} minutes (an estimate: step and compile times are not known yet)")


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


def summary_of(folder: Path, price_per_worker_hour: float | None = None) -> Summary:
    """Return the summary of the run in this folder, derived anew.

    Raises:
        CannotRun: the folder has no results, or they are not what was written.
    """
    store = SqliteStore.open(folder)
    try:
        if store.has_digests:
            return summary_in(store, price_per_worker_hour)
        typer.echo(f"{folder / FILE}: written by an older version, without digests: damage would not be seen", err=True)
        try:
            return summary_in(store, price_per_worker_hour)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # Impossible figures raise these.
            raise CannotRun(f"{folder / FILE}: expected records that agree, found {printable(repr(error))}.") from None
    finally:
        store.close()


def summary_in(store: SqliteStore, price_per_worker_hour: float | None = None) -> Summary:
    """Return the summary of the run in a store that is open and has digests, derived anew.

    Raises:
        CannotRun: the rows are not what was written.
    """
    run = store.run()
    cells = make_plan(run.parsed_scenario, run.machine).cells
    return summarize_run(run, cells, store.rows(), store.certificates(), price_per_worker_hour)


def results(folder: Path, price_per_worker_hour: float | None, as_json: bool, hub: HubChoices) -> None:
    """Print the summary of the run."""
    with local_folder(folder, hub) as there:
        summary = summary_of(there, price_per_worker_hour)
    if as_json:
        typer.echo(summary.model_dump_json(indent=2))
    else:
        terminal.show(summary, Console())


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


def write_reports(folder: Path, summary: Summary) -> list[Path]:
    """Write summary.json, report.md and report.html into this folder, and return their paths."""
    texts = {
        "summary.json": summary.model_dump_json(indent=2) + "\n",
        "report.md": markdown.render(summary),
        "report.html": html.render(summary),
    }
    try:
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotRun(
            f"{folder}: expected to write reports, found: {error.strerror}. Make room, then `stepmark report {folder}`."
        ) from None
    return [folder / name for name in texts]
