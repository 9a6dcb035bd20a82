"""A killed hub, and a database that is full, locked or away: no acknowledged record is lost, and the hub recovers."""

import json
import resource
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from running_hub import Hub, Results, Runner, wait_for
from running_postgres import Postgres, running

pytest_plugins = ["running_hub"]
StartHub = Callable[..., Hub]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """Yield a server of this file alone, which its tests stop and freeze."""
    yield from running()


def ready(hub: Hub) -> bool:
    with hub.client("") as client:
        return client.get("/readyz").status_code == 200


def alive(hub: Hub) -> bool:
    with hub.client("") as client:
        return client.get("/healthz").status_code == 200


def assert_refused_for_now(hub: Hub, runner: Runner, index: int) -> None:
    answer = runner.launch(index)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), answer.text
    assert int(answer.headers["Retry-After"]) > 0
    wait_for(lambda: not ready(hub))
    assert alive(hub)
    assert "database: " in hub.log.read_text()


def assert_recovered(hub: Hub, runner: Runner, index: int) -> None:
    wait_for(lambda: ready(hub))
    assert runner.launch(index).status_code in (200, 201)


def test_a_killed_hub_has_everything_that_it_acknowledged(
    start_hub: StartHub, database_url: str, results: Results
) -> None:
    hub = start_hub(database_url)
    runners = [hub.runner(results) for _ in range(6)]
    acknowledged: list[tuple[int, int]] = []
    with ThreadPoolExecutor(len(runners)) as pool:
        for index, runner in enumerate(runners):
            pool.submit(_upload_until_it_is_killed, index, runner, acknowledged)
    again = start_hub(database_url)
    assert 10 <= len(acknowledged) < len(runners) * len(results.rows), (
        "the hub was killed too late for the test to show anything"
    )
    for index, launch in acknowledged:
        runners[index].hub = again
        assert runners[index].launch(launch).status_code == 200, "the hub has the launch already"
    assert ready(again)


def _upload_until_it_is_killed(index: int, runner: Runner, acknowledged: list[tuple[int, int]]) -> None:
    try:
        runner.claim()
        for launch in range(len(runner.results.rows)):
            if runner.launch(launch).status_code == 201:
                acknowledged.append((index, launch))
            if len(acknowledged) >= 10:
                runner.hub.process.kill()
    except httpx2.TransportError:
        return


def test_a_hub_that_gets_sigterm_finishes_its_requests(start_hub: StartHub, tmp_path: Path, results: Results) -> None:
    hub = start_hub(f"sqlite:///{tmp_path / 'hub.db'}")
    runner = hub.runner(results)
    runner.claim()
    launch_id, body = results.rows[0]
    sent = threading.Event()

    def halting() -> Iterator[bytes]:
        yield b"{"
        hub.process.terminate()
        with pytest.raises(httpx2.TransportError):
            wait_for(lambda: not alive(hub))
        sent.set()
        yield json.dumps(body).encode()[1:]

    with hub.client(runner.token) as client:
        assert client.put(f"{runner.execution}/launches/{launch_id}", content=halting()).status_code == 201
    assert sent.is_set()
    assert hub.process.wait(timeout=240) == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_hub_on_a_full_disk_refuses_records_until_there_is_room(
    start_hub: StartHub, small_disk: Path, results: Results
) -> None:
    hub = start_hub(f"sqlite:///{small_disk / 'hub.db'}")
    runner = hub.runner(results)
    runner.claim()
    assert runner.launch(0).status_code == 201
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(bytes(16 << 20))
    assert_refused_for_now(hub, runner, 1)
    ballast.unlink()
    assert_recovered(hub, runner, 1)


def test_a_hub_on_a_disk_with_little_room_is_not_ready(start_hub: StartHub, small_disk: Path) -> None:
    """The hub is not ready although a byte would still fit, since a record would not."""
    hub = start_hub(f"sqlite:///{small_disk / 'hub.db'}")
    (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free - (300 << 10)))
    assert not ready(hub)
    (small_disk / "ballast").unlink()
    wait_for(lambda: ready(hub))


def test_a_hub_whose_file_may_not_grow_refuses_records_until_it_may(
    start_hub: StartHub, tmp_path: Path, results: Results
) -> None:
    """The quota is made with the process' own limit on file sizes."""
    hub = start_hub(f"sqlite:///{tmp_path / 'hub.db'}")
    runner = hub.runner(results)
    runner.claim()
    limits = resource.prlimit(hub.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(hub.process.pid, resource.RLIMIT_FSIZE, (8192, limits[1]))
    assert_refused_for_now(hub, runner, 0)
    resource.prlimit(hub.process.pid, resource.RLIMIT_FSIZE, limits)
    assert_recovered(hub, runner, 0)


def test_a_hub_whose_database_is_locked_refuses_records_and_still_reads(
    start_hub: StartHub, tmp_path: Path, results: Results
) -> None:
    hub = start_hub(f"sqlite:///{tmp_path / 'hub.db'}")
    runner = hub.runner(results)
    runner.claim()
    with closing(sqlite3.connect(tmp_path / "hub.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert_refused_for_now(hub, runner, 0)
        with hub.client() as client:
            assert client.get("/api/v1/runs").status_code == 200, "reading needs no lock"
        other.execute("ROLLBACK")
    assert_recovered(hub, runner, 0)


def test_a_hub_recovers_when_its_database_server_was_stopped_and_started(
    start_hub: StartHub, postgres: Postgres, results: Results
) -> None:
    hub = start_hub(postgres.new_database())
    runner = hub.runner(results)
    runner.send_all()
    try:
        postgres.stop()
        assert_refused_for_now(hub, runner, 0)
    finally:
        postgres.start()
    assert_recovered(hub, runner, 0)
    assert hub.wait_until_derived(runner.run_id)


def test_a_hub_treats_a_database_server_that_does_not_answer_as_away(
    start_hub: StartHub, postgres: Postgres, results: Results
) -> None:
    """The server accepts connections and answers nothing; no request waits for it without end."""
    hub = start_hub(postgres.new_database())
    runner = hub.runner(results)
    runner.send_all()
    with postgres.frozen():
        with ThreadPoolExecutor(12) as pool:
            answers = [one.result() for one in [pool.submit(runner.launch, 0) for _ in range(12)]]
        assert {answer.status_code for answer in answers} == {503}
        assert not ready(hub)
        assert alive(hub)
    assert_recovered(hub, runner, 0)
    assert hub.wait_until_derived(runner.run_id)
    assert "Traceback" not in hub.log.read_text()
