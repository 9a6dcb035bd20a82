"""`stepmark run`: checks, measures with progress, writes the results, prints the verdicts."""

import fcntl
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stepmark import __version__
from stepmark.analysis.interference import disturbed_because
from stepmark.analysis.summary import Summary, precise_enough
from stepmark.cli import verbs
from stepmark.cli.following import Follower, following
from stepmark.cli.machine import check_installed, this_machine
from stepmark.cli.publishing import HubChoices
from stepmark.errors import CannotRun, Interrupted, Stopped
from stepmark.orchestrate.driver import Options, Rules, check_launcher, measure
from stepmark.plan.blocks import Plan, make_plan
from stepmark.report import terminal
from stepmark.results.certificate import Certificate
from stepmark.results.environment import describe
from stepmark.results.record import LaunchRecord
from stepmark.results.store import FILE, Run, SqliteStore
from stepmark.scenario.load import scenario_from_file
from stepmark.scenario.model import Scenario


@dataclass(frozen=True)
class Choices:
    """How to run, from the command line."""

    resume: bool
    launcher: Literal["ray", "bare"]
    fresh_process: bool
    parity_only: bool = False
    hub: HubChoices = field(default_factory=HubChoices)
    live_listen: str | None = None


def check_parity(file: Path, out: Path | None, choices: Choices, as_json: bool) -> None:
    """Only the certificates; kept in `out` where one is given, for a later `run --resume`."""
    with tempfile.TemporaryDirectory() as scratch, _stored(file, out or Path(scratch), choices) as store:
        if store.run().parsed_scenario().spec.parity == "skipped":
            raise CannotRun(f"{file}: expected parity: required or reported, found skipped. Nothing to check.")
        _measure(store, out, choices, None)
        found = list(store.certificates().values())
    if not found:
        raise CannotRun(
            f"{file}: expected cells that can be checked, found none: the model has no weights, or no cell can run "
            "here. `stepmark plan` says which."
        )
    if as_json:
        typer.echo(json.dumps([json.loads(certificate.model_dump_json()) for certificate in found], indent=2))
    else:
        terminal.show_certificates(found, Console())
    if not all(certificate.comparable for certificate in found):
        raise typer.Exit(1)


def run(file: Path, out: Path | None, choices: Choices) -> None:
    scenario = scenario_from_file(file)
    folder = out if out is not None else Path("out") / scenario.name
    with (
        _stored(file, folder, choices) as store,
        following(store, folder, choices.hub, choices.live_listen) as follower,
    ):
        if choices.hub.attempt is not None:  # so late, since the hub must hear of it
            _check_installed(store.run())
        _measure(store, folder, choices, follower)
        summary = verbs.summary_of(folder)
        if follower is not None:
            follower.measured(summary.failed)
        _show(folder, summary)
    if summary.failed:
        raise typer.Exit(1)


