"""Make the launches of `time-to-accuracy`, after the parity checks of their cells, and have each block kept."""

from collections.abc import Iterator
from typing import Protocol

from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate.checks import certify
from stepmark.orchestrate.driver import launch_ends
from stepmark.orchestrate.own_session import of_launch, own_session
from stepmark.orchestrate.session import Session
from stepmark.plan.blocks import Launch, Plan
from stepmark.plan.foreign import WorkloadFile
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
    workload_file: WorkloadFile | None = None,
) -> None:
    """Make these checks, then these blocks. `last_words` is printed where this process is ended from outside.

    Raises:
        Interrupted: the session broke.
        CannotRun: the session could not be started.
    """
    with own_session(plan, launcher, last_words, False, workload_file) as session:

        def run(block: tuple[Launch, ...]) -> Iterator[tuple[Launch, list[RankOutcome]]]:
            return launch_ends(block, session, None)

        warm = warm_launches(plan.measurable, plan.machine)
        if warm:
            list(run(warm))
        for certificate in certify(plan, checks, (), run):
            keeper.certified(certificate)
        for block in blocks:
            keeper.block_ended(tuple(_made(block, session, keeper)))


def _made(block: tuple[Launch, ...], session: Session, keeper: Keeper) -> Iterator[LearningRecord]:
    for launch, outcomes in launch_ends(block, session, None):
        record = _record(launch, outcomes)
        keeper.ended(record)
        yield record


def _record(launch: Launch, outcomes: list[RankOutcome]) -> LearningRecord:
    return LearningRecord(**of_launch(launch, outcomes, lambda outcome: outcome.learning))
