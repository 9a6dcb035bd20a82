"""Real hubs for tests: a `stepmark hub serve` process on SQLite or on the tests' own PostgreSQL server.

A test module asks for these fixtures with `pytest_plugins = ["running_hub"]`.
"""

import base64
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from typer.testing import CliRunner

from conftest import PATIENCE_SECONDS, scenario_document
from running_postgres import Postgres
from stepmark.cli.commands.hub import app
from stepmark.errors import StepmarkError
from stepmark.hub import rights
from stepmark.results.certificate import Certificate
from stepmark.results.store import Run, SqliteStore
from stepmark.results.wire import Claim, Registration, State, new_token, token_sha256

pytest_plugins = ["running_postgres"]
STEPMARK = [sys.executable, "-m", "stepmark"]


@dataclass
class Hub:
    """A hub that serves. `log`: the file that it writes its log to."""

    url: str
    metrics_url: str
    database_url: str
    admin_token: str
    log: Path
    process: "subprocess.Popen[bytes]"

    def client(self, token: str | None = None, **settings: Any) -> httpx2.Client:
        """Return a client that sends this token; the admin's if it is None, and none if it is empty."""
        token = self.admin_token if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=PATIENCE_SECONDS, verify=False, **settings)

    def session(self, token: str | None = None) -> str:
        """Log in with this token (None: the admin's) as a browser does, and return the cookie."""
        with self.client("") as client:
            answer = client.post("/login", data={"token": token or self.admin_token})
        assert answer.status_code == 303, answer.text
        return answer.cookies[rights.COOKIE]

    def get(self, path: str, **query: Any) -> Any:
        with self.client() as client:
            answer = client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def runner(self, results: "Results", run_id: str | None = None, number: int = 1) -> "Runner":
        """Register an attempt, by default of a new run, and return its runner."""
        runner = Runner(self, results, run_id or f"run-{secrets.token_hex(6)}", number)
        assert runner.register().status_code in (200, 201)
        return runner

    def wait_until_derived(self, run_id: str) -> Any:
        """Wait until the run's figures are derived from everything that was sent, and return its summary."""
        return wait_for(lambda: self.get(f"/api/v1/runs/{run_id}")["settled"]) and self.get(
            f"/api/v1/runs/{run_id}/summary"
        )

    def end(self) -> int:
        """Send SIGTERM, wait, and return the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE_SECONDS)


@dataclass(frozen=True)
class Results:
    """The results of a real run, which a runner has to send."""

    folder: Path
    run: Run
    rows: tuple[tuple[str, dict[str, Any]], ...]  # launch id, LaunchUpload as JSON
    certificates: tuple[Certificate, ...]

    @classmethod
    def of(cls, folder: Path) -> "Results":
        store = SqliteStore.open(folder)
        try:
            rows = tuple(
                (record.header.launch_id, upload(header, blob))
                for record, (header, blob) in zip(store.records(), store.rows(), strict=True)
            )
            return cls(folder, store.run(), rows, tuple(store.certificates().values()))
        finally:
            store.close()


def upload(header: str, blob: bytes) -> dict[str, Any]:
    """Return a LaunchUpload as JSON."""
    return {"header": json.loads(header), "steps_npz": base64.b64encode(blob).decode()}


@dataclass
class Runner:
    """A runner that sends what `stepmark run --hub` does, one call at a time."""

    hub: Hub
    results: Results
    run_id: str
    number: int = 1
    execution_id: str = field(default_factory=lambda: f"ex-{secrets.token_hex(8)}")
    token: str = field(default_factory=new_token)

    def register(self, **changes: Any) -> httpx2.Response:
        name = self.results.run.scenario["metadata"]["name"]
        body = Registration(**{"name": name, "token_sha256": token_sha256(self.token)} | changes)
        with self.hub.client() as client:
            return client.put(f"/api/v1/runs/{self.run_id}/attempts/{self.number}", content=body.model_dump_json())

    def put(self, path: str, body: Any, token: str | None = None) -> httpx2.Response:
        """Send a body to the hub: a model, or a value of JSON's own types."""
        sent = {"content": body.model_dump_json(by_alias=True)} if hasattr(body, "model_dump_json") else {"json": body}
        with self.hub.client(self.token if token is None else token) as client:
            return client.put(path, **sent)

    def claim(self) -> httpx2.Response:
        path = f"/api/v1/runs/{self.run_id}/attempts/{self.number}/executions/{self.execution_id}"
        return self.put(path, Claim(run=self.results.run))

    def launch(self, index: int) -> httpx2.Response:
        launch_id, body = self.results.rows[index]
        return self.put(f"{self.execution}/launches/{launch_id}", body)

    def certify(self, index: int) -> httpx2.Response:
        certificate = self.results.certificates[index]
        return self.put(f"{self.execution}/certificates/{certificate.cell}", certificate)

    def state(self, sequence: int, outcome: str = "running", **more: Any) -> httpx2.Response:
        return self.put(f"{self.execution}/state", State(sequence=sequence, outcome=outcome, **more))

    def send_all(self, outcome: str = "complete") -> None:
        """Send the claim, all launches and certificates, and the end of the run."""
        answers = [self.claim(), *map(self.launch, range(len(self.results.rows)))]
        answers += map(self.certify, range(len(self.results.certificates)))
        answers.append(self.state(1, outcome, launches=len(self.results.rows)))
        assert [answer.status_code for answer in answers] == [201] * len(answers), [a.text for a in answers]

    @property
    def execution(self) -> str:
        return f"/api/v1/executions/{self.execution_id}"


