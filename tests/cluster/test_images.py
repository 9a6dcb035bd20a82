"""The images of the Dockerfile, as a cluster runs them: another user than root, nothing writable but /tmp."""

import json
import subprocess
from collections.abc import Callable

import pytest

from cluster.conftest import Done
from stepmark import __version__

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

MEGABYTE = 1_000_000
LARGEST_SERVICE = 325 * MEGABYTE  # 245 without DuckDB, which writes the hub's Parquet
FRAMEWORKS = ["ray", "torch", "tensorflow", "keras", "jax"]
# Every module of ours, less the parts that only a runner or a developer has, and what is no module but a script.
IMPORT_ALL = """
import importlib, pkgutil, stepmark
elsewhere = ("engines", "workloads", "orchestrate", "launch", "hub.migrations", "telemetry.boards")
for one in pkgutil.walk_packages(stepmark.__path__, "stepmark."):
    if not one.name.endswith("__main__") and not one.name.startswith(tuple(f"stepmark.{part}" for part in elsewhere)):
        importlib.import_module(one.name)
print("all")
"""
RESTRICTED = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
TARGETS = [("service", ""), ("runner", "sleeper")]
Image = Callable[..., str]


@pytest.fixture(params=TARGETS, ids=["service", "runner"])
def built(request: pytest.FixtureRequest, image: Image) -> str:
    return image(*request.param)


@pytest.fixture
def service(image: Image) -> str:
    return image("service")


def run(engine: str, image: str, *command: str, program: str | None = None) -> Done:
    entry = [] if program is None else ["--entrypoint", program]
    docker = [engine, "run", "--rm", "--network", "none", *RESTRICTED, *entry, image, *command]
    return subprocess.run(docker, capture_output=True, text=True, timeout=240)


def inspect(engine: str, image: str) -> dict[str, object]:
    found: list[dict[str, object]] = json.loads(subprocess.check_output([engine, "image", "inspect", image]))
    return found[0]


def python(engine: str, image: str, code: str) -> Done:
    return run(engine, image, "-c", code, program="python")


def test_the_program_starts_on_a_read_only_root(engine: str, built: str) -> None:
    done = run(engine, built, "--version")
    assert (done.returncode, done.stdout.strip()) == (0, __version__), done.stderr


def test_it_is_not_root_and_can_write_nowhere_but_in_tmp(engine: str, built: str) -> None:
    code = """
import os, tempfile
print(os.getuid(), os.getgid())
tempfile.TemporaryFile()
try: open("/opt/stepmark/x", "w")
except OSError as error: print(error.strerror)
"""
    done = python(engine, built, code)
    assert done.stdout.splitlines() == ["65532 65532", "Read-only file system"], done.stderr


def test_what_it_is_stands_on_its_labels(engine: str, built: str) -> None:
    config = inspect(engine, built)["Config"]
    assert isinstance(config, dict)
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["version"] == __version__
    assert labels["licenses"] == "Apache-2.0"
    assert {"title", "description", "revision"} <= labels.keys()


def test_the_service_has_no_framework(engine: str, service: str) -> None:
    code = f"import importlib.util as u; print([n for n in {FRAMEWORKS} if u.find_spec(n)])"
    assert python(engine, service, code).stdout.strip() == "[]"


def test_the_service_lacks_no_module_that_it_needs(engine: str, service: str) -> None:
    done = python(engine, service, IMPORT_ALL)
    assert done.stdout == "all\n", done.stderr


def test_the_service_has_no_shell(engine: str, service: str) -> None:
    assert run(engine, service, "-c", "true", program="/bin/sh").returncode == 127


def test_the_service_is_small(engine: str, service: str) -> None:
    size = inspect(engine, service)["Size"]
    assert isinstance(size, int)
    assert size <= LARGEST_SERVICE, f"{size / MEGABYTE:.0f} MB"


def test_the_runner_can_take_jobs(engine: str, image: Image) -> None:
    """Ray's dashboard takes KubeRay's submissions; it needs more than what Ray Train does."""
    runner = image("runner", "sleeper")
    login_shell = ["-lc", "ray --version && wget --version >/dev/null && stepmark --version"]
    done = run(engine, runner, *login_shell, program="bash")
    assert done.returncode == 0, done.stderr
    assert python(engine, runner, "import ray.dashboard.modules.job.job_head").returncode == 0


def test_an_unknown_engine_is_refused(engine: str, image: Image) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        image("runner", "torhc")
