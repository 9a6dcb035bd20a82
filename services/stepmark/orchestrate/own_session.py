"""Open a session for a verb that keeps records of its own, and say what all such records say of a launch."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate.driver import SESSIONS
from stepmark.orchestrate.folders import run_folders
from stepmark.orchestrate.guard import guarded
from stepmark.orchestrate.rank import Settings
from stepmark.orchestrate.session import Session, root_cause
from stepmark.plan.blocks import Launch, Plan
from stepmark.plan.foreign import WorkloadFile


@contextmanager
def own_session(
    plan: Plan, launcher: str, last_words: str, fresh_process: bool, workload_file: WorkloadFile | None
) -> Iterator[Session]:
    """Open a session for the plan, and let it finish. `last_words` is printed where this process is ended from outside.

    Raises:
        Interrupted: the session broke.
        CannotRun: the session could not be started.
    """
    settings = Settings(
        secrets.token_hex(8), plan.scenario, fresh_process, device=plan.machine.device, workload_file=workload_file
    )
    with (
        guarded(run_folders(settings.run_id), last_words),
        SESSIONS[launcher](plan.workers, settings) as session,
    ):
        yield session
        session.finish()


def of_launch(launch: Launch, outcomes: list[RankOutcome], report_of: Callable[[RankOutcome], Any]) -> dict[str, Any]:
    """Return the fields of `OwnLaunch` for a launch whose ranks have ended like this, and `ranks`, their reports.

    A launch that failed has no reports.
    """
    failure = root_cause(outcomes)
    reports = [report_of(outcome) for outcome in sorted(outcomes, key=lambda outcome: outcome.rank)]
    return {
        "cell": launch.cell.key,
        "block": max(launch.block, 0),
        "position": launch.position,
        "started_at": datetime.fromtimestamp(min(o.started_at for o in outcomes), UTC).isoformat(
            timespec="milliseconds"
        ),
        "wall_seconds": max(outcome.wall_seconds for outcome in outcomes),
        "failure": failure,
        "ranks": () if failure else tuple(report for report in reports if report is not None),
    }