def hub_command(*words: object) -> tuple[int, str]:
    """Run `stepmark hub WORDS` in this process; return the exit code, and what it prints or why it failed."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(done.exception, StepmarkError):
        return done.exception.exit_code, str(done.exception)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait for the condition's first true value and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    pytest.fail(f"not within {seconds} s")


def serve(folder: Path, database_url: str, *options: str, **environment: str) -> Hub:
    """Start a hub, and wait until it listens. The caller ends it."""
    token_file, log, out = folder / "admin-token", folder / "hub.log", folder / "hub.out"
    if not token_file.exists():
        token_file.write_text(new_token())
    command = [
        *STEPMARK, "hub", "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--migrate",
        "--admin-token-file", str(token_file), *options,
    ]  # fmt: skip
    with log.open("ab") as errors, out.open("wb") as says:
        process = subprocess.Popen(
            command, stdout=says, stderr=errors, cwd=folder,
            env=os.environ | {"STEPMARK_HUB_DATABASE": database_url} | environment,
        )  # fmt: skip
    said = wait_for(lambda: out.read_text() if out.read_text().endswith("\n") else process.poll() is not None)
    if said is True:
        pytest.fail(f"the hub did not start: {log.read_text()}")
    words = said.replace(",", " ").split()
    return Hub(words[2], words[5], database_url, token_file.read_text(), log, process)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Measure two candidates of the sleeper at one and two workers."""
    folder = tmp_path_factory.mktemp("measured")
    two = [
        {"name": "plain", "engine": "sleeper", "strategy": "parallel"},
        {"name": "slow", "engine": "sleeper", "strategy": "parallel", "variant": "slower"},
    ]
    document = scenario_document(candidates=two, scale={"workers": [1, 2], "batchPerWorker": 8})
    (folder / "scenario.yaml").write_text(yaml.safe_dump(document))
    command = [*STEPMARK, "run", "scenario.yaml", "--launcher", "bare", "--out", "out"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return Results.of(folder / "out")


@pytest.fixture(scope="session")
def sqlite_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    yield from _lasting(folder, f"sqlite:///{folder / 'hub.db'}")


@pytest.fixture(scope="session")
def postgresql_hub(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Hub]:
    yield from _lasting(tmp_path_factory.mktemp("hub"), postgres.new_database())


def _lasting(folder: Path, database_url: str) -> Iterator[Hub]:
    started = serve(folder, database_url)
    yield started
    assert started.end() == 0, started.log.read_text()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def hub(request: pytest.FixtureRequest) -> Hub:
    """Return a hub for all tests that break nothing. Each of them uses runs of its own.

    It serves until the session ends: a fixture with parameters of its own would be built anew for every file.
    """
    return request.getfixturevalue(f"{request.param}_hub")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hub.db'}"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def start_hub(tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    """Return `serve` in the test's folder. The hubs that it started are killed after the test."""
    started: list[Hub] = []

    def start(database_url: str, *options: str, **environment: str) -> Hub:
        started.append(serve(tmp_path, database_url, *options, **environment))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
