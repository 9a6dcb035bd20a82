"""Measure a plan: offer blocks to a session, join and store the ranks' outcomes, and decide when to stop."""

import importlib.util
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from stepmark.errors import CannotRun
from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate.bare import BareSession
from stepmark.orchestrate.checks import certify
from stepmark.orchestrate.folders import run_folders
from stepmark.orchestrate.guard import guarded
from stepmark.orchestrate.rank import Settings
from stepmark.orchestrate.ray_train import RaySession
from stepmark.orchestrate.remaining import Disturbed, Remaining
from stepmark.orchestrate.session import Session, join_outcomes, root_cause
from stepmark.orchestrate.switchboard import Arrival
from stepmark.plan.blocks import Launch, Plan
from stepmark.plan.cells import Cell
from stepmark.plan.foreign import WorkloadFile
from stepmark.plan.probes import timed_references, wanted_checks, with_layers
from stepmark.plan.warm import warm_launches
from stepmark.results.certificate import Certificate
from stepmark.results.record import LaunchHeader, LaunchRecord

SESSIONS: dict[str, type[RaySession] | type[BareSession]] = {"ray": RaySession, "bare": BareSession}

_TAKE_SECONDS = 1.0


class Sink(Protocol):
    """Store finished launches and certificates."""

    def headers(self) -> Iterator[LaunchHeader]: ...
    def append(self, record: LaunchRecord) -> None: ...
    def certified(self) -> frozenset[str]: ...
    def certify(self, certificate: Certificate) -> None: ...


class Progress(Protocol):
    """Report to a person how far the run is. It is called between launches, never inside one."""

    def starting(self, launcher: str) -> None: ...
    def warming(self, launches: int) -> None: ...
    def warmed(self, launch: Launch, seconds: float, problem: str | None) -> None: ...
    def checking(self, launches: int) -> None: ...
    def check_ended(self, launch: Launch) -> None: ...
    def checked(self, certificate: Certificate) -> None: ...
    def started(self, launches: int) -> None: ...
    def added(self, launches: int) -> None: ...
    def finished(self, record: LaunchRecord) -> None: ...


class Watcher(Protocol):
    """Follow a run more closely. Without a watcher, running launches report no progress."""

    def planned(self, launches: int) -> None:
        """Report how many launches are to be run. More may be added."""

    def added(self, launches: int) -> None:
        """Report how many launches are made again.

        They, or launches that they are compared with, were disturbed.
        """

    def told(self, launch: Launch, steps: int, seconds: float) -> None:
        """Report that this launch is running: its rank 0 made `steps` steps in `seconds` since the last call."""

    def finished(self, record: LaunchRecord) -> None:
        """Report that this record is stored."""

    def go_on(self) -> None:
        """Decide whether the run goes on. It is called about every second.

        Raises:
            Interrupted: the run must end.
        """


@dataclass(frozen=True)
class Options:
    """Say how to run, as opposed to what to measure."""

    launcher: str = "ray"
    fresh_process: bool = False
    parity_only: bool = False
    layers: bool = False
    last_words: str = "The run was cut off."
    """The guard prints this text where this process is ended from outside."""
    workload_file: WorkloadFile | None = None


@dataclass(frozen=True)
class Rules:
    """Decide on further launches.

    `precise_enough` says whether the cells are measured precisely enough; it is asked from the last required block on.
    `disturbed` says whether others disturbed a launch.
    """

    precise_enough: Callable[[], bool]
    disturbed: Disturbed


def measure(
    plan: Plan, sink: Sink, progress: Progress, options: Options, rules: Rules, watcher: Watcher | None = None
) -> None:
    """Run the checks and launches that the sink does not have yet.

    Raises:
        Interrupted: the session broke, or the watcher ended the run. What was finished is in the sink.
        CannotRun: the session could not be started.
    """
    work = _Work(plan, () if options.parity_only else plan.blocks, sink, rules)
    certified = sink.certified()
    wanted = with_layers(wanted_checks(plan)) if options.layers else wanted_checks(plan)
    unchecked = tuple(check for check in wanted if check.cell.key not in certified)
    if not unchecked and work.enough_before(0):
        return
    settings = Settings(
        secrets.token_hex(8),
        plan.scenario,
        options.fresh_process,
        plan.machine.device,
        tells=watcher is not None,
        workload_file=options.workload_file,
    )
    guard = guarded(run_folders(settings.run_id), options.last_words)
    progress.starting(options.launcher)
    with guard, SESSIONS[options.launcher](plan.workers, settings) as session:
        references = timed_references(plan.scenario, work.cells_left())

        cells = plan.measurable if unchecked else work.cells_left()
        _warm(warm_launches(cells, plan.machine), session, progress, watcher)

        def run_checks(block: tuple[Launch, ...]) -> Iterator[tuple[Launch, list[RankOutcome]]]:
            progress.checking(len(block))
            for launch, outcomes in launch_ends(block, session, watcher):
                progress.check_ended(launch)
                yield launch, outcomes

        for certificate in certify(plan, unchecked, references, run_checks):
            sink.certify(certificate)
            progress.checked(certificate)
        _serve(work, session, progress, options, watcher)
        session.finish()


