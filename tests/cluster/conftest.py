"""A cluster for the tests of this folder, and the images that they run: what is there is used, what is missing is made.

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
    """Files with the longest time-outs first: two of them run at one time, and both ends should come together."""
    items.sort(key=lambda item: -_timeout_seconds(item))


def _timeout_seconds(item: pytest.Item) -> float:
    """As its file sets it for a test on a cluster; unbounded for the others, so that those keep their place."""
    if item.get_closest_marker("cluster") is None:
        return math.inf
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0


@dataclass(frozen=True)
class Cluster:
    """A running cluster. The commands return what they did, whatever their exit code."""

    name: str
    kubeconfig: Path
    environment: dict[str, str]

    def _command(self, program: str, *arguments: str) -> list[str]:
        """With the cluster's own programs first."""
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
        """Put an image of the engine into these nodes, or into all; quick if it is there."""
        subprocess.run([str(KIND / "load"), "--name", self.name, image, *nodes], check=True, timeout=_BUILD_SECONDS)

    def nodes(self) -> list[str]:
        """The control plane first."""
        items = json.loads(self.kubectl("get", "nodes", "-o", "json").stdout)["items"]
        control = "node-role.kubernetes.io/control-plane"
        ordered = sorted(items, key=lambda node: (control not in node["metadata"]["labels"], node["metadata"]["name"]))
        return [node["metadata"]["name"] for node in ordered]

    @contextmanager
    def forwarded(self, namespace: str, what: str, port: int) -> Iterator[str]:
        """The address of `service/NAME` or `pod/NAME`, here."""
        command = ("port-forward", "--namespace", namespace, what, f":{port}")
        with self.lines("kubectl", *command) as said:
            first = next(said)  # Forwarding from 127.0.0.1:40001 -> 8080
            yield "http://" + first.removeprefix("Forwarding from ").split()[0]

    @contextmanager
    def lines(self, program: str, *arguments: str) -> Iterator[Iterator[str]]:
        """What a program says, as it says it. It is ended with the block."""
        command = self._command(program, *arguments)
        with subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                yield iter(process.stdout)
            finally:
                process.kill()

    def add(self, addon: str) -> None:
        """Have `kueue` or `prometheus` in the cluster."""
        _exports([str(KIND / "up"), "--name", self.name, "--with", addon])


@pytest.fixture(scope="session")
def engine() -> str:
    """The docker program, with an engine that answers."""
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("docker was not found")
    if subprocess.run([docker, "info"], capture_output=True).returncode != 0:
        pytest.skip('no Docker engine answers `docker info`. As root of a Debian machine: eval "$(.ci/engine)"')
    return docker


@pytest.fixture(scope="session")
def cluster(engine: str, pytestconfig: pytest.Config) -> Cluster:
    """The cluster, with KubeRay. A cold machine needs a quarter of an hour to build one."""
    if shutil.which("go") is None:
        pytest.skip("go was not found: the parts of a cluster are built from Go modules")
    with _output_shown(pytestconfig):
        exports = _exports([str(KIND / "up"), "--name", NAME, "--nodes", "3"])
        _exports([str(KIND / "tools"), "helm"])
    environment = os.environ | {"PATH": f"{exports['PATH']}:{os.environ['PATH']}", "KUBECONFIG": exports["KUBECONFIG"]}
    return Cluster(NAME, Path(exports["KUBECONFIG"]), dict(environment))


@pytest.fixture(scope="session")
def image(engine: str, pytestconfig: pytest.Config) -> Callable[..., str]:
    """Builds an image of the Dockerfile: `image("service")`, `image("runner", "sleeper keras")`. Returns its name."""
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
    """A person who waits for minutes wants to see for what."""
    return config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled()


def _exports(command: list[str]) -> dict[str, str]:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=_COLD_SECONDS)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}; what it said is above"
    return dict(re.findall(r"(\w+)='([^']*)'", done.stdout))
