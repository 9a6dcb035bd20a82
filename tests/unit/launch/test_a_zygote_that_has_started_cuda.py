"""Nothing is forked from it: it says so, and launches of its engine get processes of their own, recorded as such."""

import os
import sys
from pathlib import Path

import pytest

from conftest import CommandLine
from stepmark import interpreters
from stepmark.cli.run_verb import Choices, run
from stepmark.launch import zygote
from stepmark.launch.spawn import Zygote, is_poisoned
from stepmark.results.store import SqliteStore


@pytest.fixture
def poisoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every zygote says that CUDA is up; other processes are what they are."""
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$2" = stepmark.launch.zygote ] && echo poisoned && exit 0\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o700)
    monkeypatch.setattr(interpreters, "python_of", lambda engine: str(python))
    monkeypatch.setattr(interpreters, "pythons", lambda: [sys.executable])


def test_it_says_so_and_serves_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(zygote, "cuda_is_up", lambda: True)
    monkeypatch.setattr(zygote.process, "die_with_parent", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["zygote", "sleeper", str(tmp_path / "z.sock")])
    zygote.main()
    assert capsys.readouterr().out == "poisoned\n"
    assert not os.listdir(tmp_path)


def test_all_ranks_of_its_node_are_told(tmp_path: Path, poisoned: None) -> None:
    started = Zygote("sleeper", tmp_path / "z.sock", {})
    assert not is_poisoned(started.path)
    assert not started.wait_until_ready()
    started.stop()
    assert is_poisoned(started.path)


def test_its_launches_are_fresh_and_their_records_say_so(stepmark: CommandLine, poisoned: None) -> None:
    scenario = stepmark.scenario(scale={"workers": [2], "batchPerWorker": 8})
    out = stepmark.folder / "out"
    run(scenario, out, Choices(resume=False, launcher="bare", fresh_process=False))
    store = SqliteStore.open(out)
    headers = list(store.headers())
    store.close()
    assert [(header.forked, header.failure) for header in headers] == [(False, None)] * 2
