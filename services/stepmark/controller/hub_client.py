"""The controller's client of the hub: it registers attempts and reads what became of them. It is thread-safe."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, ConfigDict, ValidationError

from stepmark.controller.facts import AwaitedRun, Execution, HubView
from stepmark.publish.client import Answer, Away, Hub, Refused
from stepmark.publish.client import HubError as HubError
from stepmark.results.wire import AttemptEnd, Progress, Registration, token_sha256

_TIMEOUT_SECONDS = 5.0
_TOKEN_DAYS = 30
_AWAITED = ("waiting", "running")
_PAGES_MOST = 50


class _Answer(BaseModel):
    """The fields of the hub's answers that the controller needs. A newer hub may send more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Line(_Answer):
    verdict: tuple[str, ...] = ()


class _Execution(_Answer):
    execution_id: str
    outcome: str
    reason: str = ""
    message: str = ""
    seen_at: float
    launches: int = 0
    launches_expected: int | None = None
    progress: Progress | None = None


class _Attempt(_Answer):
    number: int
    executions: tuple[_Execution, ...] = ()


class _Run(_Answer):
    run: _Line
    attempts: tuple[_Attempt, ...] = ()
    settled: bool = False
    problem: str = ""


class _RunLine(_Answer):
    run_id: str
    name: str
    namespace: str | None = None
    attempt: int | None = None


class _Runs(_Answer):
    runs: tuple[_RunLine, ...] = ()
    next_cursor: str | None = None


class HubClient:
    """A client of the hub at `url`. The token file is read for each call, since it may be replaced.

    Raises (from methods that change something): HubError.
    """

    def __init__(self, url: str, token_file: Path, transport: httpx2.BaseTransport | None = None) -> None:
        self._open = partial(Hub, url, timeout_seconds=_TIMEOUT_SECONDS, transport=transport)
        self._hub = self._open(lambda: _token_in(token_file))
        self._lock = threading.Lock()
        self._answers_since: float | None = None

    def register(self, scenario: dict[str, Any], number: int, token: str) -> None:
        """Register an attempt with the hash of its write token. Registering it twice has no further effect."""
        metadata = scenario["metadata"]
        registration = Registration(
            name=metadata["name"],
            namespace=metadata["namespace"],
            token_sha256=token_sha256(token),
            expires_in_seconds=_TOKEN_DAYS * 86_400,
        )
        with self._heard():
            self._hub.register(metadata["uid"], number, registration)

    def view(self, run_id: str, number: int) -> HubView | None:
        """Return what the hub knows of this attempt.

        None means that the hub does not answer, or answers in a form that is not understood.
        """
        try:
            with self._heard():
                answer = self._hub.run(run_id)
            found = _Run.model_validate_json(answer.body)
        except Refused as refused:
            return HubView(answering_seconds=self._answering()) if refused.status == 404 else None
        except (Away, ValidationError):
            return None
        attempts = [attempt for attempt in found.attempts if attempt.number == number]
        return HubView(
            executions=tuple(_execution(one, answer) for attempt in attempts for one in attempt.executions),
            settled=found.settled,
            problem=found.problem,
            verdict=found.run.verdict,
            answering_seconds=self._answering(),
        )

    def end(self, run_id: str, number: int, end: AttemptEnd) -> None:
        """Report an attempt's end.

        A refusal is ignored where the hub does not know the attempt or another client registered it.
        """
        try:
            with self._heard():
                self._hub.end_attempt(run_id, number, end)
        except Refused as refused:
            if refused.status not in (403, 404, 409):
                raise

    def awaited(self, namespace: str | None) -> list[AwaitedRun]:
        """Return the runs of this namespace that the hub still waits for; None means all namespaces."""
        with self._heard():
            lines = [line for outcome in _AWAITED for line in self._lines(outcome, namespace)]
            return [found for line in lines if (found := self._awaited(line)) is not None]

    def _lines(self, outcome: str, namespace: str | None) -> Iterator["_RunLine"]:
        cursor = None
        for _ in range(_PAGES_MOST):
            asked = {"outcome": outcome, "namespace": namespace, "cursor": cursor}
            page = _parsed(_Runs, self._hub.runs({name: value for name, value in asked.items() if value}))
            yield from page.runs
            cursor = page.next_cursor
            if cursor is None:
                return

    def _awaited(self, line: "_RunLine") -> AwaitedRun | None:
        number = line.attempt
        if number is None:  # No execution has claimed the run.
            attempts = _parsed(_Run, self._hub.run(line.run_id)).attempts
            number = max((attempt.number for attempt in attempts), default=None)
        if number is None or line.namespace is None:
            return None
        return AwaitedRun(line.run_id, line.name, line.namespace, number)

    def close(self) -> None:
        """Close the connections."""
        self._hub.close()

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Remember whether the hub answered the call inside."""
        try:
            yield
        except Away:
            self._answered(False)
            raise
        except Refused:
            self._answered(True)
            raise
        self._answered(True)

    def _answered(self, well: bool) -> None:
        with self._lock:
            if not well:
                self._answers_since = None
            elif self._answers_since is None:
                self._answers_since = monotonic()

    def _answering(self) -> float:
        with self._lock:
            return 0.0 if self._answers_since is None else monotonic() - self._answers_since


Found = TypeVar("Found", bound=_Answer)


def _parsed(kind: type[Found], answer: Answer) -> Found:
    try:
        return kind.model_validate_json(answer.body)
    except ValidationError:
        raise Away("expected a hub's answer, found something else") from None


def _token_in(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise Away(f"{file}: expected a token of the hub, found none. Mount the Secret that holds it.") from None


def _execution(found: _Execution, answer: Answer) -> Execution:
    """Convert an execution. Its silence is measured by the hub's own clock, since ours may differ."""
    silent = 0.0 if answer.at is None else max(0.0, answer.at - found.seen_at)
    return Execution(
        execution_id=found.execution_id,
        outcome=found.outcome,
        reason=found.reason,
        message=found.message,
        launches=found.launches,
        launches_expected=found.launches_expected,
        progress=_progress(found.progress),
        silent_seconds=silent,
    )


def _progress(progress: Progress | None) -> str:
    if progress is None or progress.launches_total is None:
        return ""
    return f"{progress.launches_done} of {progress.launches_total} launches"
