"""What the verbs `compare` and `forecast` refuse, and with which exit code. They run in this process."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stepmark.cli.main import run_app
from stepmark.cli.verbs.forecast import targets_of

Ended = Callable[..., int]
Capture = pytest.CaptureFixture[str]
NO_COUNTS = ["8,x", "", "8,,16", "-1", "1.5", "²", "0", "1000001", ",".join(map(str, range(1, 70)))]


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ended:
    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["stepmark", *arguments])
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("signal.signal", lambda *_: None)
        return run_app()

    return run


@pytest.mark.parametrize("text", NO_COUNTS)
def test_a_text_that_is_no_list_of_worker_counts_is_refused(ended: Ended, capfd: Capture, text: str) -> None:
    assert ended("forecast", ".", f"--workers={text}") == 2
    assert "--workers: expected" in capfd.readouterr().err


def test_worker_counts_keep_their_order_and_duplicates_are_dropped() -> None:
    assert targets_of("16, 8,16") == (16, 8)


@pytest.mark.parametrize("effect", ["nan", "-0.1", "2"])
def test_a_minimum_effect_outside_its_range_is_refused(ended: Ended, effect: str) -> None:
    assert ended("compare", ".", ".", f"--minimum-effect={effect}") == 2


@pytest.mark.parametrize("command", [("compare", ".", "."), ("forecast", ".", "--workers=2")])
def test_a_folder_without_results_ends_with_exit_code_3(ended: Ended, capfd: Capture, command: tuple[str, ...]) -> None:
    assert ended(*command) == 3
    assert "expected the results of a run" in capfd.readouterr().err


@pytest.mark.parametrize("verb", ["compare", "forecast"])
def test_the_help_of_both_verbs_is_longer_than_ten_lines(ended: Ended, capfd: Capture, verb: str) -> None:
    assert ended(verb, "--help") == 0
    assert len(capfd.readouterr().out.splitlines()) > 10
