"""The hub keeps everything that runners send exactly once, in whatever order and however often it arrives."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from running_hub import Hub, Results, Runner
from stepmark.results.record import pack_steps, unpack_steps

pytest_plugins = ["running_hub"]


def received(runner: Runner) -> Any:
    return runner.hub.get(f"{runner.execution}/received")


def test_a_whole_run_arrives_and_gets_the_figures_of_its_runner(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.send_all()
    view = hub.get(f"/api/v1/runs/{runner.run_id}")
    assert (view["run"]["outcome"], view["attempts"][0]["executions"][0]["launches"]) == ("complete", len(results.rows))
    assert hub.wait_until_derived(runner.run_id) == json.loads((results.folder / "summary.json").read_text())


def test_a_repeated_upload_changes_nothing(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.send_all()
    before = received(runner), hub.wait_until_derived(runner.run_id)
    ended = runner.state(1, "complete", launches=len(results.rows))
    calls = [runner.register(), runner.claim(), runner.launch(0), ended]
    assert [answer.status_code for answer in calls] == [200] * len(calls)
    assert (received(runner), hub.wait_until_derived(runner.run_id)) == before


def test_launches_may_arrive_in_any_order_and_after_the_end(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.claim()
    runner.state(7, "complete", launches=len(results.rows))
    for index in reversed(range(len(results.rows))):
        assert runner.launch(index).status_code == 201
    other = hub.runner(results)
    other.send_all()
    assert hub.wait_until_derived(runner.run_id) == hub.wait_until_derived(other.run_id)


def test_a_launch_that_was_made_again_is_kept_beside_the_first(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.claim()
    first, body = results.rows[0]
    again = first.replace("b000.", "b000a1.")
    header = body["header"] | {"launch_id": again, "attempt": 1}
    for launch_id, attempt, status in ((again, 1, 201), (again, 1, 200), (again, 2, 422), (first, 0, 201)):
        sent = body | {"header": header | {"launch_id": launch_id, "attempt": attempt}}
        assert runner.put(f"{runner.execution}/launches/{launch_id}", sent).status_code == status
    assert sorted(received(runner)["launches"]) == sorted([first, again])


def test_steps_by_the_devices_clock_are_kept_and_compared_too(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.claim()
    launch_id, body = results.rows[0]
    host, _ = unpack_steps(base64.b64decode(body["steps_npz"]))
    device = np.ones((len(host), 3), dtype=np.int64)
    for by_device, status in ((device, 201), (device, 200), (2 * device, 409), (None, 409)):
        sent = body | {"steps_npz": base64.b64encode(pack_steps(host, by_device)).decode()}
        assert runner.put(f"{runner.execution}/launches/{launch_id}", sent).status_code == status


def test_an_older_state_does_not_undo_a_newer_one(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.claim()
    assert runner.state(5, "failed", reason="launch-failed").status_code == 201
    assert runner.state(4).status_code == 200
    assert hub.get(f"/api/v1/runs/{runner.run_id}")["run"]["outcome"] == "failed"


def test_other_contents_under_a_known_name_are_refused(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.send_all()
    launch_id, body = results.rows[0]
    other = body | {"header": body["header"] | {"wall_seconds": 1e6}}
    answers = [
        runner.put(f"{runner.execution}/launches/{launch_id}", other),
        runner.state(1, "failed"),
        runner.register(name="another"),
    ]
    assert [(a.status_code, a.json()["code"]) for a in answers] == [(409, "conflict")] * 3
    assert runner.launch(0).status_code == 200


def test_a_second_execution_supersedes_the_first(hub: Hub, results: Results) -> None:
    first = hub.runner(results)
    first.send_all()
    hub.wait_until_derived(first.run_id)
    second = Runner(hub, results, first.run_id, 1, token=first.token)
    assert second.claim().status_code == 201
    for answer in (first.launch(0), first.state(9), first.claim()):
        assert (answer.status_code, answer.json()["code"]) == (409, "superseded")
    assert received(second)["launches"] == []
    second.launch(0)
    view = hub.get(f"/api/v1/runs/{first.run_id}")
    assert (view["run"]["execution_id"], view["run"]["outcome"]) == (second.execution_id, "running")
    assert {e["outcome"] for e in view["attempts"][0]["executions"]} == {"running", "superseded"}


def test_a_resumed_execution_accepts_further_launches(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.claim()
    runner.launch(0)
    runner.state(3, "interrupted", reason="stopped")
    assert runner.claim().status_code == 200
    assert runner.state(4).status_code == 201
    assert received(runner)["launches"] == [results.rows[0][0]]
    assert runner.launch(1).status_code == 201
    assert hub.get(f"/api/v1/runs/{runner.run_id}")["run"]["outcome"] == "running"


def test_a_later_attempt_counts_even_if_an_earlier_one_reports_last(hub: Hub, results: Results) -> None:
    second = hub.runner(results, number=2)
    second.claim()
    first = hub.runner(results, second.run_id, number=1)
    assert first.claim().status_code == 201
    assert hub.get(f"/api/v1/runs/{first.run_id}")["run"]["execution_id"] == second.execution_id


@pytest.mark.parametrize(
    "change",
    [
        {"scenario_digest": "0" * 64},
        {"block": 99, "launch_id": "b099.plain.eager.float32.w1"},
        {"launch_id": "b001.another"},
        {"schema_version": 99},
        {"surprise": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_launch_of_another_scenario_or_schema_is_refused(hub: Hub, results: Results, change: dict[str, Any]) -> None:
    runner = hub.runner(results)
    runner.claim()
    body = results.rows[0][1]
    header = body["header"] | change
    answer = runner.put(f"{runner.execution}/launches/{header['launch_id']}", body | {"header": header})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert received(runner)["launches"] == []


def test_a_launch_under_the_name_of_another_is_refused(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.claim()
    answer = runner.put(f"{runner.execution}/launches/{results.rows[1][0]}", results.rows[0][1])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_a_claim_whose_digest_is_not_its_scenarios_is_refused(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.results = Results(
        results.folder, results.run.model_copy(update={"scenario_digest": "0" * 64}), results.rows, ()
    )  # fmt: skip
    answer = runner.claim()
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_a_deleted_run_is_removed_with_all_its_records(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.send_all()
    hub.wait_until_derived(runner.run_id)
    with hub.client() as client:
        assert client.delete(f"/api/v1/runs/{runner.run_id}").status_code == 204
        assert client.get(f"/api/v1/runs/{runner.run_id}").status_code == 404
        assert client.get(f"{runner.execution}/received").status_code == 404
