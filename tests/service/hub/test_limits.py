"""Limits on storage, age and connections, and the audit log."""

import contextlib
import json
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from running_hub import Hub, Results, Runner, hub_command, serve
from stepmark.hub.database import Database
from stepmark.hub.rows import update
from stepmark.hub.tables import runs

pytest_plugins = ["running_hub"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("small")
    limits = ("--attempt-bytes-most", "16000", "--attempt-executions-most", "2", "--namespace-bytes-most", "40000")
    hub = serve(folder, f"sqlite:///{folder / 'hub.db'}", *limits, "--log-format", "json")
    yield hub
    assert hub.end() == 0


def test_an_attempt_cannot_store_more_than_its_quota(small: Hub, results: Results) -> None:
    runner = small.runner(results)
    runner.claim()
    codes = [runner.launch(index) for index in range(len(results.rows))]
    refused = next(answer for answer in codes if answer.status_code != 201)
    assert (refused.status_code, refused.json()["code"]) == (413, "over-quota")
    assert runner.launch(0).status_code == 200, "a launch that is stored already is accepted again"
    assert runner.state(1, "failed").status_code == 201
    other = small.runner(results)
    claims = [Runner(small, results, other.run_id, token=other.token).claim().status_code for _ in range(3)]
    assert claims == [201, 201, 413]


def test_a_namespace_cannot_store_more_than_its_quota_and_others_can(small: Hub, results: Results) -> None:
    def sent(namespace: str, run_id: str) -> set[str]:
        runner = Runner(small, results, run_id)
        runner.register(namespace=namespace)
        answers = [runner.claim(), *(runner.launch(index) for index in range(len(results.rows)))]
        return {answer.json()["message"] for answer in answers if answer.status_code == 413}

    refused = set().union(*(sent("greedy", f"greedy-{index}") for index in range(6)))
    assert any("of the namespace" in message and "prune" in message for message in refused)
    assert not any("of the namespace" in message for message in sent("modest", "modest-1"))


def test_prune_removes_old_runs_while_the_hub_serves(hub: Hub, results: Results) -> None:
    old, running, new = (hub.runner(results) for _ in range(3))
    old.send_all()
    hub.wait_until_derived(old.run_id)
    running.claim()
    database = Database(hub.database_url)
    with database.write() as connection:
        for runner in (old, running):
            row = connection.execute(runs.select().where(runs.c.run_id == runner.run_id)).one()
            update(connection, runs, row, created_at=row.created_at - 91 * 86_400)
    database.close()
    code, said = hub_command("prune", "--older-than", "90d", "--database", hub.database_url)
    assert (code, " runs forgotten, " in said) == (0, True)
    with hub.client() as client:
        found = [client.get(f"/api/v1/runs/{one.run_id}").status_code for one in (old, running, new)]
    assert found == [404, 200, 200]


@pytest.mark.parametrize("words", ["90", "0d", "-1d", "ninety", "1y"])
def test_prune_refuses_a_malformed_age(words: str) -> None:
    assert "--older-than: expected days or weeks" in hub_command("prune", "--older-than", words)[1]


def test_a_thousand_connections_of_one_address_block_neither_health_nor_other_addresses(
    start_hub: Callable[..., Hub], tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    hub = start_hub(f"sqlite:///{tmp_path / 'hub.db'}")
    host, port = hub.url.removeprefix("http://").split(":")
    health = hub.metrics_url.removesuffix("/metrics")
    try:
        with contextlib.ExitStack() as kept:
            for _ in range(1001):
                one = kept.enter_context(socket.create_connection((host, int(port)), timeout=240))
                with contextlib.suppress(OSError):  # The hub closes the connections beyond its limit.
                    one.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
            assert httpx2.get(f"{health}/healthz", timeout=120).status_code == 200
            assert httpx2.get(f"{health}/readyz", timeout=120).status_code == 200
            elsewhere = httpx2.HTTPTransport(local_address="127.0.0.2")
            with httpx2.Client(transport=elsewhere, base_url=hub.url, timeout=120) as other:
                assert other.get("/healthz").status_code == 200, "another address has its own share"
            with pytest.raises(httpx2.TransportError):
                httpx2.get(f"{hub.url}/healthz", timeout=120)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_request_with_two_authorization_headers_is_refused(hub: Hub) -> None:
    heads = [("Authorization", f"Bearer {hub.admin_token}"), ("Authorization", "Bearer other")]
    for order in (heads, heads[::-1]):
        assert httpx2.get(f"{hub.url}/api/v1/runs", headers=order, timeout=120).status_code == 400


def test_the_audit_log_has_who_did_what_from_where_and_no_secret(small: Hub, results: Results) -> None:
    runner = small.runner(results)
    session = small.session()
    with small.client() as client:
        client.delete(f"/api/v1/runs/{runner.run_id}")
        client.get("/api/v1/runs", headers={"Authorization": "Bearer wrong"})
        client.post("/login", data={"token": "wrong"})
    lines = [json.loads(line) for line in small.log.read_text().splitlines()]
    audit = [line for line in lines if line["logger"] == "stepmark.hub.audit"]
    by_file = {"by": "file:admin", "peer": "127.0.0.1", "level": "info"}
    for expected in (
        {"message": "register", "run": runner.run_id, **by_file}, {"message": "login", **by_file},
        {"message": "delete", "run": runner.run_id, **by_file}, {"message": "refused", "status": 401},
        {"message": "login refused", "peer": "127.0.0.1"},
    ):  # fmt: skip
        assert any(expected.items() <= line.items() for line in audit), expected
    text = small.log.read_text()
    assert not any(secret in text for secret in (small.admin_token, session, runner.token, "wrong"))
    assert "started" in {line["message"] for line in lines}
