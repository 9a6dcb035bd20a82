"""The images of the Dockerfile, run as a cluster does: by another user than root, with nothing writable but /tmp."""

import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import httpx2
import pytest

from cluster.conftest import Done
from running_hub import Hub, Results, wait_for
from stepmark import __version__
from stepmark.analysis.summary import Summary
from stepmark.results.wire import new_token
from stepmark.runs.summaries import summary_of

pytest_plugins = ["running_hub"]
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

MEGABYTE = 1_000_000
LARGEST_SERVICE = 250 * MEGABYTE
FRAMEWORKS = ["ray", "torch", "tensorflow", "keras", "jax"]
# It imports all modules but the parts that only a runner or a developer has, and modules that run as scripts.
IMPORT_ALL = """
import importlib, pkgutil, stepmark
elsewhere = ("engines", "workloads", "orchestrate", "launch", "hub.migrations", "generate")
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


def run(engine: str, image: str, *command: str, program: str | None = None, options: tuple[str, ...] = ()) -> Done:
    entry = [] if program is None else ["--entrypoint", program]
    docker = [engine, "run", "--rm", "--network", "none", *RESTRICTED, *options, *entry, image, *command]
    return subprocess.run(docker, capture_output=True, text=True, timeout=240)


def inspect(engine: str, image: str) -> dict[str, object]:
    found: list[dict[str, object]] = json.loads(subprocess.check_output([engine, "image", "inspect", image]))
    return found[0]


def python(engine: str, image: str, code: str) -> Done:
    return run(engine, image, "-c", code, program="python")


def test_an_image_starts_stepmark_on_a_read_only_root(engine: str, built: str) -> None:
    done = run(engine, built, "--version")
    assert (done.returncode, done.stdout.strip()) == (0, __version__), done.stderr


def test_an_image_does_not_run_as_root_and_writes_only_to_tmp(engine: str, built: str) -> None:
    code = """
import os, tempfile
print(os.getuid(), os.getgid())
tempfile.TemporaryFile()
try: open("/opt/stepmark/x", "w")
except OSError as error: print(error.strerror)
"""
    done = python(engine, built, code)
    assert done.stdout.splitlines() == ["65532 65532", "Read-only file system"], done.stderr


def test_an_image_has_labels_that_describe_it(engine: str, built: str) -> None:
    config = inspect(engine, built)["Config"]
    assert isinstance(config, dict)
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["version"] == __version__
    assert labels["licenses"] == "Apache-2.0"
    assert {"title", "description", "revision"} <= labels.keys()


def test_an_image_lists_every_installed_package(engine: str, built: str) -> None:
    code = """
import importlib.metadata, json, pathlib, re
listed = json.loads(pathlib.Path("/opt/stepmark/sbom.cdx.json").read_text())["components"]
names = {re.sub("[-_.]+", "-", one["name"]).lower() for one in listed}
installed = {re.sub("[-_.]+", "-", one.name).lower() for one in importlib.metadata.distributions()} - {"stepmark"}
print(sorted(installed - names), {"numpy", "libc6"} <= names, any("deb/debian" in one["purl"] for one in listed))
"""
    done = python(engine, built, code)
    assert done.stdout.strip() == "[] True True", done.stdout + done.stderr


def test_the_service_image_has_no_framework(engine: str, service: str) -> None:
    code = f"import importlib.util as u; print([n for n in {FRAMEWORKS} if u.find_spec(n)])"
    assert python(engine, service, code).stdout.strip() == "[]"


def test_the_service_image_has_every_module_that_it_needs(engine: str, service: str) -> None:
    done = python(engine, service, IMPORT_ALL)
    assert done.stdout == "all\n", done.stderr


@pytest.mark.parametrize(
    "verb", [("results", "out", "--json"), ("forecast", "out", "--workers", "4"), ("compare", "out", "out")]
)
def test_the_cut_down_libraries_of_the_service_image_compute_the_same(
    engine: str, service: str, results: Results, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    """Together these verbs call all of SciPy that stepmark does."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o777)  # SQLite writes beside the file that it reads.
    shutil.copy(results.folder / "results.db", tmp_path / "out")
    (tmp_path / "out" / "results.db").chmod(0o666)
    here = [sys.executable, "-m", "stepmark", *verb]
    expected = subprocess.run(here, cwd=tmp_path, capture_output=True, text=True).stdout
    done = run(
        engine, service, *verb, options=("--volume", f"{tmp_path / 'out'}:/measured/out", "--workdir", "/measured")
    )
    assert done.stdout == expected, done.stderr
    assert expected


