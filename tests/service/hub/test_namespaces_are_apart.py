"""A run belongs to its registrar, and figures, histories and series of one namespace hold nothing of another."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from running_hub import Hub, Results, Runner, hub_command, serve
from stepmark.hub import rights
from stepmark.results.wire import Registration, new_token, token_sha256
from varied_results import slower

pytest_plugins = ["running_hub"]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Serve a hub for this file alone, since other tests find histories by the scenario's name only."""
    folder = tmp_path_factory.mktemp("namespaces")
    file = f"sqlite:///{folder / 'hub.db'}"
    started = serve(folder, file if request.param == "sqlite" else request.getfixturevalue("postgres").new_database())
    yield started
    assert started.end() == 0


def token_for(hub: Hub, right: str, *namespaces: str) -> str:
    words = [word for namespace in namespaces for word in ("--namespace", namespace)]
    name = f"t{time.monotonic_ns()}"
    code, said = hub_command("token", "create", name, "--right", right, *words, "--database", hub.database_url)
    assert code == 0, said
    return said.strip()


def register(hub: Hub, token: str, run_id: str, number: int = 1, namespace: str | None = None) -> int:
    body = Registration(name="test", namespace=namespace, token_sha256=token_sha256(new_token()))
    with hub.client(token) as client:
        path = f"/api/v1/runs/{run_id}/attempts/{number}"
        return client.put(path, content=body.model_dump_json()).status_code


def test_only_the_registrar_of_a_run_registers_its_attempts(hub: Hub, results: Results) -> None:
    mine, other = token_for(hub, "register"), token_for(hub, "register")
    run_id = f"run-{time.monotonic_ns()}"
    assert register(hub, mine, run_id) == 201
    assert [register(hub, other, run_id), register(hub, other, run_id, 99)] == [403, 403]
    assert [register(hub, mine, run_id), register(hub, mine, run_id, 2)] == [201, 201]
    assert register(hub, hub.admin_token, run_id) == 201, "an administrator may"


def test_a_bound_token_registers_only_in_its_namespaces(hub: Hub) -> None:
    bound, twice = token_for(hub, "register", "team-a"), token_for(hub, "register", "team-a", "team-b")
    names = [f"run-{time.monotonic_ns()}-{index}" for index in range(5)]
    assert register(hub, bound, names[0], namespace="team-b") == 403
    assert register(hub, bound, names[1], namespace="team-a") == 201
    assert register(hub, bound, names[2]) == 201, "a token of one namespace need not name it"
    assert hub.get(f"/api/v1/runs/{names[2]}")["run"]["namespace"] == "team-a"
    assert register(hub, twice, names[3]) == 403, "a token of two namespaces must name one"
    assert register(hub, twice, names[4], namespace="team-b") == 201


@pytest.fixture(scope="module")
def two_teams(hub: Hub, results: Results) -> tuple[Runner, Runner]:
    """Send the same scenario in two namespaces; the steps of the second are three times as long."""
    made = []
    for namespace, sent in (("apart-a", results), ("apart-b", slower(results, 3))):
        runner = Runner(hub, sent, f"of-{namespace}-{time.monotonic_ns()}")
        assert runner.register(namespace=namespace).status_code == 201
        runner.send_all()
        hub.wait_until_derived(runner.run_id)
        made.append(runner)
    return made[0], made[1]


def test_histories_and_series_of_two_namespaces_are_apart(hub: Hub, two_teams: tuple[Runner, Runner]) -> None:
    for runner, namespace in zip(two_teams, ("apart-a", "apart-b"), strict=True):
        found = hub.get("/api/v1/scenarios/test/history", namespace=namespace, limit=200)
        assert [run["run_id"] for run in found["runs"]] == [runner.run_id]
        series = re.findall(
            rf'^stepmark_throughput_samples_per_second{{.*scenario_namespace="{namespace}".*}}',
            httpx2.get(hub.metrics_url, timeout=120).text, re.M,
        )  # fmt: skip
        assert len(series) == 4
    with hub.client() as client:
        answer = client.get("/api/v1/scenarios/test/history")
        assert (answer.status_code, "apart-a, apart-b" in answer.json()["message"]) == (422, True)


def test_a_bound_reader_sees_only_its_namespace(hub: Hub, two_teams: tuple[Runner, Runner]) -> None:
    own, foreign = (runner.run_id for runner in two_teams)
    token = token_for(hub, "read", "apart-a")
    with hub.client(token) as client:
        assert [run["run_id"] for run in client.get("/api/v1/runs").json()["runs"]] == [own]
        for part in ("", "/summary", "/results.db", "/steps.parquet"):
            assert client.get(f"/api/v1/runs/{own}{part}").status_code == 200
            assert client.get(f"/api/v1/runs/{foreign}{part}").status_code == 404
        assert client.get("/api/v1/scenarios/test/history").json()["runs"][0]["run_id"] == own
        assert client.get("/api/v1/scenarios/test/history", params={"namespace": "apart-b"}).status_code == 404
    with hub.client("", cookies={rights.COOKIE: hub.session(token)}) as client:
        pages = {path: client.get(path) for path in (
            "/", "/rows", f"/runs/{own}", f"/runs/{foreign}", f"/runs/{foreign}/state",
            f"/compare?old={own}&new={foreign}", f"/compare?run={own}&run={foreign}", "/scenarios/test",
        )}  # fmt: skip
    assert [answer.status_code for answer in pages.values()] == [200, 200, 200, 404, 404, 200, 200, 200]
    shown = {path: foreign in answer.text for path, answer in pages.items() if foreign not in path}
    assert not any(shown.values()), shown
    assert "expected a run that has figures" in pages[f"/compare?old={own}&new={foreign}"].text


def test_an_option_binds_the_mounted_register_token_to_a_namespace(
    start_hub: Callable[..., Hub], tmp_path: Path, results: Results
) -> None:
    file = tmp_path / "register"
    file.write_text(new_token())
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    hub = start_hub(url, "--register-token-file", str(file), "--register-token-namespace", "team-a")
    found = [register(hub, file.read_text(), f"run-{one}", namespace=one) for one in ("team-a", "team-b")]
    assert found == [201, 403]
