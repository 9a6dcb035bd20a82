"""`stepmark compare`: two folders in, one answer out, as an exit code, text, JSON or JUnit XML."""

import json
from collections.abc import Iterable
from pathlib import Path

import typer
from rich.console import Console

from stepmark.analysis.alike import Side, rank_facts
from stepmark.analysis.gate import Choices, Unlike, gate
from stepmark.cli.verbs import summary_of
from stepmark.errors import CannotRun
from stepmark.report import gate as terminal
from stepmark.report import junit
from stepmark.results.record import LaunchRecord
from stepmark.results.store import SqliteStore


def compare(old: Path, new: Path, choices: Choices, as_json: bool, junit_file: Path | None) -> None:
    """Print the comparison.

    Raises:
        typer.Exit: 1, if a cell became slower or no longer runs.
        Unlike, CannotRun: as of `gate`; a folder has no results; the file cannot be written.
    """
    sides = (_side(old), _side(new))
    try:
        report = gate(*sides, choices)
    except Unlike as unlike:
        if as_json:
            refusal = {
                "schema_version": 1,
                "refused": [one.model_dump() for one in unlike.unlike],
                "error": str(unlike),
            }
            typer.echo(json.dumps(refusal, indent=2))
        raise
    if junit_file is not None:
        _write(junit_file, junit.render(report))
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        terminal.show(report, Console())
    if not report.passed:
        raise typer.Exit(1)


def _side(folder: Path) -> Side:
    """The run in this folder."""
    summary = summary_of(folder)
    measured = {cell.key for cell in summary.cells if cell.step_seconds is not None}
    store = SqliteStore.open(folder)
    try:
        return Side(str(folder), store.run(), summary, _facts(store.records(), measured))
    finally:
        store.close()


def _facts(records: Iterable[LaunchRecord], measured: set[str]) -> dict[str, dict[str, str]]:
    """Of each measured cell's first good launch; the first block has them nearly always, and the rest stays unread."""
    facts: dict[str, dict[str, str]] = {}
    for record in records:
        if record.ok and record.header.cell.key in measured:
            facts.setdefault(record.header.cell.key, rank_facts(record.header))
        if len(facts) == len(measured):
            break
    return facts


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotRun(
            f"{file}: expected to write JUnit XML there, found: {error.strerror}. Give another file with --junit."
        ) from None
