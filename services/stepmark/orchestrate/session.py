"""Define a session as the driver sees it, and join the ranks' outcomes into one record."""

from datetime import UTC, datetime
from typing import Literal, Protocol

import numpy as np

from stepmark.launch.group import PEER_GONE
from stepmark.launch.spec import RankOutcome
from stepmark.launch.supervise import no_step
from stepmark.orchestrate.switchboard import Arrival, Telling
from stepmark.plan.blocks import Launch
from stepmark.results.record import NO_STEPS, Failure, LaunchHeader, LaunchRecord, unpack_steps


class Session(Protocol):
    """Hold supervisors that wait for blocks. It is a context manager, and leaving it ends all of its processes."""

    launcher: Literal["ray", "bare"]

    def offer(self, block: tuple[Launch, ...]) -> None:
        """Have this block measured next."""

    def take(self, timeout_seconds: float) -> list[Arrival | Telling]:
        """Return the outcomes and progress reports since the last call, waiting for some up to the time-out.

        Raises:
            Interrupted: the session has broken, and nothing more will come.
        """

    def finish(self) -> None:
        """Offer no more blocks, and wait until the supervisors have ended."""


def join_outcomes(
    launch: Launch, digest: str, launcher: Literal["ray", "bare"], outcomes: list[RankOutcome]
) -> LaunchRecord:
    """Return one record from the outcomes of all ranks of a launch."""
    outcomes = sorted(outcomes, key=lambda outcome: outcome.rank)
    failure = root_cause(outcomes) or _disagreement(outcomes)
    header = LaunchHeader(
        launch_id=launch.id,
        scenario_digest=digest,
        cell=launch.cell,
        block=launch.block,
        attempt=launch.attempt,
        position=launch.position,
        launcher=launcher,
        forked=all(outcome.forked for outcome in outcomes),
        started_at=datetime.fromtimestamp(outcomes[0].started_at, UTC).isoformat(timespec="milliseconds"),
        wall_seconds=max(outcome.wall_seconds for outcome in outcomes),
        ranks=tuple(o.report for o in outcomes if o.report is not None) if failure is None else (),
        failure=failure,
    )
    if failure is not None:
        return LaunchRecord(header, NO_STEPS)
    hosts, devices = zip(*(unpack_steps(outcome.steps_npz) for outcome in outcomes), strict=True)
    known = [device for device in devices if device is not None]
    return LaunchRecord(header, np.concatenate(hosts), np.concatenate(known) if len(known) == len(devices) else None)


# These messages of a rank are consequences of another rank's end, not causes.
_ECHOES = (
    PEER_GONE,
    "Connection reset",
    "Connection closed",
    "Broken pipe",
    "aborted by",
    "Connection refused",
    "timed out",
    "Timed out",
    "recvmsg",
    "Socket closed",
)


def root_cause(outcomes: list[RankOutcome]) -> Failure | None:
    """Return the failure that caused the others, or None where no rank failed.

    Signals come first, then errors, then ranks that made no step and the consequences of another rank's end. Among
    equals the rank with the fewest steps comes first; if that is not decisive, the failure's rank is None. A rank that
    waits for another one makes no steps either, and its supervisor may notice first.
    """
    failed = [outcome for outcome in outcomes if outcome.failure is not None]
    if not failed:
        return None

    def order(outcome: RankOutcome) -> tuple[bool, bool, int]:
        cause = outcome.failure.cause if outcome.failure else ""
        echo = outcome.stalled_seconds is not None or any(sign in cause for sign in _ECHOES)
        return echo, not cause.startswith("killed by signal"), outcome.steps_done

    failed.sort(key=order)
    first = failed[0].failure
    assert first is not None
    limit = max(outcome.stalled_seconds or 0 for outcome in failed)
    if limit and order(failed[0])[0] and failed[0].stalled_seconds is None:
        first = first.model_copy(update={"cause": no_step(limit, failed[0].steps_done)})
    ambiguous = len(failed) > 1 and order(failed[0]) == order(failed[1])
    return first.model_copy(update={"rank": None}) if ambiguous else first


def _disagreement(outcomes: list[RankOutcome]) -> Failure | None:
    """Return a failure if the ranks ran different windows, since they have then not measured the same thing."""
    reports = [outcome.report for outcome in outcomes if outcome.report is not None]
    windows = {tuple((w.kind, w.steps, w.stamp_steps) for w in report.windows) for report in reports}
    return Failure(rank=None, cause="the ranks ran different numbers of steps") if len(windows) > 1 else None
