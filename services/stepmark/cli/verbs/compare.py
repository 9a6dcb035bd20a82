"""`stepmark compare`: compare two folders and answer by an exit code, text, JSON or JUnit XML."""

import json
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from stepmark.analysis.alike import Side, facts_of
from stepmark.analysis.gate import Choices, Unlike, gate
from stepmark.analysis.gate_report import GateReport
from stepmark.cli.hub_source import earlier_runs, local_folder
from stepmark.cli.options import HubChoices
from stepmark.errors import CannotRun
from stepmark.report import gate as terminal
from stepmark.report import junit
from stepmark.results.store import FILE, SqliteStore
from stepmark.runs.summaries import summary_of


@dataclass(frozen=True)
class Asked:
    """What to compare.

    `history` names earlier runs, or folders of such runs. If it is empty and a hub is given, the hub's earlier runs of
    the new run's scenario are used.
    """

    old: Path
    new: Path
    history: tuple[Path, ...] = ()


def compare(asked: Asked, choices: Choices, as_json: bool, junit_file: Path | None, hub: HubChoices) -> None:
    """Print the comparison.

    Raises:
        typer.Exit: 1, if a cell became slower or no longer runs.
        Unlike, CannotRun: `gate` refuses the comparison, a folder has no results, or the file cannot be written.
        HubError: the hub does not deliver a run.
    """
    old, new = _side(asked.old, hub), _side(asked.new, hub)
    try:
        report = gate(old, new, choices, [_side(one, hub) for one in _history(asked, new, hub)])
    except Unlike as unlike:
        if as_json:
            typer.echo(json.dumps(_refusal(unlike), indent=2))
        raise
    if junit_file is not None:
        _write(junit_file, junit.render(report))
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        terminal.show(report, Console())
    if not report.passed:
        raise typer.Exit(1)


def _refusal(unlike: Unlike) -> dict[str, object]:
    return {
        "schema_version": GateReport.model_fields["schema_version"].default,
        "refused": [one.model_dump() for one in unlike.unlike],
        "error": str(unlike),
    }


def _history(asked: Asked, new: Side, hub: HubChoices) -> tuple[Path, ...]:
    if asked.history:
        return tuple(run for given in asked.history for run in _runs_in(given))
    return earlier_runs(new.summary.scenario, (str(asked.old), str(asked.new)), hub)


def _runs_in(given: Path) -> list[Path]:
    """Return the runs of a folder of runs, else the folder itself."""
    if (given / FILE).exists() or not given.is_dir():
        return [given]
    return sorted(file.parent for file in given.glob(f"*/{FILE}")) or [given]


def _side(folder: Path, hub: HubChoices) -> Side:
    """Load the run in this folder, or the run with this identifier in the hub."""
    with local_folder(folder, hub) as there:
        summary = summary_of(there)
        measured = {cell.key for cell in summary.cells if cell.step_seconds is not None}
        store = SqliteStore.open(there)
        try:
            headers = (record.header for record in store.records())
            return Side(str(folder), store.run(), summary, facts_of(headers, measured))
        finally:
            store.close()


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotRun(
            f"{file}: expected to write JUnit XML there, found: {error.strerror}. Give another file with --junit."
        ) from None
