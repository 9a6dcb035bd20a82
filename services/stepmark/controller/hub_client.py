"""The controller's side of the hub: register attempts, and read what became of them. Thread-safe."""

import threading
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import monotonic
from typing import Any

import httpx2
from pydantic import BaseModel, ConfigDict, ValidationError

from stepmark.controller.facts import Execution, HubView
from stepmark.errors import printable
from stepmark.results.wire import Progress, Registration, State, token_sha256

_TIMEOUT_SECONDS = 5.0
_LAST = 2**53
_TOKEN_DAYS = 30


class HubError(Exception):
    """The hub refused (`status`), or did not answer (0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(printable(message)[:500])
        self.status = status


class _Answer(BaseModel):
    """What we need of the hub's answers; a newer hub may say more."""

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


class HubClient:
    """Calls to the hub at `url`, with the token of this file: it is read anew for each call, since it may be replaced.

    Raises (from methods that change something): HubError.
    """

    def __init__(self, url: str, token_file: Path, transport: httpx2.BaseTransport | None = None) -> None:
        self._token_file = token_file
        self._http = httpx2.Client(
            base_url=url, timeout=_TIMEOUT_SECONDS, follow_redirects=False, transport=transport, trust_env=False
        )
        self._lock = threading.Lock()
        self._answers_since: float | None = None

    def register(self, scenario: dict[str, Any], number: int, token: str) -> None:
        """Tell the hub of an attempt and the hash of its write token; said twice, it is one attempt."""
        metadata = scenario["metadata"]
        body = Registration(
            name=metadata["name"],
            namespace=metadata["namespace"],
            token_sha256=token_sha256(token),
            expires_in_seconds=_TOKEN_DAYS * 86_400,
        )
        self._call("PUT", f"/api/v1/runs/{metadata['uid']}/attempts/{number}", body.model_dump_json())

    def view(self, run_id: str, number: int) -> HubView | None:
        """What the hub knows of this attempt; None if it does not answer, or not in words that we know."""
        try:
            answer = self._call("GET", f"/api/v1/runs/{run_id}")
            found = _Run.model_validate_json(answer.content)
        except HubError as error:
            return HubView(answering_seconds=self._answering()) if error.status == 404 else None
        except ValidationError:
            return None
        attempts = [attempt for attempt in found.attempts if attempt.number == number]
        now = _hub_time(answer)
        return HubView(
            executions=tuple(_execution(one, now) for attempt in attempts for one in attempt.executions),
            settled=found.settled,
            problem=found.problem,
            verdict=found.run.verdict,
            answering_seconds=self._answering(),
        )

    def cancel(self, execution_id: str, write_token: str) -> None:
        """Have the last word on an execution that was ended for its scenario's `cancel`."""
        body = State(sequence=_LAST, outcome="cancelled", reason="stopped", message="spec.cancel is true")
        self._call("PUT", f"/api/v1/executions/{execution_id}/state", body.model_dump_json(), write_token)

    def close(self) -> None:
        self._http.close()

    def _call(self, method: str, path: str, body: str | None = None, token: str | None = None) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token or self._token()}", "Content-Type": "application/json"}
        try:
            answer = self._http.request(method, path, content=body, headers=headers)
        except httpx2.HTTPError as error:
            self._answered(False)
            raise HubError(0, f"expected the hub at {self._http.base_url}, found {type(error).__name__}") from None
        self._answered(answer.status_code < 500)
        if answer.status_code >= 400:
            raise HubError(answer.status_code, f"the hub refused {method} {path}: HTTP {answer.status_code}")
        return answer

    def _token(self) -> str:
        try:
            return self._token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise HubError(
                0, f"{self._token_file}: expected a token of the hub, found none. Mount the Secret that holds it."
            ) from None

    def _answered(self, well: bool) -> None:
        with self._lock:
            if not well:
                self._answers_since = None
            elif self._answers_since is None:
                self._answers_since = monotonic()

    def _answering(self) -> float:
        with self._lock:
            return 0.0 if self._answers_since is None else monotonic() - self._answers_since


def _hub_time(answer: httpx2.Response) -> Callable[[float], float]:
    """Seconds since a time of the hub, by the hub's own clock: ours may be another."""
    said = answer.headers.get("Date")
    now = parsedate_to_datetime(said).timestamp() if said else None
    return lambda then: 0.0 if now is None else max(0.0, now - then)


def _execution(found: _Execution, since: Callable[[float], float]) -> Execution:
    return Execution(
        execution_id=found.execution_id,
        outcome=found.outcome,
        reason=found.reason,
        message=found.message,
        launches=found.launches,
        launches_expected=found.launches_expected,
        progress=_progress(found.progress),
        silent_seconds=since(found.seen_at),
    )


def _progress(progress: Progress | None) -> str:
    if progress is None or progress.launches_total is None:
        return ""
    return f"{progress.launches_done} of {progress.launches_total} launches"
