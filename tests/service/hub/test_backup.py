"""A backup of SQLite or PostgreSQL, taken while the hub serves, restores into either of them."""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from running_hub import Hub, Results, Runner, hub_command

pytest_plugins = ["running_hub"]


@contextmanager
def uploading(hub: Hub, results: Results) -> Iterator[None]:
    """Upload runs from another thread for as long as the block lasts."""
    ended = threading.Event()

    def upload() -> None:
        while not ended.is_set():
            hub.runner(results).send_all()

    thread = threading.Thread(target=upload)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_backup_restores_into_either_database(
    hub: Hub,
    target: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    results: Results,
    start_hub: Callable[..., Hub],
) -> None:
    runner = hub.runner(results)
    runner.send_all()
    summary, file = hub.wait_until_derived(runner.run_id), tmp_path / "saved.db"
    with uploading(hub, results):
        assert hub_command("backup", file, "--database", hub.database_url)[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["saved.db"], "a backup is one file"
    assert file.stat().st_mode & 0o077 == 0
    url = f"sqlite:///{tmp_path}/new.db"
    if target == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    assert hub_command("restore", file, "--database", url)[0] == 0
    again = start_hub(url)
    assert again.wait_until_derived(runner.run_id) == summary
    runner.hub = again
    assert runner.launch(0).status_code == 200, "the restored hub knows the write token and the launch"
    assert Runner(again, results, runner.run_id, 1, token=runner.token).claim().status_code == 201


def test_backup_and_restore_overwrite_nothing(hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "saved.db"
    assert hub_command("backup", file, "--database", hub.database_url)[0] == 0
    before = file.read_bytes()
    assert hub_command("backup", file, "--database", hub.database_url)[0] == 3
    assert file.read_bytes() == before
    code, message = hub_command("restore", file, "--database", hub.database_url)
    assert code == 3
    assert "expected an empty database" in message


@pytest.mark.parametrize("contents", ["", "no database", "another"])
def test_restore_refuses_a_file_that_is_not_a_backup(tmp_path: Path, contents: str) -> None:
    file = tmp_path / "file"
    if contents == "another":
        with closing(sqlite3.connect(file)) as other:
            other.execute("CREATE TABLE t (x)")
            other.commit()
    else:
        file.write_text(contents * 200)
    code, message = hub_command("restore", file, "--database", f"sqlite:///{tmp_path}/new.db")
    assert code == 3
    assert "expected a backup" in message


def test_a_hub_serves_a_backup_as_its_database(
    hub: Hub, tmp_path: Path, results: Results, start_hub: Callable[..., Hub]
) -> None:
    runner = hub.runner(results)
    runner.send_all()
    hub.wait_until_derived(runner.run_id)
    assert hub_command("backup", tmp_path / "hub.db", "--database", hub.database_url)[0] == 0
    served = start_hub(f"sqlite:///{tmp_path / 'hub.db'}")
    assert json.dumps(served.wait_until_derived(runner.run_id)) == json.dumps(hub.wait_until_derived(runner.run_id))
