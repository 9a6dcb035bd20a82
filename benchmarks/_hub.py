"""Shared parts of the benchmarks of the hub: a hub on a new SQLite file, and the records of a real run to send."""

import base64
import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml

from stepmark.results.record import LaunchHeader
from stepmark.results.store import Run, SqliteStore
from stepmark.results.wire import Claim, Registration, State, new_token, token_sha256

STEPMARK = [sys.executable, "-m", "stepmark"]


@dataclass(frozen=True)
class Measured:
    """A run's results as bodies of the API. `bodies`: launch id and body; `samples`: step times in all of them."""

    run: Run
    bodies: tuple[tuple[str, bytes], ...]
    samples: int


def measure(folder: Path, workers: tuple[int, ...], steps: int, launches: int) -> Measured:
    """Measure two candidates of the sleeper, whose steps take half a millisecond."""
    spec = {
        "workload": {"model": "scripted", "params": {"stepSeconds": 0.0005}},
        "candidates": [
            {"name": "plain", "engine": "sleeper", "strategy": "parallel"},
            {"name": "slow", "engine": "sleeper", "strategy": "parallel", "variant": "slower"},
        ],
        "scale": {"workers": list(workers), "batchPerWorker": 8},
        "measurement": {
            "launches": launches, "minSteps": steps, "minSeconds": 0, "warmupSteps": 10, "warmupSeconds": 0,
        },
        "parity": "skipped",
    }  # fmt: skip
    scenario = {"apiVersion": "stepmark.dev/v1alpha1", "kind": "Scenario", "metadata": {"name": "bench"}, "spec": spec}
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    command = [*STEPMARK, "run", "scenario.yaml", "--launcher", "bare", "--out", "out"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    store = SqliteStore.open(folder / "out")
    try:
        rows, samples = list(store.rows()), sum(record.step_nanoseconds.size for record in store.records())
        return Measured(store.run(), tuple(_body(*row) for row in rows), samples)
    finally:
        store.close()


def _body(header: str, blob: bytes) -> tuple[str, bytes]:
    body = {"header": json.loads(header), "steps_npz": base64.b64encode(blob).decode()}
    return LaunchHeader.model_validate_json(header).launch_id, json.dumps(body).encode()


@dataclass(frozen=True)
class Hub:
    url: str
    database: Path
    token: str
    process: "subprocess.Popen[bytes]"

    def client(self, token: str | None = None) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=120, verify=False)

    def send(self, client: httpx2.Client, measured: Measured) -> str:
        """Send all results as a new run; return the run's id."""
        run_id, execution, token = f"run-{secrets.token_hex(8)}", f"ex-{secrets.token_hex(8)}", new_token()
        write = {"Authorization": f"Bearer {token}"}
        attempt = f"/api/v1/runs/{run_id}/attempts/1"
        _put(client, attempt, Registration(name="bench", token_sha256=token_sha256(token)).model_dump_json(), {})
        _put(client, f"{attempt}/executions/{execution}", Claim(run=measured.run).model_dump_json(), write)
        for launch_id, body in measured.bodies:
            _put(client, f"/api/v1/executions/{execution}/launches/{launch_id}", body, write)
        ended = State(sequence=1, outcome="complete", launches=len(measured.bodies)).model_dump_json()
        _put(client, f"/api/v1/executions/{execution}/state", ended, write)
        return run_id


def _put(client: httpx2.Client, path: str, body: Any, headers: dict[str, str]) -> None:
    answer = client.put(path, content=body, headers=headers)
    assert answer.status_code == 201, answer.text


@contextmanager
def serving(folder: Path) -> Iterator[Hub]:
    """Run a hub for as long as the block lasts."""
    token = new_token()
    (folder / "token").write_text(token)
    listen = ("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--admin-token-file", "token")
    command = [*STEPMARK, "hub", "serve", *listen, "--database", "sqlite:///hub.db"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        words = process.stdout.readline().decode().replace(",", " ").split()
        yield Hub(words[2], folder / "hub.db", token, process)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
