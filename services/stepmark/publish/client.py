"""A client of the hub's HTTP API, with two kinds of failure: `Away` may pass, and `Refused` will not."""

import email.utils
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

import httpx2

from stepmark import __version__
from stepmark.errors import CannotRun, StepmarkError, printable
from stepmark.results.wire import AttemptEnd, Received, Refusal, Registration, State

_CONNECT_SECONDS = 5.0
_BODY_BYTES_MOST = 16 << 20
_DOWNLOAD_BYTES_MOST = 4 << 30
_STORED = 201
_MAY_PASS = frozenset({408, 425, 429})  # besides 500 and above


class HubError(StepmarkError):
    """The hub did not do what was asked. `status` is that of its answer, or 0 if the failure may pass."""

    exit_code = 3
    status = 0


class Away(HubError):
    """The hub cannot be reached or is not well; the same call may succeed later."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Refused(HubError):
    """The hub has answered that it will not do this, now or later."""

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    @property
    def superseded(self) -> bool:
        """Whether another execution has taken over."""
        return self.status == 409 and self.code == "superseded"

    @property
    def only_this_record(self) -> bool:
        """Whether the hub may still accept other records.

        This record was too large, not valid, or different from the one that the hub has under its name.
        """
        return self.status in (400, 413, 422) or (self.status == 409 and not self.superseded)


@dataclass(frozen=True)
class Answer:
    """An answer of the hub. `at` is its Unix time by the hub's own clock, None where the hub does not say."""

    body: bytes
    at: float | None
    status: int


