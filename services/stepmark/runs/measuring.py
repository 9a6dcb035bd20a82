"""Begin or resume a scenario's run in a folder, and measure its plan."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from stepmark import __version__
from stepmark.analysis.interference import disturbed_because
from stepmark.analysis.summary import precise_enough
from stepmark.errors import CannotRun, Interrupted, Stopped
from stepmark.orchestrate.driver import Options, Rules, Watcher, check_launcher, measure
from stepmark.orchestrate.folders import locked
from stepmark.plan.blocks import Plan
from stepmark.plan.foreign import WorkloadFile, origin_of
from stepmark.report.rich_tables import shown
from stepmark.results.environment import describe
from stepmark.results.store import FILE, Run, SqliteStore
from stepmark.runs.machine import check_installed
from stepmark.runs.planning import Planned, planned
from stepmark.runs.progress import progress
from stepmark.scenario.model import Scenario
from stepmark.terms import DEFAULT_LAUNCHER, Launcher


@dataclass(frozen=True)
class Choices:
    """How to run.

    `checked_later` leaves it to the caller to check that everything is installed, after the store has been opened.
    `silent` shows no progress.
    """

    resume: bool = False
    launcher: Launcher = DEFAULT_LAUNCHER
    fresh_process: bool = False
    parity_only: bool = False
    checked_later: bool = False
    silent: bool = False
    layers: bool = False
    workload: str | None = None


@dataclass(frozen=True)
class OpenRun:
    """A run's store, and the plan that it is to measure."""

    store: SqliteStore
    plan: Plan
    workload_file: WorkloadFile | None = None


def folder_of(scenario: Scenario, out: Path | None) -> Path:
    """Return the folder of a scenario's run: the given one, or out/NAME."""
    return out if out is not None else Path("out") / scenario.name


@contextmanager
def open_run(scenario: Scenario, folder: Path, choices: Choices) -> Iterator[OpenRun]:
    """Create or resume this scenario's run in this folder, and hold its lock meanwhile."""
    check_launcher(choices.launcher)
    # Where all is checked later, the hub is told of what cannot be loaded.
    made = planned(scenario, choices.workload, refuse=not choices.checked_later)
    with sole_user(folder):
        store = _open_store(folder, made, choices)
        try:
            yield OpenRun(store, made.plan, made.workload_file)
        finally:
            store.close()


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Lock the folder, since two runs must not write into one folder.

    Raises:
        CannotRun: another run is writing there, or the folder cannot be created.
    """
    lock = folder / ".lock"
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(lock))
        except BlockingIOError:
            raise CannotRun(f"{folder}: another run is writing here. Wait for it, or choose another --out.") from None
        except OSError as error:
            raise CannotRun(
                f"{folder}: expected a folder to write results to, found: {error.strerror}. Choose another."
            ) from None
        yield
        lock.unlink(missing_ok=True)


def _open_store(folder: Path, made: Planned, choices: Choices) -> SqliteStore:
    run = _run(made.plan, choices, made.workload_file)
    if not choices.checked_later:
        check_installed(made.plan)
    if not (folder / FILE).exists():
        return SqliteStore.create(folder, run)
    if not choices.resume:
        raise CannotRun(
            f"{folder}: expected an empty folder, found a run's {FILE}. Add --resume, or choose another --out."
        )
    return _resumed(folder, run)


def _resumed(folder: Path, run: Run) -> SqliteStore:
    store = SqliteStore.open_to_go_on(folder)
    try:
        _check_same_run(folder, store.run(), run)
    except CannotRun:
        store.close()
        raise
    return store


def _run(plan: Plan, choices: Choices, file: WorkloadFile | None) -> Run:
    return Run(
        stepmark_version=__version__,
        scenario=plan.scenario.model_dump(mode="json", by_alias=True),
        scenario_digest=plan.scenario.digest(),
        machine=plan.machine,
        launcher=choices.launcher,
        forked=not choices.fresh_process,
        environment=describe(),
        workload_origin=origin_of(plan.scenario.spec.workload.model, file),
        workload_facts=plan.facts,
    )


def _check_same_run(folder: Path, kept: Run, now: Run) -> None:
    """Refuse to mix numbers of different scenarios, machines, ways to launch or versions."""
    if kept.scenario_digest != now.scenario_digest:
        raise CannotRun(
            f"{folder}: expected results of this very scenario ({now.scenario_digest[:16]}), found those of another "
            f"({kept.scenario_digest[:16]}). A changed scenario is a new run: choose another --out."
        )
    if (kept.workload_origin, kept.workload_facts) != (now.workload_origin, now.workload_facts):
        raise CannotRun(
            f"{folder}: expected the model of the first part ({kept.workload_origin or 'of stepmark'}), found "
            f"{now.workload_origin or 'one of stepmark'}. A changed model is a new run: choose another --out."
        )
    for name in ("machine", "launcher", "forked", "stepmark_version"):
        before, after = getattr(kept, name), getattr(now, name)
        if before != after:
            raise CannotRun(
                f"{folder}: expected {name} as in the first part ({before}), found {after}. "
                "Continue as it was begun, or choose another --out."
            )


def measure_plan(opened: OpenRun, folder: Path | None, choices: Choices, watcher: Watcher | None = None) -> None:
    """Measure the plan. `folder` is None if the store is not kept."""
    store, plan = opened.store, opened.plan
    last_words = f"The run was cut off: stepmark was killed, or Ray is gone. {_where_kept(folder)}"
    options = Options(
        choices.launcher,
        choices.fresh_process,
        choices.parity_only,
        choices.layers,
        last_words,
        workload_file=opened.workload_file,
    )
    rules = Rules(lambda: _is_precise(opened), disturbed_because)
    try:
        with progress(choices.silent) as told:
            measure(plan, store, told, options, rules, watcher)
    except (Interrupted, KeyboardInterrupt, Stopped) as error:
        kept = _kept(store, plan, folder)
        if isinstance(error, Interrupted):
            raise Interrupted(f"The run ended early: {error}\n{kept}") from None
        Console(stderr=True).print(shown(kept), highlight=False, soft_wrap=True)
        raise


def _is_precise(opened: OpenRun) -> bool:
    precision = opened.plan.scenario.spec.measurement.relative_precision
    return precise_enough(opened.plan.measurable, opened.store.records(), precision)


def _where_kept(folder: Path | None) -> str:
    if folder is None:
        return "Nothing was kept; with --out, certificates are, and --resume goes on from them."
    return f"What was finished is in {folder / FILE}. --resume goes on from there."


def _kept(store: SqliteStore, plan: Plan, folder: Path | None) -> str:
    if folder is None:
        return _where_kept(folder)
    total = sum(map(len, plan.blocks[: plan.scenario.spec.measurement.launches]))
    first = sum(header.attempt == 0 for header in store.headers())  # Launches made again are not in the plan.
    done = f"{len(store.certified())} certificates and {first} of {total} launches"
    return f"{done} are in {folder / FILE}. --resume goes on from there."
