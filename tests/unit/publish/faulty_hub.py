"""A small real HTTP server that accepts what a runner sends, and fails in the ways that a test tells it.

The answers of a real hub are tested in tests/service/test_upload_*.py.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from conftest import scenario_document
from stepmark.plan.blocks import Plan, make_plan
from stepmark.plan.cells import Machine
from stepmark.results.environment import describe
from stepmark.results.record import LaunchHeader, LaunchRecord
from stepmark.results.store import Run, SqliteStore
from stepmark.scenario.load import scenario_from_object

STEPS = np.arange(6, dtype=np.int64).reshape(1, 6)


@dataclass(frozen=True)
class Fault:
    """The answer to the next `times` calls whose path holds `where`. Status 0 breaks the connection."""

    where: str
    status: int
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    times: int = 1


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    token: str
    body: Any


class FaultyHub:
    """The calls that it got, and what it keeps of them: launches, certificates and states of one execution."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.launches: dict[str, Any] = {}
        self.certificates: dict[str, Any] = {}
        self.states: list[dict[str, Any]] = []
        self.faults: list[Fault] = []
        self.ended = threading.Event()
        self.address = ""

    def paths(self, word: str) -> list[str]:
        return [call.path for call in self.calls if word in call.path]

    def fault_of(self, path: str) -> Fault | None:
        for index, fault in enumerate(self.faults):
            if fault.where in path:
                more = [Fault(**{**fault.__dict__, "times": fault.times - 1})] if fault.times > 1 else []
                self.faults[index : index + 1] = more
                return fault
        return None

    def take(self, call: Call) -> None:
        name = call.path.rsplit("/", 1)[-1]
        if "/launches/" in call.path:
            self.launches[name] = call.body
        elif "/certificates/" in call.path:
            self.certificates[name] = call.body
        elif call.path.endswith("/state"):
            self.states.append(call.body)
            if call.body["outcome"] != "running":
                self.ended.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FaultyHub

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        call = Call(self.command, self.path, token, json.loads(body) if body else None)
        self.hub.calls.append(call)
        fault = self.hub.fault_of(self.path)
        if fault is None:
            self.hub.take(call)
            received: dict[str, Any] = {
                "launches": list(self.hub.launches),
                "certificates": list(self.hub.certificates),
            }
            received["sequence"] = max((state["sequence"] for state in self.hub.states), default=-1)
            self.answer(201 if self.command == "PUT" else 200, json.dumps(received).encode(), {})
        elif fault.status == 0:
            self.close_connection = True
            self.connection.close()
        else:
            said = json.dumps({"code": fault.code, "message": "as the test asked"}).encode()
            self.answer(fault.status, said if fault.body is None else fault.body, fault.headers)

    do_GET = do_PUT = handle_any

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        return None  # tests break connections on purpose


@contextmanager
def faulty_hub(port: int = 0) -> Iterator[FaultyHub]:
    hub = FaultyHub()
    server = _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Folder:
    """A folder with a run whose launches a test stores one by one."""

    def __init__(self, path: Path, launches: int = 0) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        measurement = {"launches": 9, "minSteps": 5, "minSeconds": 0, "warmupSteps": 1, "warmupSeconds": 0}
        document = scenario_document(measurement=measurement)
        scenario, machine = scenario_from_object(document), Machine(places=2, programs=())
        run = Run(
            stepmark_version="0", scenario=document, scenario_digest=scenario.digest(), machine=machine,
            launcher="bare", forked=True, environment=describe(),
        )  # fmt: skip
        self.plan: Plan = make_plan(scenario, machine)
        self.store = SqliteStore.create(path, run)
        self._left = [launch for block in self.plan.blocks for launch in block]
        self.names = [launch.id for launch in self._left[:launches]]
        for _ in range(launches):
            self.measure()

    def measure(self) -> str:
        """Store the next launch."""
        launch = self._left.pop(0)
        header = LaunchHeader(
            launch_id=launch.id, scenario_digest=self.plan.scenario.digest(), cell=launch.cell, block=launch.block,
            position=launch.position, launcher="bare", forked=True, started_at="", wall_seconds=1,
        )  # fmt: skip
        self.store.append(LaunchRecord(header, STEPS))
        return launch.id
