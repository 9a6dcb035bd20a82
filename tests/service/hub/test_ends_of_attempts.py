"""Attempts whose driver never reports an end, and attempts of a hub whose clock was set back."""

import re
import time
from typing import Any

import httpx2
import pytest

from running_hub import Hub, Results, Runner, hub_command
from stepmark.hub.database import Database
from stepmark.hub.rows import update
from stepmark.hub.tables import executions
from stepmark.results.wire import new_token

pytest_plugins = ["running_hub"]


def end(runner: Runner, number: int = 1, token: str | None = None, **changes: Any) -> int:
    body = {"outcome": "failed", "reason": "start-timeout", "message": "pod x: no image\n"} | changes
    path = f"/api/v1/runs/{runner.run_id}/attempts/{number}/end"
    return runner.put(path, body, token or runner.hub.admin_token).status_code


def line(runner: Runner) -> tuple[str, str]:
    run = runner.hub.get(f"/api/v1/runs/{runner.run_id}")["run"]
    return run["outcome"], run["reason"]


def test_an_attempt_that_was_ended_by_its_registrar_is_not_waited_for(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    assert line(runner) == ("waiting", "")
    assert [end(runner), end(runner, reason="driver-failed")] == [201, 200]
    assert line(runner) == ("failed", "start-timeout"), "the first end stands"
    [attempt] = hub.get(f"/api/v1/runs/{runner.run_id}")["attempts"]
    assert (attempt["reason"], attempt["message"]) == ("start-timeout", "pod x: no image\\n")
    series = httpx2.get(hub.metrics_url, timeout=120).text
    assert re.search(r'^stepmark_hub_runs{outcome="failed",reason="start-timeout"} [1-9]', series, re.M)
    assert re.search(r'^stepmark_run_state{.*outcome="failed",reason="start-timeout"', series, re.M)
    assert runner.run_id in [run["run_id"] for run in hub.get("/api/v1/runs", outcome="failed", limit=200)["runs"]]
    again = Runner(hub, results, runner.run_id, 2)
    assert again.register().status_code == 201
    assert line(runner) == ("waiting", ""), "a further attempt was registered"
    again.send_all()
    assert line(runner) == ("complete", "")


def test_an_end_by_the_registrar_closes_a_running_execution_to_its_driver(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.claim()
    assert end(runner, reason="driver-failed") == 201
    assert line(runner) == ("failed", "driver-failed")
    late = runner.state(5, "complete", launches=0)
    assert (late.status_code, late.json()["code"]) == (409, "ended")
    assert runner.launch(0).status_code == 201, "the hub still takes launches that were measured"
    done = hub.runner(results)
    done.send_all()
    assert end(done) == 201
    assert line(done) == ("complete", ""), "the end that the driver reported stands"


@pytest.mark.parametrize(
    ("by_driver", "by_registrar", "expected"),
    [
        (("interrupted", "stopped"), ("cancelled", "stopped"), ("cancelled", "stopped")),
        (("interrupted", "session-broke"), ("cancelled", "stopped"), ("cancelled", "stopped")),
        (("interrupted", "stopped"), ("failed", "deadline"), ("failed", "deadline")),
        (("interrupted", "session-broke"), ("failed", "worker-replaced"), ("interrupted", "session-broke")),
        (("failed", "launch-failed"), ("cancelled", "stopped"), ("failed", "launch-failed")),
    ],
)
def test_the_end_by_the_registrar_replaces_that_of_a_driver_that_was_stopped_or_cancelled(
    hub: Hub, results: Results, by_driver: tuple[str, str], by_registrar: tuple[str, str], expected: tuple[str, str]
) -> None:
    runner = hub.runner(results)
    runner.claim()
    assert runner.state(5, by_driver[0], reason=by_driver[1]).status_code == 201
    assert end(runner, outcome=by_registrar[0], reason=by_registrar[1]) == 201
    assert line(runner) == expected


@pytest.mark.parametrize(("change", "expected"), [({"reason": "x"}, 422), ({"outcome": "complete"}, 422)])
def test_an_end_with_an_unknown_reason_or_a_complete_outcome_is_refused(
    hub: Hub, results: Results, change: dict[str, Any], expected: int
) -> None:
    assert end(hub.runner(results), **change) == expected


def test_only_the_registrar_of_an_attempt_may_end_it(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    name = f"t{time.monotonic_ns()}"
    _, other = hub_command("token", "create", name, "--right", "register", "--database", hub.database_url)
    assert [end(runner, token=other.strip()), end(runner, token=runner.token), end(runner, token=new_token())] == [
        403, 403, 401,
    ]  # fmt: skip
    assert [end(runner, 7), end(Runner(hub, results, "nobodys"))] == [404, 404]


def test_the_newest_execution_counts_whatever_the_clock_says(hub: Hub, results: Results) -> None:
    """The clock is as if it was set back: the first execution was claimed in what is now the future."""
    first = hub.runner(results)
    first.claim()
    database = Database(hub.database_url)
    with database.write() as connection:
        row = connection.execute(executions.select().where(executions.c.execution_id == first.execution_id)).one()
        update(connection, executions, row, claimed_at=row.claimed_at + 3600)
    database.close()
    second = Runner(hub, results, first.run_id, token=first.token)
    second.send_all()
    view = hub.get(f"/api/v1/runs/{first.run_id}")
    assert view["run"]["execution_id"] == second.execution_id
    assert [one["execution_id"] for one in view["attempts"][0]["executions"]] == [
        second.execution_id, first.execution_id,
    ]  # fmt: skip


def test_a_runner_is_told_which_sequence_comes_next(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.claim()

    def sequence() -> int:
        with hub.client(runner.token) as client:
            return client.get(f"{runner.execution}/received?sequence=true").json()["sequence"]

    assert sequence() == -1
    runner.state(41)
    assert sequence() == 41
