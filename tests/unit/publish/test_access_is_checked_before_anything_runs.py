from pathlib import Path

import pytest

from stepmark.errors import CannotRun
from stepmark.publish.access import TOKEN_VARIABLE, Attempt, access
from stepmark.publish.backoff import Backoff
from stepmark.publish.identity import FILE, Ended, identity_of

URL = "https://hub.example.com"


def test_a_token_in_the_environment_is_removed_from_it_when_it_is_read() -> None:
    environment = {TOKEN_VARIABLE: "smk_x"}
    assert access(URL, None, None, environment).token == "smk_x"
    assert environment == {}


def test_a_token_file_overrides_the_environment_and_may_end_with_a_newline(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("smk_file\n")
    assert access(URL, tmp_path / "token", None, {TOKEN_VARIABLE: "smk_x"}).token == "smk_file"


def test_a_token_is_not_shown_when_its_access_is_printed() -> None:
    assert "smk_x" not in repr(access(URL, None, None, {TOKEN_VARIABLE: "smk_x"}))


@pytest.mark.parametrize("token", ["", "two words", "smk_\x1b[31m", "x" * 5000])
def test_a_text_that_is_no_token_is_refused_and_not_repeated(tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_text(token)
    with pytest.raises(CannotRun, match="expected a token") as found:
        access(URL, tmp_path / "token", None, {})
    assert len(token) == 0 or token not in str(found.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_token_file_that_is_missing_or_not_text_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(CannotRun, match="Correct --hub-token-file"):
        access(URL, tmp_path / "token", None, {})


@pytest.mark.parametrize(
    "url",
    ["hub.example.com", "ftp://h", "http://", "http://h:0", "http://h:x", "http://h?a=b", "http://[", "http://h\n"],
)
def test_a_text_that_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(CannotRun, match="expected an address such as"):
        access(url, None, None, {TOKEN_VARIABLE: "smk_x"})


def test_a_secret_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(CannotRun, match="without a user or password") as found:
        access("https://me:pass-word@h", None, None, {TOKEN_VARIABLE: "smk_x"})
    assert "pass-word" not in str(found.value)


@pytest.mark.parametrize(
    ("url", "readable"),
    [
        ("http://hub.example.com", True),
        ("http://10.0.0.7:8080", True),
        ("http://127.0.0.1:8080", False),
        ("http://[::1]:8080", False),
        ("http://localhost", False),
        ("https://hub.example.com", False),
    ],
)
def test_only_plain_http_beyond_this_machine_is_readable_on_the_way(url: str, readable: bool) -> None:
    assert access(url, None, None, {TOKEN_VARIABLE: "t"}).is_readable_on_the_way is readable


def test_an_attempt_is_a_run_id_with_a_number_and_anything_else_is_refused() -> None:
    assert access(URL, None, "run-1/2", {TOKEN_VARIABLE: "t"}).attempt == Attempt("run-1", 2)
    for text in ("run-1", "run-1/", "/1", "Run/1", "run/0", "run/1/2", "run/x"):
        with pytest.raises(CannotRun, match="expected RUN_ID/NUMBER"):
            access(URL, None, text, {TOKEN_VARIABLE: "t"})


def test_a_folder_keeps_its_execution_and_holds_no_secret(tmp_path: Path) -> None:
    first = identity_of(tmp_path, "cnn", None)
    assert first.run_id.startswith("cnn-")
    assert identity_of(tmp_path, "cnn", None) == first
    first.model_copy(update={"ended": Ended(outcome="complete")}).save(tmp_path)
    again = identity_of(tmp_path, "cnn", Attempt(first.run_id, 1))
    assert (again.execution_id, again.ended) == (first.execution_id, Ended(outcome="complete"))
    assert "smk_" not in (tmp_path / FILE).read_text()


def test_another_attempt_is_another_execution(tmp_path: Path) -> None:
    first = identity_of(tmp_path, "cnn", Attempt("nightly", 1))
    second = identity_of(tmp_path, "cnn", Attempt("nightly", 2))
    assert (second.run_id, second.attempt) == ("nightly", 2)
    assert second.execution_id != first.execution_id
    assert identity_of(tmp_path, "cnn", None) == second


def test_a_damaged_identity_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(CannotRun, match="Delete the file"):
        identity_of(tmp_path, "cnn", None)


def test_waits_grow_to_a_limit_and_begin_anew_after_a_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepmark.publish.backoff.random.uniform", lambda _, high: high)
    backoff = Backoff()
    assert [backoff.next_seconds(None) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert backoff.next_seconds(None, most_seconds=2) == 2
    backoff.reset()
    assert backoff.next_seconds(None) == 0.5


def test_a_wait_that_the_hub_asks_for_is_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepmark.publish.backoff.random.uniform", lambda low, _: low)
    assert Backoff().next_seconds(17) == 17
    assert Backoff().next_seconds(1e9) == 300
