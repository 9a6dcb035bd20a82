"""`stepmark time-to-accuracy`: how many steps and seconds each cell takes to an accuracy, and where it ends."""

from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from stepmark.analysis.learning import LearningSummary, learning_summary
from stepmark.errors import CannotRun, Interrupted, printable
from stepmark.orchestrate.driver import check_launcher
from stepmark.orchestrate.learning import train
from stepmark.plan.blocks import Launch
from stepmark.plan.learning import learning_blocks
from stepmark.plan.probes import wanted_checks
from stepmark.report.learning import learning_table, sentences
from stepmark.report.rich_tables import print_whole
from stepmark.report.terminal import say
from stepmark.results.certificate import Certificate
from stepmark.results.learning import FILE, LearningRecord, LearningRecords
from stepmark.runs.machine import check_installed
from stepmark.runs.measuring import folder_of, sole_user
from stepmark.runs.planning import Planned, planned
from stepmark.scenario.load import scenario_from_file, scenario_from_object
from stepmark.terms import Launcher


@dataclass(frozen=True)
class Wanted:
    """How to measure, and where to keep it."""

    out: Path | None
    resume: bool
    launcher: Launcher
    workload: str | None = None


def time_to_accuracy(file: Path, wanted: Wanted, as_json: bool) -> None:
    """Train every cell in every block, store each launch, and print what they say.

    Raises:
        CannotRun: the scenario cannot be trained to an accuracy here, or the folder holds other records.
        typer.Exit: 1, if a launch failed.
    """
    check_launcher(wanted.launcher)
    scenario = scenario_from_file(file)
    made = planned(scenario, wanted.workload)
    blocks = learning_blocks(made.plan)
    check_installed(made.plan)
    folder = folder_of(scenario, wanted.out)
    with sole_user(folder):
        records = LearningRecords.empty(made.plan, wanted.launcher, made.workload_file)
        records = records.begun_in(folder, wanted.resume)
        if any(blocks[records.blocks :]):
            records = _measured(made, blocks, records, folder)
    _show(learning_summary(scenario, records), folder, as_json)
    if any(launch.failure is not None for launch in records.launches):
        raise typer.Exit(1)


def _measured(
    made: Planned, blocks: tuple[tuple[Launch, ...], ...], records: LearningRecords, folder: Path
) -> LearningRecords:
    """Make the checks and blocks that are left, and store the records after each."""
    certified = {certificate.cell for certificate in records.certificates}
    checks = tuple(check for check in wanted_checks(made.plan) if check.cell.key not in certified)
    left = blocks[records.blocks :]
    keeper = _Keeper(records, folder, len(checks), sum(map(len, left)))
    where = f"Complete blocks are in {folder / FILE}, if there are any. --resume goes on from there."
    try:
        last_words = f"The launches were cut off. {where}"
        train(made.plan, checks, left, records.launcher, keeper, last_words, made.workload_file)
    except Interrupted as error:
        raise Interrupted(f"The launches ended early: {error}\n{where}") from None
    return keeper.records


class _Keeper:
    """Store what has ended, and print a line on standard error for each certificate and launch."""

    def __init__(self, records: LearningRecords, folder: Path, checks: int, launches: int) -> None:
        self.records, self._folder = records, folder
        self._totals, self._done = {"parity": checks, "launch": launches}, {"parity": 0, "launch": 0}

    def certified(self, certificate: Certificate) -> None:
        self._keep(certificates=(*self.records.certificates, certificate))
        self._say("parity", certificate.cell, certificate.text)

    def ended(self, record: LearningRecord) -> None:
        if record.failure is not None:
            self._say("launch", record.cell, f"failed: {record.failure.cause}")
            return
        last, labels = record.ranks[0].evaluations[-1], record.ranks[0].test_labels
        self._say("launch", record.cell, f"accuracy {last.correct / labels:.3f} after {last.steps} steps")

    def block_ended(self, block: tuple[LearningRecord, ...]) -> None:
        self._keep(launches=(*self.records.launches, *block))

    def _keep(self, **changes: object) -> None:
        self.records = self.records.model_copy(update=changes)
        self.records.save(self._folder)

    def _say(self, what: str, cell: str, text: str) -> None:
        self._done[what] += 1
        typer.echo(f"{what} [{self._done[what]}/{self._totals[what]}] {cell}: {printable(text)}", err=True)


def _show(summary: LearningSummary, folder: Path, as_json: bool) -> None:
    if as_json:
        typer.echo(summary.model_dump_json(indent=2))
        return
    console = Console()
    print_whole(learning_table(summary), console)
    for line in (*sentences(summary), f"record: {folder / FILE}"):
        say(line, console)


def summary_in(folder: Path) -> LearningSummary:
    """Return the summary of the records in this folder, derived anew.

    Raises:
        CannotRun: the folder has no such records, or they are not what was written.
    """
    records = LearningRecords.load(folder)
    if records is None:
        raise CannotRun(f"{folder}: expected {FILE}, found none. `stepmark time-to-accuracy` writes it.")
    return learning_summary(scenario_from_object(records.scenario), records)