@contextmanager
def _stored(file: Path, folder: Path, choices: Choices) -> Iterator[SqliteStore]:
    """The store of this scenario's run in this folder, for us alone."""
    check_launcher(choices.launcher)
    scenario = scenario_from_file(file)
    with sole_user(folder):
        store = _open_store(folder, scenario, choices)
        try:
            yield store
        finally:
            store.close()


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Two runs must not write into one folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise CannotRun(
            f"{folder}: expected a folder to write results to, found: {error.strerror}. Choose another."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotRun(f"{folder}: another run is writing here. Wait for it, or choose another --out.") from None
        yield
        (folder / ".lock").unlink(missing_ok=True)


def _open_store(folder: Path, scenario: Scenario, choices: Choices) -> SqliteStore:
    run = Run(
        stepmark_version=__version__,
        scenario=scenario.model_dump(mode="json", by_alias=True),
        scenario_digest=scenario.digest(),
        machine=this_machine(),
        launcher=choices.launcher,
        forked=not choices.fresh_process,
        environment=describe(),
    )
    if choices.hub.attempt is None:
        _check_installed(run)
    if not (folder / FILE).exists():
        return SqliteStore.create(folder, run)
    if not choices.resume:
        raise CannotRun(
            f"{folder}: expected an empty folder, found a run's {FILE}. Add --resume, or choose another --out."
        )
    store = SqliteStore.open(folder)
    try:
        _check_same_run(folder, store.run(), run)
    except CannotRun:
        store.close()
        raise
    return store


def _check_installed(run: Run) -> None:
    check_installed(make_plan(run.parsed_scenario(), run.machine))


def _check_same_run(folder: Path, kept: Run, now: Run) -> None:
    """Numbers of unlike scenarios, machines or ways to launch do not mix."""
    if kept.scenario_digest != now.scenario_digest:
        raise CannotRun(
            f"{folder}: expected results of this very scenario ({now.scenario_digest[:16]}), found those of another "
            f"({kept.scenario_digest[:16]}). A changed scenario is a new run: choose another --out."
        )
    for name in ("machine", "launcher", "forked", "stepmark_version"):
        before, after = getattr(kept, name), getattr(now, name)
        if before != after:
            raise CannotRun(
                f"{folder}: expected {name} as in the first part ({before}), found {after}. "
                "Continue as it was begun, or choose another --out."
            )


def _measure(store: SqliteStore, folder: Path | None, choices: Choices, follower: Follower | None) -> None:
    """Without a folder, the store is not kept."""
    run = store.run()
    plan = make_plan(run.parsed_scenario(), run.machine)
    options = Options(choices.launcher, choices.fresh_process, choices.parity_only)

    def enough() -> bool:
        return precise_enough(plan.measurable, store.records(), plan.scenario.spec.measurement.relative_precision)

    try:
        with _progress(plan) as progress:
            measure(plan, store, progress, options, Rules(enough, disturbed_because), follower)
    except (Interrupted, KeyboardInterrupt, Stopped) as error:
        kept = _kept(store, plan, folder)
        if isinstance(error, Interrupted):
            raise Interrupted(f"The run ended early: {error}\n{kept}") from None
        Console(stderr=True).print(escape(kept), highlight=False, soft_wrap=True)
        raise


def _kept(store: SqliteStore, plan: Plan, folder: Path | None) -> str:
    if folder is None:
        return "Nothing was kept; with --out, certificates are, and --resume goes on from them."
    total = sum(map(len, plan.blocks[: plan.scenario.spec.measurement.launches]))
    first = sum(header.attempt == 0 for header in store.headers())  # those made again are beside the plan
    done = f"{len(store.certified())} certificates and {first} of {total} launches"
    return f"{done} are in {folder / FILE}. --resume goes on from there."


class _Bar:
    """Progress on a terminal: a bar that knows the current block."""

    def __init__(self, bar: Progress) -> None:
        self._bar, self._task = bar, bar.add_task("starting", total=None)

    def checked(self, certificate: Certificate) -> None:
        self._bar.update(self._task, description=escape(f"parity {certificate.cell}: {certificate.badge}"))

    def started(self, launches: int) -> None:
        self._bar.update(self._task, total=launches, description="first zygotes")

    def added(self, launches: int) -> None:
        total = int(self._bar.tasks[0].total or 0) + launches
        self._bar.update(self._task, total=total, description=f"{launches} again, since others disturbed them")

    def finished(self, record: LaunchRecord) -> None:
        done = int(self._bar.tasks[0].completed) + 1
        total = max(done, int(self._bar.tasks[0].total or 0))  # further blocks may have been asked for
        disturbed = "disturbed" if disturbed_because(record.header) is not None else "done"
        state = "failed" if record.header.failure else disturbed
        self._bar.update(
            self._task, completed=done, total=total, description=escape(f"{record.header.launch_id} {state}")
        )


class _Lines:
    """Progress where there is no terminal: a line for each launch."""

    def __init__(self) -> None:
        self._done = self._total = 0

    def checked(self, certificate: Certificate) -> None:
        print(f"parity {certificate.cell}: {certificate.text}", file=sys.stderr, flush=True)

    def started(self, launches: int) -> None:
        self._total = launches

    def added(self, launches: int) -> None:
        self._total += launches
        print(f"{launches} launches are made again, since others disturbed them", file=sys.stderr, flush=True)

    def finished(self, record: LaunchRecord) -> None:
        self._done += 1
        failure = record.header.failure
        disturbed = disturbed_because(record.header)
        state = f"{record.header.wall_seconds:.1f} s" if disturbed is None else f"disturbed: {disturbed}"
        state = f"failed: {failure.cause}" if failure else state
        print(
            f"[{self._done}/{max(self._done, self._total)}] {record.header.launch_id}: {state}",
            file=sys.stderr,
            flush=True,
        )


@contextmanager
def _progress(plan: Plan) -> Iterator[_Bar | _Lines]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    # Redrawn once a second: the driver shares the machine with what it measures.
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, refresh_per_second=1, transient=True) as bar:
        yield _Bar(bar)


def _show(folder: Path, summary: Summary) -> None:
    written = verbs.write_reports(folder, summary)
    terminal.show(summary, Console())
    typer.echo("written: " + ", ".join(str(path) for path in [folder / FILE, *written]))
