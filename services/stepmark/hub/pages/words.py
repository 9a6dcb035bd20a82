"""Times, durations and states in words for people."""

from datetime import UTC, datetime

from stepmark.hub.views import RunLine
from stepmark.report.words import UNKNOWN
from stepmark.results.wire import Progress

OUTCOMES = {
    "waiting": "registered; no runner has sent anything yet",
    "running": "being measured now",
    "complete": "everything in the plan was measured",
    "failed": "something in the plan was not measured",
    "interrupted": "the plan ended early",
    "cancelled": "somebody cancelled the run",
    "lost": "the runner has not been heard of for too long",
    "superseded": "a later execution superseded this one",
    "damaged": "the stored data is damaged: restore a backup",
}
CLASSES = {"waiting": "none", "running": "open", "complete": "good", "failed": "bad", "interrupted": "warn",
           "cancelled": "none", "lost": "bad", "superseded": "none",
           "damaged": "bad"}  # fmt: skip
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def moment(seconds: float | None) -> str:
    """Return a time to the minute in UTC."""
    return UNKNOWN if seconds is None else f"{_utc(seconds):%Y-%m-%d %H:%M} UTC"


def machine_moment(seconds: float) -> str:
    """Return a time to the second in UTC, in a form for programs."""
    return f"{_utc(seconds):%Y-%m-%dT%H:%M:%SZ}"


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def span(seconds: float) -> str:
    """Return a duration in its largest unit, rounded down."""
    for size, name in _UNITS:
        count = int(seconds // size)
        if count >= 1:
            return f"{count} {name}" if count == 1 else f"{count} {name}s"
    return "0 seconds"


def took(run: RunLine, now: float) -> str:
    """Return how long the run took from its claim to its end, or until now."""
    if run.claimed_at is None:
        return UNKNOWN
    end = run.ended_at if run.ended_at is not None else (now if run.outcome == "running" else run.seen_at)
    return UNKNOWN if end is None else span(max(0.0, end - run.claimed_at))


def how_far(progress: Progress) -> str:
    """Return how many launches are done, and of how many if that is known."""
    if progress.launches_total is None:
        return f"{progress.launches_done} launches done"
    return f"{progress.launches_done} of {progress.launches_total} launches"
