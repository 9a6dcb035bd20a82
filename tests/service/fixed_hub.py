"""A hub at an address that stays the same, and runs that send to it: fixtures for the tests of uploads.

A test module asks for them with `pytest_plugins = ["fixed_hub"]`.
"""

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from running_hub import Hub, serve
from stepmark.results.store import SqliteStore

MEASUREMENT = {"launches": 4, "minSteps": 60, "minSeconds": 0, "warmupSteps": 1, "warmupSeconds": 0}


@dataclass
class FixedHub:
    """A hub at an address that stays the same, whether the hub runs or not."""

    folder: Path
    port: int = field(default_factory=lambda: free_port())
    hub: Hub | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def options(self) -> tuple[object, ...]:
        return ("--hub", self.url, "--hub-token-file", self.folder / "admin-token")

    def begin(self) -> Hub:
        self.hub = serve(self.folder, f"sqlite:///{self.folder}/hub.db", "--listen", f"127.0.0.1:{self.port}")
        return self.hub

    def kill(self) -> None:
        if self.hub is not None:
            self.hub.process.kill()
            self.hub.process.wait()

    def run(self, folder: Path) -> Any:
        """Return the hub's view of the folder's run."""
        assert self.hub is not None
        return self.hub.get(f"/api/v1/runs/{identity(folder)['run_id']}")

    def launches(self, folder: Path) -> int:
        """Return how many launches the hub has of the only execution of the folder's run."""
        [attempt] = self.run(folder)["attempts"]
        [execution] = attempt["executions"]
        return execution["launches"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def identity(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "hub.json").read_text())


def stored(folder: Path) -> set[str]:
    store = SqliteStore.open(folder)
    try:
        return set(store.launch_ids())
    finally:
        store.close()


def build(folder: Path) -> FixedHub:
    """Make a hub that does not run yet and whose token is known."""
    folder.mkdir()
    (folder / "admin-token").write_text("smk_" + "t" * 43)
    return FixedHub(folder)


@pytest.fixture
def killable_hub(tmp_path: Path) -> Iterator[FixedHub]:
    found = build(tmp_path / "hub")
    yield found
    found.kill()


@pytest.fixture(scope="module")
def lasting_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FixedHub]:
    """Yield a hub that runs for as long as the tests of this module."""
    found = build(tmp_path_factory.mktemp("open") / "hub")
    found.begin()
    yield found
    found.kill()


@pytest.fixture
def start(stepmark: CommandLine) -> Callable[..., "subprocess.Popen[str]"]:
    def begin(*options: object, out: str = "out", **changes: Any) -> "subprocess.Popen[str]":
        file = stepmark.scenario(**{"measurement": MEASUREMENT} | changes)
        return stepmark.start("run", file, "--launcher", "bare", "--out", out, *options)

    return begin
