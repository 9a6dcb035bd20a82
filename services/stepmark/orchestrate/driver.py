"""Measures a plan: offers blocks to a session, joins what comes back, stores it, and decides when it is enough."""

import importlib.util
import secrets
from collections.abc import Callable, Iterator, Mapping
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
from stepmark.orchestrate.session import Session, join_outcomes
from stepmark.orchestrate.switchboard import Arrival
from stepmark.plan.blocks import Launch, Plan
from stepmark.plan.probes import timed_references, wanted_checks
from stepmark.results.certificate import Certificate
from stepmark.results.record import LaunchRecord

SESSIONS: dict[str, type[RaySession] | type[BareSession]] = {"ray": RaySession, "bare": BareSession}

_TAKE_SECONDS = 1.0


class Sink(Protocol):
    """Where finished launches go; a store."""

    def launch_ids(self) -> frozenset[str]: ...
    def append(self, record: LaunchRecord) -> None: ...
    def certified(self) -> frozenset[str]: ...
    def certify(self, certificate: Certificate) -> None: ...


class Progress(Protocol):
    """Who is told how far it is. Called between launches, never inside one."""

    def checked(self, certificate: Certificate) -> None: ...
    def started(self, launches: int) -> None: ...
    def finished(self, record: LaunchRecord) -> None: ...


class Watcher(Protocol):
    """Who follows a run more closely. Where there is none, running launches tell nothing."""

    def planned(self, launches: int) -> None:
        """So many are to be run; more may follow."""

    def told(self, launch: Launch, steps: int, seconds: float) -> None:
        """This launch runs; its rank 0 made so many steps in so many seconds since the last call."""

    def finished(self, record: LaunchRecord) -> None:
        """It is stored."""

    def go_on(self) -> None:
        """Asked every second.

        Raises:
            Interrupted: the run must end.
        """


@dataclass(frozen=True)
class Options:
    """How to run, which is not what to measure."""

    launcher: str = "ray"
    fresh_process: bool = False
    parity_only: bool = False


def measure(
    plan: Plan,
    sink: Sink,
    progress: Progress,
    options: Options,
    precise_enough: Callable[[], bool],
    watcher: Watcher | None = None,
) -> None:
    """Check and run what the sink does not have yet. `precise_enough` is asked from the last needed block on.

    Raises:
        Interrupted: the session broke; what was finished is in the sink.
        CannotRun: the session could not be started.
    """
    done = sink.launch_ids()
    planned = () if options.parity_only else plan.blocks
    blocks = [tuple(launch for launch in block if launch.id not in done) for block in planned]
    certified = sink.certified()
    unchecked = tuple(check for check in wanted_checks(plan) if check.cell.key not in certified)
    if not unchecked and _enough(plan, blocks, 0, monotonic(), precise_enough):
        return
    settings = Settings(secrets.token_hex(8), plan.scenario, options.fresh_process, tells=watcher is not None)
    with guarded(run_folders(settings.run_id)), SESSIONS[options.launcher](plan.workers, settings) as session:
        references = timed_references(plan.scenario, {launch.cell: None for block in blocks for launch in block})
        for certificate in certify(plan, unchecked, references, lambda block: _ends(block, session, watcher)):
            sink.certify(certificate)
            progress.checked(certificate)
        _serve(plan, blocks, session, sink, progress, options, precise_enough, watcher)
        session.finish()


def _serve(
    plan: Plan,
    blocks: list[tuple[Launch, ...]],
    session: Session,
    sink: Sink,
    progress: Progress,
    options: Options,
    precise_enough: Callable[[], bool],
    watcher: Watcher | None,
) -> None:
    started, needed = monotonic(), plan.scenario.spec.measurement.launches
    planned = sum(map(len, blocks[:needed]))
    progress.started(planned)
    if watcher is not None:
        watcher.planned(planned)
    for index, block in enumerate(blocks):
        if _enough(plan, blocks, index, started, precise_enough):
            return
        if not block:
            continue
        for launch, outcomes in _ends(block, session, watcher):
            record = join_outcomes(
                launch, plan.scenario.digest(), session.launcher, not options.fresh_process, outcomes
            )
            sink.append(record)
            progress.finished(record)
            if watcher is not None:
                watcher.finished(record)


def _enough(
    plan: Plan, blocks: list[tuple[Launch, ...]], index: int, started: float, precise_enough: Callable[[], bool]
) -> bool:
    """Whether blocks from `index` on may be left out."""
    measurement = plan.scenario.spec.measurement
    if not any(blocks[index:]):
        return True
    if any(blocks[index : measurement.launches]):
        return False
    if index < measurement.launches:
        return precise_enough()
    over = measurement.budget_seconds is not None and monotonic() - started > measurement.budget_seconds
    return over or precise_enough()


def _ends(
    block: tuple[Launch, ...], session: Session, watcher: Watcher | None
) -> Iterator[tuple[Launch, list[RankOutcome]]]:
    """Have the block run; its launches as they end, each when all its ranks have spoken."""
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
    """What has come in; tellings are for the watcher."""
    if watcher is not None:
        watcher.go_on()
    for arrival in session.take(_TAKE_SECONDS):
        if isinstance(arrival, Arrival):
            yield arrival
        elif watcher is not None and arrival.launch_id in waiting:  # under Ray, it may come after the outcome
            watcher.told(waiting[arrival.launch_id], arrival.steps, arrival.seconds)


def check_launcher(launcher: str) -> None:
    """Raise CannotRun for a launcher that is not installed. Does not import Ray, which reads its environment then."""
    if launcher == "ray" and importlib.util.find_spec("ray") is None:
        raise CannotRun("launcher 'ray': expected Ray, found none. pip install 'stepmark[ray]', or --launcher bare.")
