"""The rights of each kind of token, and that no token appears in a log, a database or an answer."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from running_hub import Hub, Results, Runner, hub_command
from stepmark.hub import rights, tokens
from stepmark.hub.database import Database
from stepmark.hub.settings import Right
from stepmark.hub.tables import attempts
from stepmark.results.wire import new_token, token_sha256

pytest_plugins = ["running_hub"]
DAY = 86_400


def token_of(hub: Hub, right: Right, lasts_seconds: float = DAY) -> str:
    database = Database(hub.database_url)
    try:
        return tokens.create(database, f"t{time.monotonic_ns()}", right, time.time() + lasts_seconds)
    finally:
        database.close()


def status(hub: Hub, token: str, method: str, path: str, **more: Any) -> int:
    with hub.client(token) as client:
        return client.request(method, path, **more).status_code


def test_a_stranger_reaches_only_health_and_login(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.send_all()
    paths = ["/", "/api/v1/runs", f"/api/v1/runs/{runner.run_id}", "/api/v1/openapi.json", "/nowhere"]
    assert [status(hub, "", "GET", path) for path in paths] == [401] * len(paths)
    assert [status(hub, "", "PUT", f"{runner.execution}/state"), status(hub, "", "DELETE", paths[2])] == [401, 401]
    assert [status(hub, "", "GET", path) for path in ("/healthz", "/readyz", "/login")] == [200] * 3


def test_a_browser_without_a_cookie_is_redirected_to_the_login(hub: Hub) -> None:
    with hub.client("") as client:
        answer = client.get("/runs/x?y=1", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=/runs/x%3Fy%3D1")


@pytest.mark.parametrize(
    ("right", "expected"), [("read", (200, 403, 403)), ("register", (200, 201, 403)), ("admin", (200, 201, 404))]
)
def test_a_token_may_do_what_its_right_says(hub: Hub, right: Right, expected: tuple[int, ...]) -> None:
    token = token_of(hub, right)
    body = {"name": "test", "token_sha256": token_sha256(new_token())}
    found = (
        status(hub, token, "GET", "/api/v1/runs"),
        status(hub, token, "PUT", f"/api/v1/runs/{right}-makes/attempts/1", json=body),
        status(hub, token, "DELETE", "/api/v1/runs/nothing"),
    )
    assert found == expected


def test_a_write_token_works_only_for_its_own_attempt(hub: Hub, results: Results) -> None:
    mine, other = hub.runner(results), hub.runner(results)
    mine.claim()
    other.claim()
    theirs = Runner(hub, results, other.run_id, 1, other.execution_id, mine.token)
    answers = [theirs.claim(), theirs.launch(0), theirs.state(1)]
    assert [answer.status_code for answer in answers] == [403] * 3
    assert status(hub, mine.token, "GET", f"{other.execution}/received") == 403
    assert status(hub, mine.token, "GET", "/api/v1/runs") == 403
    assert status(hub, mine.token, "GET", f"{mine.execution}/received") == 200


def test_a_replaced_write_token_is_refused(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.claim()
    old, runner.token = runner.token, new_token()
    assert runner.register().status_code == 201
    assert runner.put(f"{runner.execution}/state", {"sequence": 1, "outcome": "running"}, old).status_code == 401
    assert runner.state(1).status_code == 201


def test_a_write_token_that_is_replaced_while_its_body_arrives_is_refused(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.claim()
    launch_id, body = results.rows[0]

    def halting() -> Iterator[bytes]:
        yield b"{"
        Runner(hub, results, runner.run_id).register()
        yield json.dumps(body).encode()[1:]

    with hub.client(runner.token) as client:
        assert client.put(f"{runner.execution}/launches/{launch_id}", content=halting()).status_code in (401, 403)


def test_an_expired_token_is_refused(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.claim()
    database = Database(hub.database_url)
    with database.write() as connection:
        own = attempts.c.run_id == runner.run_id
        connection.execute(sa.update(attempts).where(own).values(expires_at=time.time() - 1))
    database.close()
    assert runner.state(1).status_code == 401
    assert status(hub, token_of(hub, "admin", lasts_seconds=-1), "GET", "/api/v1/runs") == 401


def test_one_token_cannot_serve_two_attempts(hub: Hub, results: Results) -> None:
    first = hub.runner(results)
    second = Runner(hub, results, first.run_id, 2, token=first.token)
    assert second.register().status_code == 409


def test_a_session_cookie_allows_only_reading(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    word = hub.session()
    with hub.client("", cookies={rights.COOKIE: word}) as client:
        assert client.get("/api/v1/runs").status_code == 200
        assert client.delete(f"/api/v1/runs/{runner.run_id}").status_code == 403
    assert status(hub, word, "GET", "/api/v1/runs") == 401, "a session cookie is not a token"
    with hub.client("", cookies={rights.COOKIE: hub.admin_token}) as client:
        assert client.get("/api/v1/runs").status_code == 401, "a token is not a session cookie"


def test_logging_out_and_revoking_a_token_end_their_sessions(hub: Hub) -> None:
    def looks(word: str) -> int:
        with hub.client("", cookies={rights.COOKIE: word}) as client:
            return client.get("/api/v1/runs").status_code

    word, name = hub.session(), f"t{time.monotonic_ns()}"
    with hub.client("", cookies={rights.COOKIE: word}) as client:
        client.post("/logout")
    assert looks(word) == 401
    database = Database(hub.database_url)
    other = hub.session(tokens.create(database, name, "read", time.time() + DAY))
    assert looks(other) == 200
    tokens.revoke(database, name)
    database.close()
    assert looks(other) == 401


def test_anonymous_reading_where_switched_on_allows_only_reading(
    start_hub: Callable[..., Hub], tmp_path: Path, results: Results
) -> None:
    hub = start_hub(f"sqlite:///{tmp_path / 'hub.db'}", STEPMARK_HUB_ANONYMOUS_READ="true")
    runner = hub.runner(results)
    runner.claim()
    assert status(hub, "", "GET", "/api/v1/runs") == 200
    assert status(hub, new_token(), "GET", "/api/v1/runs") == 401, (
        "a wrong token is refused where no token would be accepted"
    )
    assert status(hub, "", "GET", f"{runner.execution}/received") == 401
    assert status(hub, "", "DELETE", f"/api/v1/runs/{runner.run_id}") == 401


def test_tokens_are_made_listed_and_revoked_at_the_command_line(hub: Hub) -> None:
    def token(*words: str) -> str:
        code, said = hub_command("token", *words, "--database", hub.database_url)
        assert code == 0
        return said.strip()

    made = token("create", "ci.main", "--right", "register")
    assert status(hub, made, "GET", "/api/v1/runs") == 200
    listed = token("list")
    assert "ci.main\tregister\tuntil " in listed
    assert made not in listed
    token("revoke", "ci.main")
    assert status(hub, made, "GET", "/api/v1/runs") == 401


def test_no_token_is_in_the_log_the_database_or_an_answer(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.claim()
    wrong = new_token()
    told = [runner.put(f"{runner.execution}/state", "{", token=t).text for t in (runner.token, wrong, hub.admin_token)]
    told += [runner.put("/api/v1/executions/none/state", {}, token=runner.token).text]
    told += [hub.log.read_text(), *everything_in(hub.database_url)]
    for secret in (runner.token, wrong, hub.admin_token):
        assert not [text for text in told if secret in text]


def everything_in(database_url: str) -> Iterator[str]:
    engine = sa.create_engine(database_url)
    metadata = sa.MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        for table in metadata.tables.values():
            yield from map(str, connection.execute(table.select()))
    engine.dispose()


class _ApiServer(BaseHTTPRequestHandler):
    """An API server that answers TokenReviews as Kubernetes does."""

    known = {
        "good": ("ci", ["stepmark"]),
        "unknown-user": ("nobody", ["stepmark"]),
        "another-audience": ("ci", ["vault"]),
        "no-audience": ("ci", None),
    }

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        user, audiences = self.known.get(review["spec"]["token"], ("", None))
        asked = review["spec"]["audiences"] == ["stepmark"]
        review["status"] = {"authenticated": bool(user) and asked, "user": {"username": user}, "audiences": audiences}
        body = json.dumps(review).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def api_server(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _ApiServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    named = {"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
    context = {"name": "test", "context": {"cluster": "test", "user": "test"}}
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [named], "contexts": [context], "users": [{"name": "test", "user": {}}],
    }  # fmt: skip
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    yield server
    server.shutdown()


def test_a_kubernetes_token_is_reviewed_for_its_user_and_audience(
    start_hub: Callable[..., Hub], tmp_path: Path, api_server: ThreadingHTTPServer
) -> None:
    options = ("--token-review-audience", "stepmark", "--token-review-user", "ci=read")
    hub = start_hub(f"sqlite:///{tmp_path / 'hub.db'}", *options, KUBECONFIG=str(tmp_path / "kubeconfig"))
    asked = ("good", "unknown-user", "another-audience", "no-audience", "unheard-of")
    assert [status(hub, token, "GET", "/api/v1/runs") for token in asked] == [200, 401, 401, 401, 401]
    assert status(hub, "good", "DELETE", "/api/v1/runs/x") == 403
    api_server.shutdown()
    api_server.server_close()
    assert status(hub, "good", "GET", "/api/v1/runs") == 200, "the hub remembers the review for a minute"
    assert status(hub, "another", "GET", "/api/v1/runs") == 503
    assert "another" not in hub.log.read_text()
