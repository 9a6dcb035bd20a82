"""`stepmark run --hub` against a real hub: it comes and goes, the run does not notice, and nothing is lost."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine, wait_for_line
from running_hub import Hub, serve
from stepmark.results.store import SqliteStore
from stepmark.results.wire import Registration

MEASUREMENT = {"launches": 4, "minSteps": 60, "minSeconds": 0, "warmupSteps": 1, "warmupSeconds": 0}

MLP = {"model": "mlp", "params": {}}
WITHOUT_TORCH = f"""#!{sys.executable}
import importlib.util, runpy, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "torch" else find(name, *more)
sys.argv = sys.argv[2:]
runpy.run_module("stepmark.interpreters", run_name="__main__")
"""


@dataclass
class House:
    """A hub at an address that stays the same, whether it is there or not."""

    folder: Path
    port: int = field(default_factory=lambda: free_port())
    hub: Hub | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def options(self) -> tuple[object, ...]:
        return ("--hub", self.url, "--hub-token-file", self.folder / "admin-token")

    def begin(self) -> Hub:
        self.hub = serve(self.folder, f"sqlite:///{self.folder}/hub.db", "--listen", f"127.0.0.1:{self.port}")
        return self.hub

    def kill(self) -> None:
        if self.hub is not None:
            self.hub.process.kill()
            self.hub.process.wait()

    def run(self, folder: Path) -> Any:
        """What the hub says of the folder's run."""
        assert self.hub is not None
        return self.hub.get(f"/api/v1/runs/{identity(folder)['run_id']}")

    def launches(self, folder: Path) -> int:
        """How many launches the hub has of the only execution of the folder's run."""
        [attempt] = self.run(folder)["attempts"]
        [execution] = attempt["executions"]
        return execution["launches"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def identity(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "hub.json").read_text())


def stored(folder: Path) -> set[str]:
    store = SqliteStore.open(folder)
    try:
        return set(store.launch_ids())
    finally:
        store.close()


def build(folder: Path) -> House:
    """Nobody is at home yet, but the token is known."""
    folder.mkdir()
    (folder / "admin-token").write_text("smk_" + "t" * 43)
    return House(folder)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    found = build(tmp_path / "hub")
    yield found
    found.kill()


@pytest.fixture(scope="module")
def open_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A hub that nobody kills."""
    found = build(tmp_path_factory.mktemp("open") / "hub")
    found.begin()
    yield found
    found.kill()


@pytest.fixture
def start(stepmark: CommandLine) -> Callable[..., "subprocess.Popen[str]"]:
    def begin(*options: object, out: str = "out", **changes: Any) -> "subprocess.Popen[str]":
        file = stepmark.scenario(**{"measurement": MEASUREMENT} | changes)
        return stepmark.start("run", file, "--launcher", "bare", "--out", out, *options)

    return begin


def test_a_run_is_whole_in_the_hub_and_its_report_there_is_the_same(
    stepmark: CommandLine, open_house: House, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    running = start(*open_house.options)
    _, err = running.communicate(timeout=120)
    out = stepmark.folder / "out"
    assert running.returncode == 0, err
    run = open_house.run(out)["run"]
    assert f"hub: all of it is there, as run {run['run_id']}" in err
    assert (run["outcome"], run["progress"]["launches_done"], run["progress"]["launches_total"]) == ("complete", 4, 4)
    assert open_house.launches(out) == 4
    done = stepmark("report", run["run_id"], *open_house.options)
    assert done.returncode == 0, done.stderr
    assert stepmark.summary(stepmark.folder / "out" / run["run_id"]) == stepmark.summary(out)
    compared = stepmark("compare", run["run_id"], "./out", *open_house.options, "--json")
    assert json.loads(compared.stdout)["passed"], compared.stderr
    again = stepmark("upload", "out", *open_house.options)
    assert again.returncode == 0, again.stderr
    assert open_house.run(out)["run"]["execution_id"] == identity(out)["execution_id"]
    assert open_house.launches(out) == 4


def test_what_is_measured_is_the_same_with_a_hub_and_without(
    stepmark: CommandLine, open_house: House, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    for out, options in (("with", open_house.options), ("without", ())):
        running = start(*options, out=out)
        _, err = running.communicate(timeout=120)
        assert running.returncode == 0, err
    assert shape(stepmark.folder / "with") == shape(stepmark.folder / "without")
    assert "hub.json" not in os.listdir(stepmark.folder / "without")


def test_a_hub_that_comes_late_gets_all(
    stepmark: CommandLine, house: House, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    running = start(*house.options)
    wait_for_line(running, "hub: not available")
    wait_for_line(running, "[1/4]")
    house.begin()
    _, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert house.launches(stepmark.folder / "out") == 4


def test_a_hub_that_is_killed_and_comes_back_has_lost_nothing(
    stepmark: CommandLine, house: House, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    house.begin()
    running = start(*house.options)
    wait_for_line(running, "[2/4]")
    house.kill()
    wait_for_line(running, "[3/4]")
    house.begin()
    _, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert "all of it is there" in err
    assert house.launches(stepmark.folder / "out") == 4
    assert house.run(stepmark.folder / "out")["run"]["outcome"] == "complete"


def test_a_hub_that_is_away_at_the_end_changes_nothing_and_upload_catches_up(
    stepmark: CommandLine, house: House, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    house.begin()
    running = start(*house.options, "--hub-drain-seconds", "0.5")
    wait_for_line(running, "[2/4]")
    house.kill()
    _, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert "hub: not all of it is there" in err
    assert f"Catch up with: stepmark upload out --hub {house.url}" in err
    failed = stepmark("upload", "out", *house.options, "--hub-drain-seconds", "0.5")
    assert failed.returncode == 3
    assert f"Try again with: stepmark upload out --hub {house.url}" in failed.stderr
    house.begin()
    done = stepmark("upload", "out", *house.options)
    assert done.returncode == 0, done.stderr
    assert "has all 4 launches" in done.stdout
    assert house.launches(stepmark.folder / "out") == 4
    assert house.run(stepmark.folder / "out")["run"]["outcome"] == "complete"


def test_a_run_that_is_stopped_and_resumed_is_one_execution(
    stepmark: CommandLine, open_house: House, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    out = stepmark.folder / "out"
    running = start(*open_house.options)
    wait_for_line(running, "[2/4]")
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=60)
    assert running.returncode == 128 + signal.SIGTERM
    before = open_house.run(out)
    assert (before["run"]["outcome"], before["run"]["reason"]) == ("interrupted", "stopped")
    assert open_house.launches(out) == len(stored(out)) < 4
    resumed = start(*open_house.options, "--resume")
    _, err = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, err
    assert open_house.run(out)["run"]["execution_id"] == before["run"]["execution_id"]
    assert open_house.run(out)["run"]["outcome"] == "complete"
    assert open_house.launches(out) == 4


def test_what_a_killed_run_has_left_can_be_uploaded(
    stepmark: CommandLine, open_house: House, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    out = stepmark.folder / "out"
    running = start()
    wait_for_line(running, "[2/4]")
    running.kill()
    running.communicate(timeout=60)
    done = stepmark("upload", "out", *open_house.options)
    assert done.returncode == 0, done.stderr
    found = open_house.run(out)["run"]
    assert (found["outcome"], found["reason"]) == ("interrupted", "unknown")
    assert open_house.launches(out) == len(stored(out))


def registered(stepmark: CommandLine, house: House, run: str) -> tuple[object, ...]:
    """Options of the driver of this run's first attempt, of which the hub knows."""
    token = stepmark.folder / "write-token"
    token.write_text("smk_" + hashlib.sha256(run.encode()).hexdigest()[:43])
    registration = Registration(name="test", token_sha256=hashlib.sha256(token.read_bytes()).hexdigest())
    assert house.hub is not None
    with house.hub.client() as client:
        answer = client.put(f"/api/v1/runs/{run}/attempts/1", content=registration.model_dump_json())
    assert answer.status_code == 201, answer.text
    return ("--hub", house.url, "--hub-token-file", token, "--hub-attempt", f"{run}/1")