class _Work:
    """Keep track of what is left of a plan, and decide when enough is measured."""

    def __init__(self, plan: Plan, blocks: tuple[tuple[Launch, ...], ...], sink: Sink, rules: Rules) -> None:
        self.plan, self.blocks, self.sink = plan, blocks, sink
        self.remaining = Remaining(plan, rules.disturbed, sink.headers())
        self._precise_enough, self._began = rules.precise_enough, monotonic()

    def begin(self) -> int:
        """Start the clock of the time budget, and return the number of launches that are always made."""
        self._began = monotonic()
        return sum(map(len, self._left(0, self.plan.scenario.spec.measurement.launches)))

    def enough_before(self, index: int) -> bool:
        """Return whether the blocks from `index` on may be left out."""
        measurement = self.plan.scenario.spec.measurement
        if not any(self._left(index)):
            return True
        if any(self._left(index, measurement.launches)):
            return False
        if index < measurement.launches:
            return self._precise_enough()
        over = measurement.budget_seconds is not None and monotonic() - self._began > measurement.budget_seconds
        return over or self._precise_enough()

    def cells_left(self) -> Iterable[Cell]:
        """Return the cells that have launches left, each once."""
        return dict.fromkeys(launch.cell for block in self._left(0) for launch in block)

    def _left(self, start: int, end: int | None = None) -> list[tuple[Launch, ...]]:
        return [self.remaining.of_block(block) for block in self.blocks[start:end]]

    def store(self, record: LaunchRecord) -> None:
        """Store a record, and count its launch as done."""
        self.sink.append(record)
        self.remaining.finished(record.header)


def _warm(launches: tuple[Launch, ...], session: Session, progress: Progress, watcher: Watcher | None) -> None:
    """Have the driver of the GPUs compile what it must. A launch that fails here fails when it is timed too."""
    if not launches:
        return
    progress.warming(len(launches))
    for launch, outcomes in launch_ends(launches, session, watcher):
        failure = root_cause(outcomes)
        seconds = max(outcome.wall_seconds for outcome in outcomes)
        progress.warmed(launch, seconds, None if failure is None else failure.cause)


def _serve(work: _Work, session: Session, progress: Progress, options: Options, watcher: Watcher | None) -> None:
    planned, digest = work.begin(), work.plan.scenario.digest()
    progress.started(planned)
    if watcher is not None:
        watcher.planned(planned)
    for index, block in enumerate(work.blocks):
        if work.enough_before(index):
            return
        while launches := work.remaining.of_block(block):
            for launch, outcomes in launch_ends(launches, session, watcher):
                record = join_outcomes(launch, digest, session.launcher, outcomes)
                work.store(record)
                progress.finished(record)
                if watcher is not None:
                    watcher.finished(record)
            _tell_added(len(work.remaining.of_block(block)), progress, watcher)


def _tell_added(launches: int, progress: Progress, watcher: Watcher | None) -> None:
    if launches:
        progress.added(launches)
        if watcher is not None:
            watcher.added(launches)


def launch_ends(
    block: tuple[Launch, ...], session: Session, watcher: Watcher | None
) -> Iterator[tuple[Launch, list[RankOutcome]]]:
    """Have the block run, and yield each launch with its outcomes when all its ranks have reported."""
    session.offer(block)
    waiting = {launch.id: launch for launch in block}
    outcomes: dict[str, list[RankOutcome]] = {launch.id: [] for launch in block}
    while waiting:
        for arrival in _arrivals(session, waiting, watcher):
            outcomes[arrival.launch_id].append(arrival.outcome)
            launch = waiting[arrival.launch_id]
            if len(outcomes[launch.id]) == launch.cell.processes:
                del waiting[launch.id]
                yield launch, outcomes.pop(launch.id)


def _arrivals(session: Session, waiting: Mapping[str, Launch], watcher: Watcher | None) -> Iterator[Arrival]:
    """Yield the outcomes that have come in, and pass the progress reports to the watcher."""
    if watcher is not None:
        watcher.go_on()
    for arrival in session.take(_TAKE_SECONDS):
        if isinstance(arrival, Arrival):
            yield arrival
        elif watcher is not None and arrival.launch_id in waiting:  # Under Ray, it may arrive after the outcome.
            watcher.told(waiting[arrival.launch_id], arrival.steps, arrival.seconds)


def check_launcher(launcher: str) -> None:
    """Check that the launcher is installed. Ray is not imported, since it reads its environment when it is.

    Raises:
        CannotRun: the launcher is not installed.
    """
    if launcher == "ray" and importlib.util.find_spec("ray") is None:
        raise CannotRun("launcher 'ray': expected Ray, found none. pip install 'stepmark[ray]', or --launcher bare.")
