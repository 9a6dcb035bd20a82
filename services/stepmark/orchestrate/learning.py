"""Make the launches of `time-to-accuracy`, after the parity checks of their cells, and have each block kept."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol

from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate.checks import certify
from stepmark.orchestrate.driver import SESSIONS, launch_ends
from stepmark.orchestrate.folders import run_folders
from stepmark.orchestrate.guard import guarded
from stepmark.orchestrate.rank import Settings
from stepmark.orchestrate.session import Session, root_cause
from stepmark.plan.blocks import Launch, Plan
from stepmark.plan.probes import Check
from stepmark.plan.warm import warm_launches
from stepmark.results.certificate import Certificate
from stepmark.results.learning import LearningRecord


class Keeper(Protocol):
    """Keep what has ended, and tell a person."""

    def certified(self, certificate: Certificate) -> None:
        """Keep the certificate of a cell."""

    def ended(self, record: LearningRecord) -> None:
        """Report that a launch has ended, before its block has."""

    def block_ended(self, block: tuple[LearningRecord, ...]) -> None:
        """Keep the records of a block, all of whose launches have ended."""


def train(
    plan: Plan,
    checks: tuple[Check, ...],
    blocks: tuple[tuple[Launch, ...], ...],
    launcher: str,
    keeper: Keeper,
    last_words: str,
) -> None:
    """Make these checks, then these blocks. `last_words` is printed where this process is ended from outside.

    Raises:
        Interrupted: the session broke.
        CannotRun: the session could not be started.
    """
    settings = Settings(secrets.token_hex(8), plan.scenario, fresh_process=False, device=plan.machine.device)
    with (
        guarded(run_folders(settings.run_id), last_words),
        SESSIONS[launcher](plan.workers, settings) as session,
    ):

        def run(block: tuple[Launch, ...]) -> Iterator[tuple[Launch, list[RankOutcome]]]:
            return launch_ends(block, session, None)

        warm = warm_launches(plan.measurable, plan.machine)
        if warm:
            list(run(warm))
        for certificate in certify(plan, checks, (), run):
            keeper.certified(certificate)
        for block in blocks:
            keeper.block_ended(tuple(_made(block, session, keeper)))
        session.finish()


def _made(block: tuple[Launch, ...], session: Session, keeper: Keeper) -> Iterator[LearningRecord]:
    for launch, outcomes in launch_ends(block, session, None):
        record = _record(launch, outcomes)
        keeper.ended(record)
        yield record


def _record(launch: Launch, outcomes: list[RankOutcome]) -> LearningRecord:
    outcomes = sorted(outcomes, key=lambda outcome: outcome.rank)
    failure = root_cause(outcomes)
    return LearningRecord(
        cell=launch.cell.key,
        block=launch.block,
        position=launch.position,
        started_at=datetime.fromtimestamp(outcomes[0].started_at, UTC).isoformat(timespec="milliseconds"),
        wall_seconds=max(outcome.wall_seconds for outcome in outcomes),
        ranks=tuple(o.learning for o in outcomes if o.learning is not None) if failure is None else (),
        failure=failure,
    )
