"""The controller's side of the hub's API, against answers as the hub gives them."""

import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from worlds import scenario

from stepmark.controller.hub_client import HubClient
from stepmark.publish.client import Away, Refused
from stepmark.results.wire import Registration, State

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


def test_silence_is_measured_by_the_hubs_own_clock(tmp_path: Path) -> None:
    view = client(tmp_path, lambda request: httpx2.Response(200, json=RUN, headers=DATE)).view("r", 1)
    assert view is not None
    assert view.execution is not None
    assert view.execution.silent_seconds == 10
    assert view.execution.progress == "2 of 6 launches"
    assert view.verdict == ("torch is faster",)


def test_another_attempts_executions_are_not_this_ones(tmp_path: Path) -> None:
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
def test_only_a_hub_that_answers_says_that_nothing_was_claimed(
    tmp_path: Path, answer: httpx2.Response, known: bool
) -> None:
    view = client(tmp_path, lambda request: answer).view("r", 1)
    assert (view is not None) is known


def test_a_hub_that_is_away_is_an_error_without_the_token(tmp_path: Path) -> None:
    def away(request: httpx2.Request) -> Any:
        raise httpx2.ConnectError("refused")

    hub = client(tmp_path, away)
    with pytest.raises(Away) as error:
        hub.register(scenario(), 1, "smk_write")
    assert "smk_" not in str(error.value)
    assert hub.view("r", 1) is None


def test_a_refusal_is_said_in_the_hubs_words(tmp_path: Path) -> None:
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


def test_a_token_that_is_replaced_is_used_from_then_on(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers["Authorization"])
        return httpx2.Response(404)

    hub = client(tmp_path, answer)
    hub.view("r", 1)
    (tmp_path / "token").write_text("smk_new")
    hub.view("r", 1)
    assert asked == ["Bearer smk_secret", "Bearer smk_new"]


def test_a_token_that_is_missing_is_said(tmp_path: Path) -> None:
    hub = HubClient("http://hub", tmp_path / "none", httpx2.MockTransport(lambda request: httpx2.Response(200)))
    with pytest.raises(Away, match="expected a token of the hub"):
        hub.register(scenario(), 1, "smk_write")


def test_a_cancelled_execution_is_marked_with_its_own_token_and_the_last_word(tmp_path: Path) -> None:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200)

    client(tmp_path, answer).cancel("e-1", "smk_write")
    assert asked[0].headers["Authorization"] == "Bearer smk_write"
    state = State.model_validate_json(asked[0].content)
    assert (state.outcome, state.sequence) == ("cancelled", 2**53)
    assert json.loads(asked[0].content)["outcome"] == "cancelled"
