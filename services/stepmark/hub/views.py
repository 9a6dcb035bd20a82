"""Models of what the pages and the GET calls of the API show. Times are Unix seconds, UTC.

`outcome` is wire.Outcome, or "lost", "superseded", "waiting" (registered, without an execution), or "damaged" (what is
stored is not what was written).
"""

from typing import Annotated

from pydantic import Field

from stepmark.results.base import RecordModel
from stepmark.results.wire import Progress

LIMIT_MOST = 200
WAITING, DAMAGED = "waiting", "damaged"


class Filters(RecordModel):
    """Which runs to list, newest first.

    `search` is a part of the run's id, scenario or namespace. `cursor` is `Page.next_cursor` of an earlier answer.
    """

    name: Annotated[str, Field(max_length=63)] | None = None
    namespace: Annotated[str, Field(max_length=63)] | None = None
    outcome: Annotated[str, Field(max_length=20)] | None = None
    search: Annotated[str, Field(max_length=100)] | None = None
    limit: Annotated[int, Field(ge=1, le=LIMIT_MOST)] = 50
    cursor: Annotated[str, Field(max_length=100)] | None = None


class HistoryOf(RecordModel):
    """Which runs of a scenario to tell of: at most `limit`, of one namespace; empty: those that have none."""

    namespace: Annotated[str, Field(max_length=63)] | None = None
    limit: Annotated[int, Field(ge=1, le=LIMIT_MOST)] = 50


class ReceivedOf(RecordModel):
    """Whether an answer has the number of the last state."""

    sequence: bool = False


class RunLine(RecordModel):
    """One run in a list. `verdict` holds sentences; it is empty until figures are derived."""

    run_id: str
    name: str
    namespace: str | None
    created_at: float
    execution_id: str | None
    attempt: int | None
    outcome: str
    reason: str
    claimed_at: float | None
    seen_at: float | None
    ended_at: float | None
    progress: Progress | None
    verdict: tuple[str, ...]


class Page(RecordModel):
    """One page of a list of runs. `next_cursor` is where the older runs begin; None on the last page."""

    runs: tuple[RunLine, ...]
    next_cursor: str | None


class ExecutionView(RecordModel):
    """One process that measured, or tried to. `launches` is how many launches the hub has of it."""

    execution_id: str
    attempt: int
    outcome: str
    reason: str
    message: str
    claimed_at: float
    seen_at: float
    ended_at: float | None
    launches: int
    launches_expected: int | None
    progress: Progress | None


class AttemptView(RecordModel):
    """One attempt at the run, with the newest execution first.

    `ended_at`, `outcome`, `reason` and `message` are those of its end, if one was reported.
    """

    number: int
    created_at: float
    executions: tuple[ExecutionView, ...]
    ended_at: float | None
    outcome: str | None
    reason: str
    message: str


class RunView(RecordModel):
    """One run with all its attempts, newest first.

    `settled` is true if the execution that counts has ended and its figures include every record received. `problem`
    says why there is no summary, or is empty.
    """

    run: RunLine
    attempts: tuple[AttemptView, ...]
    settled: bool
    problem: str


class StoredSummary(RecordModel):
    """The derived summary of an execution.

    `document` is analysis.summary.Summary as JSON; None if it was not, or could not be, derived. `etag` is in quotes.
    """

    execution_id: str
    document: str | None
    problem: str
    etag: str
