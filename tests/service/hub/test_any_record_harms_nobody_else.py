"""Any value of any field, to its extremes, that the wire models accept leaves other runs with their figures."""

import copy
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from running_hub import Hub, Results, Runner, serve
from stepmark.results.wire import Claim

pytest_plugins = ["running_hub"]

EXAMPLES = int(os.environ.get("STEPMARK_FUZZ_EXAMPLES", "120"))
"""The number of examples. A longer fuzzing run sets more of them."""
EXTREMES: tuple[Any, ...] = (
    -1, 0, 1, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 10**30, -(10**30), 0.5, 1e308, -1e308, 5e-324,
    "NaN", "Infinity", "-Infinity", "", "x" * 5000, "\0", "\ud7ff", None, True, [], {}, [[]], [0] * 2000,
)  # fmt: skip
Path_ = tuple[str | int, ...]


def leaves(value: Any, at: Path_ = ()) -> Iterator[Path_]:
    """Yield the path of every value in a JSON document."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*at, key))
    if at:
        yield at


def changed(body: dict[str, Any], at: Path_, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(body)
    inner: Any = made
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return made


@pytest.fixture(scope="module")
def one_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("any")
    started = serve(folder, f"sqlite:///{folder / 'hub.db'}")
    yield started
    assert started.end() == 0


def send(runner: Runner, bodies: dict[str, Any]) -> list[int]:
    """Send a run of one launch with these bodies, one of which was changed, and return the status codes."""
    attempt = f"/api/v1/runs/{runner.run_id}/attempts/1"
    calls = {
        "claim": f"{attempt}/executions/{runner.execution_id}",
        "launch": f"{runner.execution}/launches/{runner.results.rows[0][0]}",
        "state": f"{runner.execution}/state",
    }
    return [runner.put(path, bodies[name]).status_code for name, path in calls.items()]


def test_any_value_in_any_field_is_refused_or_harms_no_other_run(one_hub: Hub, results: Results) -> None:
    progress = {"launches_done": 1, "launches_total": 1, "cell": "c", "global_samples_per_second": 1.0}
    state = {"sequence": 1, "outcome": "complete", "reason": "", "message": "", "launches": 1, "progress": progress}
    bodies: dict[str, Any] = {
        "claim": json.loads(Claim(run=results.run).model_dump_json()), "launch": results.rows[0][1], "state": state,
    }  # fmt: skip
    ways = {kind: sorted(set(leaves(body)), key=repr) for kind, body in bodies.items()}
    sent: list[str] = []

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
    )  # fmt: skip
    @given(st.sampled_from(sorted(ways)).flatmap(lambda k: st.tuples(st.just(k), st.sampled_from(ways[k]))),
           st.sampled_from(EXTREMES))  # fmt: skip
    def tried(where: tuple[str, Path_], value: Any) -> None:
        kind, at = where
        runner = one_hub.runner(results)
        answers = send(runner, bodies | {kind: changed(bodies[kind], at, value)})
        assert set(answers) <= {200, 201, 403, 404, 409, 422}, (kind, at, value, answers)
        sent.append(runner.run_id)

    tried()
    innocent = one_hub.runner(results)
    innocent.send_all()
    assert one_hub.wait_until_derived(innocent.run_id)["cells"]
    with one_hub.client() as client:
        for run_id in sent:
            assert client.get(f"/api/v1/runs/{run_id}/results.db").status_code in (200, 404)
    assert "Traceback" not in one_hub.log.read_text()


@pytest.mark.parametrize("at", [("environment", "load_average_1m"), ("environment", "cgroup_cpu_limit")])
def test_a_claim_with_nan_in_place_of_a_number_is_refused(one_hub: Hub, results: Results, at: Path_) -> None:
    runner = one_hub.runner(results)
    body = changed(json.loads(results.run.model_dump_json()), at, "NaN")
    path = f"/api/v1/runs/{runner.run_id}/attempts/1/executions/{runner.execution_id}"
    assert runner.put(path, {"run": body}).status_code == 422
