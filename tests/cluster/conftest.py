"""A cluster for the tests of this folder, and the images that they run. What exists is used, what is missing is made.

The cluster is `dev`, or what STEPMARK_TEST_CLUSTER names, as `k8s/kind/up --nodes 3` makes it. It is left running.
"""

import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT

KIND = ROOT / "k8s" / "kind"
NAME = os.environ.get("STEPMARK_TEST_CLUSTER", "dev")
_COLD_SECONDS, _BUILD_SECONDS, _COMMAND_SECONDS = 3000, 1200, 280
Done = subprocess.CompletedProcess[str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests with the longest time-outs first: two files run at one time, and both should end together."""
    items.sort(key=lambda item: -_timeout_seconds(item))


def _timeout_seconds(item: pytest.Item) -> float:
    """Return the time-out that a file sets for its test on a cluster; infinity for others, which keep their place."""
    if item.get_closest_marker("cluster") is None:
        return math.inf
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0


@dataclass(frozen=True)
class Cluster:
    """A running cluster. Its commands return what they did, whatever their exit code."""

    name: str
    kubeconfig: Path
    environment: dict[str, str]

    def _command(self, program: str, *arguments: str) -> list[str]:
        """Return the command, with the cluster's own programs first."""
        return [shutil.which(program, path=self.environment["PATH"]) or program, *arguments]

    def _run(self, program: str, *arguments: str, **more: Any) -> Done:
        command = self._command(program, *arguments)
        more = {"timeout": _COMMAND_SECONDS} | more
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, **more)

    def kubectl(self, *arguments: str, **more: Any) -> Done:
        return self._run("kubectl", *arguments, **more)

    def helm(self, *arguments: str, **more: Any) -> Done:
        return self._run("helm", *arguments, **more)

    def load(self, image: str, *nodes: str) -> None:
        """Load an image of the engine into these nodes, or into all. It is quick if the image is there already."""
        subprocess.run([str(KIND / "load"), "--name", self.name, image, *nodes], check=True, timeout=_BUILD_SECONDS)

    def nodes(self) -> list[str]:
        """Return the names of the nodes, the control plane first."""
        items = json.loads(self.kubectl("get", "nodes", "-o", "json").stdout)["items"]
        control = "node-role.kubernetes.io/control-plane"
        ordered = sorted(items, key=lambda node: (control not in node["metadata"]["labels"], node["metadata"]["name"]))
        return [node["metadata"]["name"] for node in ordered]

    @contextmanager
    def forwarded(self, namespace: str, what: str, port: int) -> Iterator[str]:
        """Forward a port of `service/NAME` or `pod/NAME` to this machine for the block; yields its address."""
        command = ("port-forward", "--namespace", namespace, what, f":{port}")
        with self.lines("kubectl", *command) as said:
            first = next(said)  # Forwarding from 127.0.0.1:40001 -> 8080
            yield "http://" + first.removeprefix("Forwarding from ").split()[0]

    @contextmanager
    def lines(self, program: str, *arguments: str) -> Iterator[Iterator[str]]:
        """Yield the lines that a program prints, as it prints them. It is ended with the block."""
        command = self._command(program, *arguments)
        with subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                yield iter(process.stdout)
            finally:
                process.kill()

    def add(self, addon: str) -> None:
        """Bring the addon `kueue` or `prometheus` into the cluster."""
        _exports([str(KIND / "up"), "--name", self.name, "--with", addon])


@pytest.fixture(scope="session")
def engine() -> str:
    """Return the docker program, where an engine answers it."""
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("docker was not found")
    if subprocess.run([docker, "info"], capture_output=True).returncode != 0:
        pytest.skip('no Docker engine answers `docker info`. As root of a Debian machine: eval "$(.ci/engine)"')
    return docker


@pytest.fixture(scope="session")
def cluster(engine: str, pytestconfig: pytest.Config) -> Cluster:
    """Return the cluster, with KubeRay. A cold machine needs a quarter of an hour to build one."""
    if shutil.which("go") is None:
        pytest.skip("go was not found: the parts of a cluster are built from Go modules")
    with _output_shown(pytestconfig):
        exports = _exports([str(KIND / "up"), "--name", NAME, "--nodes", "3"])
        _exports([str(KIND / "tools"), "helm"])
    environment = os.environ | {"PATH": f"{exports['PATH']}:{os.environ['PATH']}", "KUBECONFIG": exports["KUBECONFIG"]}
    return Cluster(NAME, Path(exports["KUBECONFIG"]), dict(environment))


@pytest.fixture(scope="session")
def image(engine: str, pytestconfig: pytest.Config) -> Callable[..., str]:
    """Return a function that builds an image of the Dockerfile and returns its name.

    `image("service")`, `image("runner", "sleeper keras")`
    """
    built: dict[str, str] = {}

    def build(target: str, engines: str = "") -> str:
        name = f"stepmark-{target}:{engines.replace(' ', '-') or 'test'}"
        if name not in built:
            with _output_shown(pytestconfig):
                subprocess.run([str(KIND / "from-source" / "base-image")], check=True, timeout=_BUILD_SECONDS)
                arguments = ["--target", target, "--build-arg", f"ENGINES={engines}", "--tag", name, str(ROOT)]
                environment = os.environ | {"DOCKER_BUILDKIT": "1"}
                subprocess.run([engine, "build", "-q", *arguments], check=True, timeout=_BUILD_SECONDS, env=environment)
            built[name] = name
        return built[name]

    return build


def _output_shown(config: pytest.Config) -> Any:
    """Show the output of the block: a person who waits for minutes wants to see for what."""
    return config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled()


def _exports(command: list[str]) -> dict[str, str]:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=_COLD_SECONDS)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}; what it said is above"
    return dict(re.findall(r"(\w+)='([^']*)'", done.stdout))