def test_a_second_execution_supersedes_the_first_which_stops(
    stepmark: CommandLine, open_house: House, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    options = registered(stepmark, open_house, "nightly")
    hub = open_house.hub
    assert hub is not None
    first = start(*options, out="first", measurement=MEASUREMENT | {"launches": 30})
    wait_for_line(first, "[1/30]")
    second = start(*options, out="second")
    _, err = first.communicate(timeout=120)
    assert first.returncode == 1
    assert "The run ended early: another execution of this attempt has superseded this one" in err
    assert "upload" not in err
    _, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    run = hub.get("/api/v1/runs/nightly")
    assert run["run"]["execution_id"] == identity(stepmark.folder / "second")["execution_id"]
    outcomes = {e["execution_id"]: (e["outcome"], e["launches"]) for e in run["attempts"][0]["executions"]}
    assert outcomes[run["run"]["execution_id"]] == ("complete", 4)
    assert outcomes[identity(stepmark.folder / "first")["execution_id"]][0] == "superseded"


def shape(folder: Path) -> list[Any]:
    """Everything of all launches but times, addresses and losses."""
    store = SqliteStore.open(folder)
    try:
        found = []
        for record in store.records():
            header = json.loads(record.header.model_dump_json(exclude={"started_at", "wall_seconds"}))
            for rank in header["ranks"]:
                for name in ("startup_seconds", "peak_memory_bytes", "parts", "interference"):
                    rank[name] = rank[name] is not None
                for window in rank["windows"]:
                    del window["host_nanoseconds"]
            found.append((header, record.step_nanoseconds.shape))
        return found
    finally:
        store.close()


def test_an_attempt_whose_engine_is_not_installed_says_so_at_the_hub(
    stepmark: CommandLine, open_house: House, start: Callable[..., "subprocess.Popen[str]"],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Whoever made the attempt must know that another one would end in the same way."""
    bare = stepmark.folder / "engines" / "torch" / "bin" / "python"
    bare.parent.mkdir(parents=True)
    bare.write_text(WITHOUT_TORCH)
    bare.chmod(0o755)
    monkeypatch.setenv("STEPMARK_ENGINE_PYTHONS", str(stepmark.folder / "engines"))
    options = registered(stepmark, open_house, "cannot")
    running = start(*options, candidates=[{"name": "torch", "engine": "torch", "strategy": "ddp"}], workload=MLP)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 3, err
    assert "expected the module torch, found none" in err
    assert open_house.hub is not None
    run = open_house.hub.get("/api/v1/runs/cannot")["attempts"][0]["executions"][0]
    assert (run["outcome"], run["reason"]) == ("failed", "cannot-run")
    assert "engine torch: expected the module torch, found none" in run["message"]
