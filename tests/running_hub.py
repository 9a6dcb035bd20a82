"""Real hubs for tests: a `stepmark hub serve` process, on SQLite or on a PostgreSQL server of the tests' own.

A test module asks for these fixtures with `pytest_plugins = ["running_hub"]`.
"""

import base64
import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import sqlalchemy as sa
import yaml
from typer.testing import CliRunner

from conftest import scenario_document
from stepmark.cli.commands.hub import app
from stepmark.errors import StepmarkError
from stepmark.hub import rights
from stepmark.results.certificate import Certificate
from stepmark.results.store import Run, SqliteStore
from stepmark.results.wire import Claim, Registration, State, new_token, token_sha256

STEPMARK = [sys.executable, "-m", "stepmark"]


@dataclass
class Hub:
    """A hub that serves. `log`: what it writes."""

    url: str
    metrics_url: str
    database_url: str
    admin_token: str
    log: Path
    process: "subprocess.Popen[bytes]"

    def client(self, token: str | None = None, **settings: Any) -> httpx2.Client:
        """Calls with this token; with the admin's if it is not given, with none if it is empty."""
        token = self.admin_token if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=60, verify=False, **settings)

    def session(self, token: str | None = None) -> str:
        """The cookie of a browser that has logged in with this token."""
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
        """A registered attempt, by default at a new run."""
        runner = Runner(self, results, run_id or f"run-{secrets.token_hex(6)}", number)
        assert runner.register().status_code in (200, 201)
        return runner

    def wait_until_derived(self, run_id: str) -> Any:
        """The run's summary, once its figures stand on everything that was sent."""
        return wait_for(lambda: self.get(f"/api/v1/runs/{run_id}")["settled"]) and self.get(
            f"/api/v1/runs/{run_id}/summary"
        )

    def end(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=60)


@dataclass(frozen=True)
class Results:
    """A real run's results: what a runner has to send."""

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
    """LaunchUpload as JSON."""
    return {"header": json.loads(header), "steps_npz": base64.b64encode(blob).decode()}


@dataclass
class Runner:
    """What `stepmark run --hub` says to a hub, one call at a time."""

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
        """`body`: a model, or JSON's own types."""
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
        """Everything once."""
        answers = [self.claim(), *map(self.launch, range(len(self.results.rows)))]
        answers += map(self.certify, range(len(self.results.certificates)))
        answers.append(self.state(1, outcome, launches=len(self.results.rows)))
        assert [answer.status_code for answer in answers] == [201] * len(answers), [a.text for a in answers]

    @property
    def execution(self) -> str:
        return f"/api/v1/executions/{self.execution_id}"


def hub_command(*words: object) -> tuple[int, str]:
    """`stepmark hub WORDS`, in this process: the exit code, and what is printed, or why not."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(done.exception, StepmarkError):
        return done.exception.exit_code, str(done.exception)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Its first true value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    pytest.fail(f"not within {seconds} s")


def serve(folder: Path, database_url: str, *options: str, **environment: str) -> Hub:
    """Start one, and wait until it listens. The caller ends it."""
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
    """Of two candidates of the sleeper, at one and two workers."""
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


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One for all tests that break nothing; each uses runs of its own."""
    folder = tmp_path_factory.mktemp("hub")
    if request.param == "sqlite":
        url = f"sqlite:///{folder / 'hub.db'}"
    else:
        url = request.getfixturevalue("postgres").new_database()
    started = serve(folder, url)
    yield started
    assert started.end() == 0, started.log.read_text()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database that is empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hub.db'}"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def start_hub(tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    """`serve` in the test's folder; what it started is gone after the test."""
    started: list[Hub] = []

    def start(database_url: str, *options: str, **environment: str) -> Hub:
        started.append(serve(tmp_path, database_url, *options, **environment))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


class Postgres:
    """A server on a free port, in a folder of its own; for root as the user `postgres`, since it refuses to be root."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="stepmark-postgres-"))
        self._user = [] if os.geteuid() else ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        if self._user:
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._run("initdb", "-D", str(self.folder), "-U", "stepmark", "-A", "trust", "-E", "UTF8", "--no-sync")
        self._databases = 0

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off"
        self._run("pg_ctl", "-D", str(self.folder), "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """At once, as when its machine fails."""
        self._run("pg_ctl", "-D", str(self.folder), "-w", "-m", "immediate", "stop")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """All of it stands still: connections are taken, and nothing is answered."""
        head = psutil.Process(int((self.folder / "postmaster.pid").read_text().split()[0]))
        everyone = [head, *head.children(recursive=True)]
        try:
            for one in everyone:
                one.suspend()
            yield
        finally:
            for one in everyone:
                with suppress(psutil.NoSuchProcess):
                    one.resume()

    def new_database(self) -> str:
        self._databases += 1
        name = f"hub{self._databases}"
        engine = sa.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql+pg8000://stepmark@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._user, str(self._programs / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    found = shutil.which("initdb") or next(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    if found is None:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl (Debian: postgresql)")
    if os.geteuid() == 0 and not _has_user("postgres"):
        pytest.skip("needs the user postgres, since PostgreSQL does not run as root")
    server = Postgres(Path(found).parent)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(server.folder)


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
