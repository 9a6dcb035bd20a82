"""`stepmark first-step`: how long each cell takes to its first finished step, and what is written for a model."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import typer
from pydantic import JsonValue
from rich.console import Console

from stepmark import catalog
from stepmark.analysis.starts import start_summary
from stepmark.analysis.written import PARTS, Written, written
from stepmark.errors import CannotRun, Interrupted, printable
from stepmark.orchestrate.driver import check_launcher
from stepmark.orchestrate.starts import made_starts
from stepmark.plan.blocks import Launch, Plan
from stepmark.plan.starts import Edit, start_blocks, unrecorded_starts, usual_edit
from stepmark.report.rich_tables import print_whole
from stepmark.report.starts import sentences, start_tables, written_table
from stepmark.report.terminal import say
from stepmark.results.starts import FILE, StartRecord, Starts
from stepmark.runs.machine import check_installed
from stepmark.runs.measuring import folder_of, sole_user
from stepmark.runs.planning import Planned, planned
from stepmark.scenario.load import scenario_from_file
from stepmark.terms import Launcher

_WORKLOADS = "stepmark.workloads"


@dataclass(frozen=True)
class Wanted:
    """What to measure, and how. `edit` is NAME=VALUE, or None for the usual one of the model."""

    blocks: int
    edit: str | None
    out: Path | None
    resume: bool
    launcher: Launcher
    workload: str | None = None


def first_step(file: Path, wanted: Wanted, as_json: bool) -> None:
    """Make the starts of every cell, store them, and print what they say.

    Raises:
        CannotRun: the starts cannot be made, or the folder holds others.
        ScenarioError: the edit is refused.
        typer.Exit: 1, if a start failed.
    """
    check_launcher(wanted.launcher)
    scenario = scenario_from_file(file)
    made = planned(scenario, wanted.workload)
    plan = made.plan
    edit = _edit(wanted.edit) if wanted.edit is not None else usual_edit(scenario)
    blocks = start_blocks(plan, edit, wanted.blocks)
    _check_trains(plan)
    check_installed(plan)
    folder = folder_of(scenario, wanted.out)
    with sole_user(folder):
        empty = Starts.empty(plan, wanted.launcher, made.workload_file, edit=None if edit is None else dict(edit))
        starts = empty.begun_in(folder, wanted.resume)
        if any(blocks[starts.blocks :]):
            starts = _measured(made, blocks, starts, folder)
    _show(plan, starts, folder, as_json)
    if any(start.failure is not None for start in starts.starts):
        raise typer.Exit(1)


def _edit(text: str) -> Edit:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise typer.BadParameter(f"--edit: expected NAME=VALUE, found {printable(text)!r}. Name a parameter.")
    try:
        found: JsonValue = json.loads(value)
    except ValueError:
        found = value
    return {name: found}


def _check_trains(plan: Plan) -> None:
    model = plan.scenario.spec.workload.model
    if not catalog.is_foreign(model) and catalog.load_workload(model).engine_class != "Engine":
        raise CannotRun(f"spec.workload.model: expected a model that is trained, found {model}. Choose another.")


def _measured(made: Planned, blocks: tuple[tuple[Launch, ...], ...], starts: Starts, folder: Path) -> Starts:
    """Make the blocks that are left, and store the starts after each."""
    left, unrecorded = blocks[starts.blocks :], unrecorded_starts(made.plan)
    tell = _Teller(len(unrecorded) + sum(map(len, left)))
    where = f"Complete blocks are in {folder / FILE}, if there are any. --resume goes on from there."
    last_words = f"The starts were cut off. {where}"
    following = made_starts(made.plan, unrecorded, left, starts.launcher, tell, last_words, made.workload_file)
    try:
        with closing(following):
            for block in following:
                starts = starts.with_block(block)
                starts.save(folder)
    except Interrupted as error:
        raise Interrupted(f"The starts ended early: {error}\n{where}") from None
    return starts


class _Teller:
    """Print one line on standard error for each start that has ended."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0

    def __call__(self, launch: Launch, record: StartRecord) -> None:
        self._done += 1
        slowest = record.slowest
        said = f"{slowest.script_seconds:.2f} s" if slowest is not None else "failed"
        if record.failure is not None:
            said = f"failed: {record.failure.cause}"
        note = " (not recorded)" if launch.block < 0 else ""
        typer.echo(f"[{self._done}/{self._total}] {record.cell} {record.kind}: {printable(said)}{note}", err=True)


def _show(plan: Plan, starts: Starts, folder: Path, as_json: bool) -> None:
    summary = start_summary(plan.scenario, starts)
    unsupported = {cell.key: cell.unsupported for cell in plan.cells if cell.unsupported is not None}
    if as_json:
        facts = {"scenario": plan.scenario.name, "edit": starts.edit, "blocks": starts.blocks}
        found = {**facts, **summary.model_dump(mode="json"), "unsupported": unsupported, "file": str(folder / FILE)}
        typer.echo(json.dumps(found, indent=2))
        return
    console = Console()
    for table in start_tables(summary):
        print_whole(table, console)
    edit = ", ".join(f"{name}={json.dumps(value)}" for name, value in (starts.edit or {}).items())
    said = [f"blocks: {starts.blocks}", *sentences(summary)]
    said += [f"{key}: unsupported: {why}" for key, why in unsupported.items()]
    said += [f"edited: {edit}" if edit else "edited: no start, since no --edit was named", f"record: {folder / FILE}"]
    for line in said:
        say(line, console)


def show_code(file: Path | None, as_json: bool) -> None:
    """Print what is written for the scenario's model, or for every model of stepmark's own, without running it.

    Raises:
        CannotRun: the scenario's model is of another package.
    """
    models = list(catalog.workload_names())
    if file is not None:
        models = [scenario_from_file(file).spec.workload.model]
        if catalog.is_foreign(models[0]):
            raise CannotRun(f"{file}: expected a model of stepmark's own, found {models[0]}. Name another scenario.")
    counts = list(_counts(models))
    if as_json:
        typer.echo(json.dumps([count.model_dump(mode="json") for count in counts], indent=2))
    else:
        print_whole(written_table(counts), Console())


def _counts(models: list[str]) -> Iterator[Written]:
    """Yield the counts of the models that are written in more than one framework."""
    texts = (path for path in files(_WORKLOADS).iterdir() if path.name.endswith(".py"))
    sources = {f"{_WORKLOADS}.{path.name.removesuffix('.py')}": path.read_text(encoding="utf-8") for path in texts}
    for model in models:
        workload = catalog.load_workload(model)
        if all(hasattr(workload, method) for method in PARTS.values()):
            yield from written(model, type(workload).__module__, sources)
