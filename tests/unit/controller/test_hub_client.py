"""The controller's side of the hub's API, against answers as the hub gives them."""

import hashlib
import itertools
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx2
import pytest
from worlds import scenario

from stepmark.controller.facts import AwaitedRun
from stepmark.controller.hub_client import HubClient
from stepmark.publish.client import Away, Refused
from stepmark.results.wire import AttemptEnd, Registration

DATE = {"Date": "Wed, 25 Nov 2026 12:01:00 GMT"}  # 1795608060
EXECUTION = {
    "execution_id": "e-1", "attempt": 1, "outcome": "running", "reason": "", "message": "", "claimed_at": 1795608000.0,
    "seen_at": 1795608050.0, "ended_at": None, "launches": 2, "launches_expected": None,
    "progress": {"launches_done": 2, "launches_total": 6},
}  # fmt: skip
RUN = {
    "run": {"run_id": "r", "verdict": ["torch is faster"], "outcome": "running"},
    "attempts": [{"number": 1, "created_at": 0.0, "executions": [EXECUTION]}],
    "settled": False,
    "problem": "",
}


def client(tmp_path: Path, answer: Callable[[httpx2.Request], httpx2.Response]) -> HubClient:
    (tmp_path / "token").write_text("smk_secret\n")
    return HubClient("http://hub", tmp_path / "token", httpx2.MockTransport(answer))


def test_an_attempt_is_registered_by_the_hash_of_its_token(tmp_path: Path) -> None:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(201)

    client(tmp_path, answer).register(scenario(), 2, "smk_write")
    assert (asked[0].method, asked[0].url.path) == ("PUT", "/api/v1/runs/00000000-cnn/attempts/2")
    assert asked[0].headers["Authorization"] == "Bearer smk_secret"
    body = Registration.model_validate_json(asked[0].content)
    assert body.token_sha256 == hashlib.sha256(b"smk_write").hexdigest()
    assert "smk_write" not in asked[0].content.decode()


def test_the_silence_of_a_driver_is_measured_by_the_hubs_own_clock(tmp_path: Path) -> None:
    view = client(tmp_path, lambda request: httpx2.Response(200, json=RUN, headers=DATE)).view("r", 1)
    assert view is not None
    assert view.execution is not None
    assert view.execution.silent_seconds == 10
    assert view.execution.progress == "2 of 6 launches"
    assert view.verdict == ("torch is faster",)


def test_the_view_of_an_attempt_has_no_executions_of_another_attempt(tmp_path: Path) -> None:
    view = client(tmp_path, lambda request: httpx2.Response(200, json=RUN, headers=DATE)).view("r", 2)
    assert view is not None
    assert view.executions == ()


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        (httpx2.Response(404), True),
        (httpx2.Response(503), False),
        (httpx2.Response(401), False),
        (httpx2.Response(200, content=b"<html>"), False),
        (httpx2.Response(200, json={"run": {}, "attempts": "none"}), False),
    ],
)
def test_a_run_that_the_hub_does_not_know_has_an_empty_view_and_a_failed_call_has_none(
    tmp_path: Path, answer: httpx2.Response, known: bool
) -> None:
    view = client(tmp_path, lambda request: answer).view("r", 1)
    assert (view is not None) is known


def test_the_error_of_a_hub_that_is_away_does_not_hold_the_token(tmp_path: Path) -> None:
    def away(request: httpx2.Request) -> Any:
        raise httpx2.ConnectError("refused")

    hub = client(tmp_path, away)
    with pytest.raises(Away) as error:
        hub.register(scenario(), 1, "smk_write")
    assert "smk_" not in str(error.value)
    assert hub.view("r", 1) is None


def test_a_refusal_has_the_hubs_message(tmp_path: Path) -> None:
    refusal = {"code": "conflict", "message": "another scenario has this run"}
    hub = client(tmp_path, lambda request: httpx2.Response(409, json=refusal))
    with pytest.raises(Refused, match="another scenario has this run"):
        hub.register(scenario(), 1, "smk_write")


def test_how_long_a_hub_has_answered_begins_anew_after_it_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("stepmark.controller.hub_client.monotonic", lambda: next(ticks))
    answers = iter([200, 404, 503, 404])
    hub = client(tmp_path, lambda request: httpx2.Response(next(answers), json=RUN))
    seen = [hub.view("r", 1) for _ in range(4)]
    assert [view and view.answering_seconds for view in seen] == [1, 2, None, 1]


def test_a_token_that_is_replaced_in_its_file_is_used_from_then_on(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers["Authorization"])
        return httpx2.Response(404)

    hub = client(tmp_path, answer)
    hub.view("r", 1)
    (tmp_path / "token").write_text("smk_new")
    hub.view("r", 1)
    assert asked == ["Bearer smk_secret", "Bearer smk_new"]


def test_a_missing_file_of_the_token_is_an_error_that_asks_for_a_token(tmp_path: Path) -> None:
    hub = HubClient("http://hub", tmp_path / "none", httpx2.MockTransport(lambda request: httpx2.Response(200)))
    with pytest.raises(Away, match="expected a token of the hub"):
        hub.register(scenario(), 1, "smk_write")


END = AttemptEnd(outcome="failed", reason="start-timeout", message="no node")


def test_an_attempts_end_is_told_with_the_controllers_token(tmp_path: Path) -> None:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(201)

    client(tmp_path, answer).end("r-1", 2, END)
    assert (asked[0].method, asked[0].url.path) == ("PUT", "/api/v1/runs/r-1/attempts/2/end")
    assert asked[0].headers["Authorization"] == "Bearer smk_secret"
    assert AttemptEnd.model_validate_json(asked[0].content) == END


@pytest.mark.parametrize(("status", "passes"), [(200, True), (403, True), (404, True), (409, True), (401, False)])
def test_an_end_that_the_hub_knows_or_may_not_take_is_no_error_and_a_wrong_token_is(
    tmp_path: Path, status: int, passes: bool
) -> None:
    hub = client(tmp_path, lambda request: httpx2.Response(status))
    with nullcontext() if passes else pytest.raises(Refused):
        hub.end("r-1", 2, END)


def test_telling_an_end_to_a_hub_that_is_away_raises_away(tmp_path: Path) -> None:
    with pytest.raises(Away):
        client(tmp_path, lambda request: httpx2.Response(503)).end("r-1", 2, END)


def test_the_runs_that_a_hub_waits_for_are_read_page_by_page(tmp_path: Path) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        asked = request.url.params
        if request.url.path.endswith("/runs/w-1"):
            return httpx2.Response(200, json={"run": {}, "attempts": [{"number": 1}, {"number": 3}]})
        assert asked["namespace"] == "team"
        line = {"name": "cnn", "namespace": "team", "run_id": "w-1", "attempt": None}
        if asked["outcome"] == "running":
            return httpx2.Response(200, json={"runs": [{**line, "run_id": "r-1", "attempt": 2}], "next_cursor": None})
        if "cursor" not in asked:
            return httpx2.Response(200, json={"runs": [line], "next_cursor": "more"})
        return httpx2.Response(200, json={"runs": []})

    found = client(tmp_path, answer).awaited("team")
    assert found == [AwaitedRun("w-1", "cnn", "team", 3), AwaitedRun("r-1", "cnn", "team", 2)]
