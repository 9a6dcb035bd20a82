"""Make the starts of `first-step`, each in processes of its own, and yield what they took block by block."""

from collections.abc import Callable, Generator

from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate.driver import launch_ends
from stepmark.orchestrate.own_session import of_launch, own_session
from stepmark.orchestrate.session import Session
from stepmark.plan.blocks import Launch, Plan
from stepmark.plan.foreign import WorkloadFile
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
    workload_file: WorkloadFile | None = None,
) -> Generator[tuple[StartRecord, ...]]:
    """Make the unrecorded starts, then yield the records of each block when all of it has ended.

    `last_words` is what a person reads where this process is ended from outside.

    Raises:
        Interrupted: the session broke.
        CannotRun: the session could not be started.
    """
    with own_session(plan, launcher, last_words, True, workload_file) as session:
        _made(unrecorded, session, told)
        for block in blocks:
            yield _made(block, session, told)


def _made(block: tuple[Launch, ...], session: Session, told: Told) -> tuple[StartRecord, ...]:
    records = []
    for launch, outcomes in launch_ends(block, session, None):
        record = _record(launch, outcomes)
        told(launch, record)
        records.append(record)
    return tuple(records)


def _record(launch: Launch, outcomes: list[RankOutcome]) -> StartRecord:
    assert launch.start is not None
    fields = of_launch(launch, outcomes, lambda outcome: outcome.start)
    return StartRecord(**fields, kind=launch.start.kind)
