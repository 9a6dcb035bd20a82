"""However a run ends, the hub is told how, and the run ends as it would have without a hub."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_hub import Fault, FaultyHub, Folder, faulty_hub

from stepmark.cli.options import HubChoices
from stepmark.cli.publishing import publishing
from stepmark.errors import CannotRun, Interrupted, Stopped
from stepmark.publish.access import TOKEN_VARIABLE
from stepmark.publish.identity import identity_of
from stepmark.telemetry.progress import Board


@pytest.fixture
def hub() -> Iterator[FaultyHub]:
    with faulty_hub() as found:
        yield found


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "smk_x")
    monkeypatch.setattr("stepmark.publish.backoff._FIRST_SECONDS", 0.01)


def run(folder: Folder, address: str, error: BaseException | None, attempt: str | None = None) -> None:
    with publishing(HubChoices(address, None, attempt, 20), folder.path, Board("test", 2)) as publisher:
        if error is not None:
            raise error
        publisher.measured(failed=False)


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (KeyboardInterrupt(), "interrupted", "stopped"),
        (Stopped(15), "interrupted", "stopped"),
        (Interrupted("Ray is gone"), "interrupted", "session-broke"),
        (CannotRun("no room"), "failed", "cannot-run"),
        (RuntimeError("a bug"), "failed", "unknown"),
    ],
)
def test_an_error_is_told_to_the_hub_and_raised_unchanged(
    tmp_path: Path, hub: FaultyHub, error: BaseException, outcome: str, reason: str
) -> None:
    folder = Folder(tmp_path / "run", 2)
    with pytest.raises(type(error)):
        run(folder, hub.address, error)
    final = hub.states[-1]
    assert (final["outcome"], final["reason"], final["launches"]) == (outcome, reason, 2)
    kept = identity_of(folder.path, "test", None).ended
    assert kept is not None
    assert (kept.outcome, kept.reason, kept.message) == (outcome, reason, final["message"])


@pytest.mark.parametrize(("failed", "outcome", "reason"), [(False, "complete", ""), (True, "failed", "launch-failed")])
def test_a_finished_plan_is_told_as_complete_or_with_its_failed_launches(
    tmp_path: Path, hub: FaultyHub, failed: bool, outcome: str, reason: str
) -> None:
    folder = Folder(tmp_path / "run", 2)
    with publishing(HubChoices(hub.address), folder.path, Board("test", 2)) as publisher:
        publisher.measured(failed)
    assert (hub.states[-1]["outcome"], hub.states[-1]["reason"]) == (outcome, reason)


def test_a_run_that_was_measured_is_complete_even_if_its_reports_cannot_be_written(
    tmp_path: Path, hub: FaultyHub
) -> None:
    folder = Folder(tmp_path / "run", 2)
    board = Board("test", 2)
    with pytest.raises(CannotRun), publishing(HubChoices(hub.address), folder.path, board) as publisher:  # noqa: PT012
        publisher.measured(failed=False)
        raise CannotRun("expected to write reports")
    assert hub.states[-1]["outcome"] == "complete"


def test_a_superseded_run_on_a_cluster_stops(tmp_path: Path, hub: FaultyHub) -> None:
    hub.faults = [Fault("executions", 409, "superseded")]
    folder = Folder(tmp_path / "run", 2)
    choices = HubChoices(hub.address, None, "nightly/1")
    with pytest.raises(Interrupted), publishing(choices, folder.path, Board("test", 2)) as publisher:  # noqa: PT012
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            publisher.go_on()
            time.sleep(0.01)
    assert not hub.states
    kept = identity_of(folder.path, "test", None).ended
    assert kept is not None
    assert kept.reason == "superseded"


def test_a_superseded_run_of_a_person_is_measured_to_its_end_and_then_says_so(
    tmp_path: Path, hub: FaultyHub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.faults = [Fault("executions", 409, "superseded")]
    folder = Folder(tmp_path / "run", 2)
    with pytest.raises(Interrupted, match="superseded"):
        run(folder, hub.address, None)
    assert "upload" not in capsys.readouterr().err


def test_a_hub_that_refuses_does_not_change_how_a_run_ends(
    tmp_path: Path, hub: FaultyHub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.faults = [Fault("attempts", 401, "unauthorized")]
    folder = Folder(tmp_path / "run", 2)
    run(folder, hub.address, None)
    said = capsys.readouterr().err
    assert "answers 401" in said
    assert f"Catch up with: stepmark upload {folder.path} --hub {hub.address}" in said


def test_a_run_for_a_hub_does_not_begin_without_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE)
    with pytest.raises(CannotRun, match="expected a token, found none"):
        run(Folder(tmp_path / "run", 2), "http://127.0.0.1:1", AssertionError("it began"))