class Hub:
    """A client of one hub. Thread-safe.

    `token` is a token, or a function that returns one for each call, since it may be replaced.

    Raises (from every call): Away, Refused.
    """

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str],
        timeout_seconds: float = 30.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.url, self._token = url.rstrip("/"), token
        self._http = httpx2.Client(
            headers={"User-Agent": f"stepmark/{__version__}"},
            timeout=httpx2.Timeout(timeout_seconds, connect=_CONNECT_SECONDS),
            follow_redirects=False,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def register(self, run_id: str, attempt: int, registration: Registration) -> None:
        """Register an attempt at a run."""
        self._put(f"runs/{_part(run_id)}/attempts/{attempt}", registration.model_dump_json())

    def end_attempt(self, run_id: str, attempt: int, end: AttemptEnd) -> None:
        """Report the end of an attempt whose driver will not report it. The first reported end stands."""
        self._put(f"runs/{_part(run_id)}/attempts/{attempt}/end", end.model_dump_json())

    def claim(self, run_id: str, attempt: int, execution_id: str, run_json: str) -> None:
        """Claim an execution of an attempt. `run_json` is `results.store.Run` as JSON."""
        path = f"runs/{_part(run_id)}/attempts/{attempt}/executions/{_part(execution_id)}"
        self._put(path, f'{{"run":{run_json}}}')

    def received(self, execution_id: str) -> Received:
        """Return what the hub has of an execution."""
        answer = self._call("GET", f"executions/{_part(execution_id)}/received?sequence=true")
        try:
            return Received.model_validate_json(answer.body)
        except ValueError:
            raise Away(f"{self.url}: expected a hub's answer, found something else; check the address") from None

    def put_launch(self, execution_id: str, launch_id: str, upload_json: bytes) -> None:
        """Send a launch. `upload_json` is `wire.LaunchUpload` as JSON."""
        self._put(f"executions/{_part(execution_id)}/launches/{_part(launch_id)}", upload_json)

    def put_certificate(self, execution_id: str, cell: str, certificate_json: str) -> None:
        """Send the certificate of a cell."""
        self._put(f"executions/{_part(execution_id)}/certificates/{_part(cell)}", certificate_json)

    def put_state(self, execution_id: str, state: State) -> bool:
        """Send a state. Return whether it holds now; if not, the hub already has this one or a later one."""
        return self._put(f"executions/{_part(execution_id)}/state", state.model_dump_json())

    def runs(self, asked: dict[str, str]) -> Answer:
        """Return a page of the hub's runs as JSON. `asked` holds the filters of the API."""
        return self._call("GET", f"runs?{urlencode(asked)}")

    def run(self, run_id: str) -> Answer:
        """Return what the hub knows of a run, as JSON."""
        return self._call("GET", f"runs/{_part(run_id)}")

    def history(self, scenario: str, limit: int) -> tuple[str, ...]:
        """Return the ids of the newest ended runs of a scenario, oldest first.

        The result is empty if the hub does not know the scenario.
        """
        try:
            answer = self._call("GET", f"scenarios/{_part(scenario)}/history?limit={limit}")
            return tuple(run["run_id"] for run in json.loads(answer.body)["runs"])
        except Refused as refused:
            if refused.status == 404:
                return ()
            raise
        except (ValueError, KeyError, TypeError):
            raise Away(f"{self.url}: expected a scenario's history, found something else; check the address") from None

    def download_results(self, run_id: str, file: Path) -> None:
        """Save the raw records of a run as a store in this file."""
        with self._answer("GET", f"runs/{_part(run_id)}/results.db") as response:
            _save(response, file)

    def _put(self, path: str, body: str | bytes) -> bool:
        """Send a body. Return whether it was stored; if not, the hub already had it."""
        return self._call("PUT", path, body).status == _STORED

    def _call(self, method: str, path: str, body: str | bytes | None = None) -> Answer:
        with self._answer(method, path, body) as response:
            return Answer(_bounded(response), _seconds_of(response.headers.get("Date", "")), response.status_code)

    @contextmanager
    def _answer(self, method: str, path: str, body: str | bytes | None = None) -> Iterator[httpx2.Response]:
        token = self._token if isinstance(self._token, str) else self._token()
        headers = {"Authorization": f"Bearer {token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            with self._http.stream(method, f"{self.url}/api/v1/{path}", content=body, headers=headers) as response:
                self._check(response)
                yield response
        except httpx2.HTTPError as error:
            raise Away(f"{self.url}: {_short(error)}") from None

    def _check(self, response: httpx2.Response) -> None:
        status = response.status_code
        if 200 <= status < 300:
            return
        refusal = _refusal(response)
        if status >= 500 or status in _MAY_PASS:
            raise Away(f"{self.url}: {status} {refusal.message}", _retry_after(response))
        raise Refused(f"{self.url} answers {status}: {refusal.message}", status, refusal.code)


def _part(text: str) -> str:
    return quote(text, safe="")


def _short(error: Exception) -> str:
    return printable(" ".join(str(error).split()) or type(error).__name__)[:200]


def _bounded(response: httpx2.Response) -> bytes:
    """Return the body, cut at the most bytes that an answer of a hub may have."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _BODY_BYTES_MOST:
            break
    return bytes(body)


def _refusal(response: httpx2.Response) -> Refusal:
    """Return the hub's reason, or a substitute if something in front of the hub has answered in another form."""
    try:
        refusal = Refusal.model_validate_json(_bounded(response))
        return Refusal(code=refusal.code[:100], message=printable(refusal.message)[:500])
    except ValueError:
        return Refusal(code="", message="the answer is not a hub's; check the address")


def _retry_after(response: httpx2.Response) -> float | None:
    """Return the header's seconds, from either of its forms, or None."""
    text = response.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return float(text[:9])
    then = _seconds_of(text)
    return None if then is None else max(0.0, then - time.time())


def _seconds_of(date: str) -> float | None:
    """Return the Unix time of a date in HTTP's format, or None if it is malformed."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _save(response: httpx2.Response, file: Path) -> None:
    try:
        with file.open("wb") as opened:
            for chunk in response.iter_bytes():
                if opened.tell() > _DOWNLOAD_BYTES_MOST:
                    raise CannotRun(
                        f"the run's results: expected at most {_DOWNLOAD_BYTES_MOST >> 30} GiB, found more."
                    )
                opened.write(chunk)
    except OSError as error:
        raise CannotRun(
            f"{file}: expected to write the hub's answer here, found: {error.strerror}. Make room."
        ) from None
