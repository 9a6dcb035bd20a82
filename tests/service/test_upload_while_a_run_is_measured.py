"""`stepmark run --hub` against a real hub: every launch arrives, and the measurement is the same as without a hub."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixed_hub import MEASUREMENT, FixedHub, identity, stored

from conftest import PATIENCE_SECONDS, CommandLine, wait_for_line
from stepmark.results.store import SqliteStore
from stepmark.results.wire import Registration

pytest_plugins = ["fixed_hub"]

MLP = {"model": "mlp", "params": {}}
WITHOUT_TORCH = f"""#!{sys.executable}
import importlib.util, runpy, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "torch" else find(name, *more)
sys.argv = sys.argv[2:]
runpy.run_module("stepmark.interpreters", run_name="__main__")
"""


def test_an_uploaded_run_is_complete_and_its_report_is_the_local_one(
    stepmark: CommandLine, lasting_hub: FixedHub, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    running = start(*lasting_hub.options)
    _, err = running.communicate(timeout=PATIENCE_SECONDS)
    out = stepmark.folder / "out"
    assert running.returncode == 0, err
    run = lasting_hub.run(out)["run"]
    assert f"hub: all of it is there, as run {run['run_id']}" in err
    assert (run["outcome"], run["progress"]["launches_done"], run["progress"]["launches_total"]) == ("complete", 4, 4)
    assert lasting_hub.launches(out) == 4
    done = stepmark("report", run["run_id"], *lasting_hub.options)
    assert done.returncode == 0, done.stderr
    assert stepmark.summary(stepmark.folder / "out" / run["run_id"]) == stepmark.summary(out)
    compared = stepmark("compare", run["run_id"], "./out", *lasting_hub.options, "--json")
    assert json.loads(compared.stdout)["passed"], compared.stderr
    again = stepmark("upload", "out", *lasting_hub.options)
    assert again.returncode == 0, again.stderr
    assert lasting_hub.run(out)["run"]["execution_id"] == identity(out)["execution_id"]
    assert lasting_hub.launches(out) == 4


def test_a_run_measures_the_same_with_a_hub_and_without(
    stepmark: CommandLine, lasting_hub: FixedHub, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    for out, options in (("with", lasting_hub.options), ("without", ())):
        running = start(*options, out=out)
        _, err = running.communicate(timeout=PATIENCE_SECONDS)
        assert running.returncode == 0, err
    assert shape(stepmark.folder / "with") == shape(stepmark.folder / "without")
    assert "hub.json" not in os.listdir(stepmark.folder / "without")


def shape(folder: Path) -> list[Any]:
    """Return everything of all launches but times, addresses and losses."""
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


def test_a_run_that_was_stopped_and_resumed_is_one_execution_at_the_hub(
    stepmark: CommandLine, lasting_hub: FixedHub, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    out = stepmark.folder / "out"
    running = start(*lasting_hub.options)
    wait_for_line(running, "[2/4]")
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 128 + signal.SIGTERM
    before = lasting_hub.run(out)
    assert (before["run"]["outcome"], before["run"]["reason"]) == ("interrupted", "stopped")
    assert lasting_hub.launches(out) == len(stored(out)) < 4
    resumed = start(*lasting_hub.options, "--resume")
    _, err = resumed.communicate(timeout=PATIENCE_SECONDS)
    assert resumed.returncode == 0, err
    assert lasting_hub.run(out)["run"]["execution_id"] == before["run"]["execution_id"]
    assert lasting_hub.run(out)["run"]["outcome"] == "complete"
    assert lasting_hub.launches(out) == 4


def test_the_results_of_a_killed_run_can_be_uploaded(
    stepmark: CommandLine, lasting_hub: FixedHub, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    out = stepmark.folder / "out"
    running = start()
    wait_for_line(running, "[2/4]")
    running.kill()
    running.communicate(timeout=PATIENCE_SECONDS)
    done = stepmark("upload", "out", *lasting_hub.options)
    assert done.returncode == 0, done.stderr
    found = lasting_hub.run(out)["run"]
    assert (found["outcome"], found["reason"]) == ("interrupted", "unknown")
    assert lasting_hub.launches(out) == len(stored(out))


def registered(stepmark: CommandLine, killable_hub: FixedHub, run: str) -> tuple[object, ...]:
    """Register the run's first attempt at the hub; return the options of its driver."""
    token = stepmark.folder / "write-token"
    token.write_text("smk_" + hashlib.sha256(run.encode()).hexdigest()[:43])
    registration = Registration(name="test", token_sha256=hashlib.sha256(token.read_bytes()).hexdigest())
    assert killable_hub.hub is not None
    with killable_hub.hub.client() as client:
        answer = client.put(f"/api/v1/runs/{run}/attempts/1", content=registration.model_dump_json())
    assert answer.status_code == 201, answer.text
    return ("--hub", killable_hub.url, "--hub-token-file", token, "--hub-attempt", f"{run}/1")


def test_an_execution_that_is_superseded_stops(
    stepmark: CommandLine, lasting_hub: FixedHub, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    options = registered(stepmark, lasting_hub, "nightly")
    hub = lasting_hub.hub
    assert hub is not None
    first = start(*options, out="first", measurement=MEASUREMENT | {"launches": 30})
    wait_for_line(first, "[1/30]")
    second = start(*options, out="second")
    _, err = first.communicate(timeout=PATIENCE_SECONDS)
    assert first.returncode == 1
    assert "The run ended early: another execution of this attempt has superseded this one" in err
    assert "upload" not in err
    _, err = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 0, err
    run = hub.get("/api/v1/runs/nightly")
    assert run["run"]["execution_id"] == identity(stepmark.folder / "second")["execution_id"]
    outcomes = {e["execution_id"]: (e["outcome"], e["launches"]) for e in run["attempts"][0]["executions"]}
    assert outcomes[run["run"]["execution_id"]] == ("complete", 4)
    assert outcomes[identity(stepmark.folder / "first")["execution_id"]][0] == "superseded"


def test_an_attempt_without_its_engine_reports_that_to_the_hub(
    stepmark: CommandLine, lasting_hub: FixedHub, start: Callable[..., "subprocess.Popen[str]"],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Whoever made the attempt must know that another one would end in the same way."""
    bare = stepmark.folder / "engines" / "torch" / "bin" / "python"
    bare.parent.mkdir(parents=True)
    bare.write_text(WITHOUT_TORCH)
    bare.chmod(0o755)
    monkeypatch.setenv("STEPMARK_ENGINE_PYTHONS", str(stepmark.folder / "engines"))
    options = registered(stepmark, lasting_hub, "cannot")
    running = start(*options, candidates=[{"name": "torch", "engine": "torch", "strategy": "ddp"}], workload=MLP)
    _, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 3, err
    assert "expected the module torch, found none" in err
    assert lasting_hub.hub is not None
    run = lasting_hub.hub.get("/api/v1/runs/cannot")["attempts"][0]["executions"][0]
    assert (run["outcome"], run["reason"]) == ("failed", "cannot-run")
    assert "engine torch: expected the module torch, found none" in run["message"]
