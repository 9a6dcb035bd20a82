"""Nothing is forked from it: it says so, and launches of its engine get processes of their own, recorded as such."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import scenario_document
from stepmark import interpreters
from stepmark.launch import zygote
from stepmark.launch.spawn import Zygote, is_poisoned
from stepmark.orchestrate.driver import Options, Rules, measure
from stepmark.plan.blocks import make_plan
from stepmark.plan.cells import Machine
from stepmark.results.record import LaunchHeader, LaunchRecord
from stepmark.scenario.load import scenario_from_object


@pytest.fixture
def poisoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every zygote says that CUDA is up; other processes are what they are."""
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$2" = stepmark.launch.zygote ] && echo poisoned && exit 0\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o700)
    monkeypatch.setattr(interpreters, "python_of", lambda engine: str(python))


def test_it_says_so_and_serves_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(zygote, "cuda_is_up", lambda: True)
    monkeypatch.setattr("stepmark.launch.process.die_with_parent", lambda _: None)
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


class Kept:
    """What a run stores, and whom it tells of its progress."""

    def __init__(self) -> None:
        self.records: list[LaunchRecord] = []

    def headers(self) -> Iterator[LaunchHeader]:
        return iter(())

    def append(self, record: LaunchRecord) -> None:
        self.records.append(record)

    def certified(self) -> frozenset[str]:
        return frozenset()

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def test_its_launches_are_fresh_and_their_records_say_so(poisoned: None) -> None:
    scenario = scenario_from_object(scenario_document(scale={"workers": [2], "batchPerWorker": 8}))
    kept: Any = Kept()
    rules = Rules(precise_enough=lambda: True, disturbed=lambda _: None)
    measure(make_plan(scenario, Machine(places=2, programs=())), kept, kept, Options(launcher="bare"), rules)
    assert [(record.header.forked, record.header.failure) for record in kept.records] == [(False, None)] * 2