@pytest.fixture
def hub(engine: str, service: str, tmp_path: Path) -> Iterator[Hub]:
    """Run a hub in a container; yields it with an address of this machine."""
    token, name = new_token(), f"stepmark-test-{secrets.token_hex(4)}"
    (tmp_path / "token").write_text(token)
    more = ["--name", name, "--publish", "127.0.0.1::8080", "--volume", f"{tmp_path / 'token'}:/token:ro"]
    serve = ["hub", "serve", "--listen", "0.0.0.0:8080", "--admin-token-file", "/token"]
    command = [engine, "run", "--rm", *RESTRICTED, *more, service, *serve]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        address = wait_for(
            lambda: subprocess.run([engine, "port", name, "8080"], capture_output=True, text=True).stdout
        )
        hub = Hub(f"http://{address.strip()}", "", "", token, tmp_path / "log", process)
        wait_for(lambda: answers(hub))
        yield hub
    finally:
        subprocess.run([engine, "rm", "--force", name], capture_output=True)
        process.wait()


def answers(hub: Hub) -> bool:
    with hub.client() as client:
        try:
            return client.get("/api/v1/runs").status_code == 200
        except httpx2.TransportError:
            return False


def test_a_hub_in_the_service_image_derives_figures_and_writes_parquet(
    hub: Hub, results: Results, tmp_path: Path
) -> None:
    runner = hub.runner(results)
    runner.send_all()
    assert Summary.model_validate(hub.wait_until_derived(runner.run_id)) == summary_of(results.folder)
    with hub.client() as client:
        (tmp_path / "steps").write_bytes(client.get(f"/api/v1/runs/{runner.run_id}/steps.parquet").content)
    launches = duckdb.sql(f"SELECT count(DISTINCT launch_id) FROM read_parquet('{tmp_path / 'steps'}')").fetchall()  # type: ignore[union-attr]
    assert launches == [(len(results.rows),)]


def test_the_service_image_has_no_shell(engine: str, service: str) -> None:
    assert run(engine, service, "-c", "true", program="/bin/sh").returncode == 127


def test_the_service_image_is_small(engine: str, service: str) -> None:
    size = inspect(engine, service)["Size"]
    assert isinstance(size, int)
    assert size <= LARGEST_SERVICE, f"{size / MEGABYTE:.0f} MB"


def test_the_runner_image_can_take_the_jobs_of_kuberay(engine: str, image: Image) -> None:
    """Ray's dashboard takes KubeRay's submissions, and needs more than Ray Train does."""
    runner = image("runner", "sleeper")
    login_shell = ["-lc", "ray --version && wget --version >/dev/null && stepmark --version"]
    done = run(engine, runner, *login_shell, program="bash")
    assert done.returncode == 0, done.stderr
    assert python(engine, runner, "import ray.dashboard.modules.job.job_head").returncode == 0


def test_each_framework_of_the_runner_image_has_an_interpreter_of_its_own(engine: str, image: Image) -> None:
    """What all interpreters need is on the disk once."""
    runner = image("runner", "torch keras")
    found = json.loads(run(engine, runner, "doctor", "--json").stdout)["findings"]
    installed = {finding["subject"] for finding in found if finding["ok"] and finding["subject"].startswith("engine")}
    assert installed == {f"engine {name}" for name in ("torch", "keras-torch", "keras-tensorflow", "sleeper")}
    code = f"""
import glob, importlib.util as u, os
print([n for n in {FRAMEWORKS} if u.find_spec(n)])
files = glob.glob("/opt/stepmark*/**/lib/python3*/site-packages/numpy/version.py", recursive=True)
print(len(files), len({{os.stat(file).st_ino for file in files}}))
"""
    expected = {"": ["ray"], "-engines/torch": ["torch", "keras"], "-engines/keras": ["tensorflow", "keras"]}
    for folder, frameworks in expected.items():
        done = run(engine, runner, "-c", code, program=f"/opt/stepmark{folder}/bin/python")
        assert done.stdout == f"{frameworks}\n3 1\n", done.stderr


def test_a_runner_image_with_an_unknown_engine_is_not_built(engine: str, image: Image) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        image("runner", "torhc")
