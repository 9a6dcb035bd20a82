"""Make the starts of `first-step`, each in processes of its own, and yield what they took block by block."""

import secrets
from collections.abc import Callable, Generator
from datetime import UTC, datetime

from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate.driver import SESSIONS, launch_ends
from stepmark.orchestrate.folders import run_folders
from stepmark.orchestrate.guard import guarded
from stepmark.orchestrate.rank import Settings
from stepmark.orchestrate.session import Session, root_cause
from stepmark.plan.blocks import Launch, Plan
from stepmark.results.starts import StartRecord

Told = Callable[[Launch, StartRecord], None]
"""Is called after each start, those that are not recorded too."""


def made_starts(
    plan: Plan,
    unrecorded: tuple[Launch, ...],
    blocks: tuple[tuple[Launch, ...], ...],
    launcher: str,
    told: Told,
    last_words: str,
) -> Generator[tuple[StartRecord, ...]]:
    """Make the unrecorded starts, then yield the records of each block when all of it has ended.

    `last_words` is what a person reads where this process is ended from outside.

    Raises:
        Interrupted: the session broke.
        CannotRun: the session could not be started.
    """
    settings = Settings(secrets.token_hex(8), plan.scenario, fresh_process=True, device=plan.machine.device)
    with (
        guarded(run_folders(settings.run_id), last_words),
        SESSIONS[launcher](plan.workers, settings) as session,
    ):
        _made(unrecorded, session, told)
        for block in blocks:
            yield _made(block, session, told)
        session.finish()


def _made(block: tuple[Launch, ...], session: Session, told: Told) -> tuple[StartRecord, ...]:
    records = []
    for launch, outcomes in launch_ends(block, session, None):
        record = _record(launch, outcomes)
        told(launch, record)
        records.append(record)
    return tuple(records)


def _record(launch: Launch, outcomes: list[RankOutcome]) -> StartRecord:
    assert launch.start is not None
    outcomes = sorted(outcomes, key=lambda outcome: outcome.rank)
    failure = root_cause(outcomes)
    return StartRecord(
        cell=launch.cell.key,
        kind=launch.start.kind,
        block=max(launch.block, 0),
        position=launch.position,
        started_at=datetime.fromtimestamp(outcomes[0].started_at, UTC).isoformat(timespec="milliseconds"),
        wall_seconds=max(outcome.wall_seconds for outcome in outcomes),
        ranks=tuple(o.start for o in outcomes if o.start is not None) if failure is None else (),
        failure=failure,
    )
