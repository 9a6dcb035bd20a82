"""Everything that version 0.1.0 stored is there after an upgrade, and its figures are derived again."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pg8000.native
import pytest

from conftest import ROOT
from running_hub import Hub, Results, Runner, hub_command
from running_postgres import Postgres
from stepmark.analysis.summary import summarize_run
from stepmark.plan.cells import cells
from stepmark.results.store import SqliteStore

pytest_plugins = ["running_hub"]
OLD = ROOT / "tests" / "fixtures" / "v0_1_0"
RUNS, LAUNCHES = ("old-run", "older-run"), 12


def unpacked(name: str, folder: Path) -> Path:
    file = folder / name
    with gzip.open(OLD / f"{name}.gz") as packed, file.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def old_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a database that 0.1.0 wrote."""
    if request.param == "sqlite":
        return f"sqlite:///{unpacked('hub.db', tmp_path)}"
    server: Postgres = request.getfixturevalue("postgres")
    url = server.new_database()
    dump = unpacked("hub.sql", tmp_path).read_text(encoding="utf-8")
    with pg8000.native.Connection("stepmark", "127.0.0.1", url.rpartition("/")[2], server.port) as connection:
        connection.execute_simple(dump)
    return url


def test_a_database_of_0_1_0_is_upgraded_with_all_its_runs(
    start_hub: Callable[..., Hub], old_database: str, results: Results, tmp_path: Path
) -> None:
    hub = start_hub(old_database)
    for run_id in RUNS:
        assert len(hub.wait_until_derived(run_id)["cells"]) == 4
        [attempt] = hub.get(f"/api/v1/runs/{run_id}")["attempts"]
        assert attempt["executions"][0]["launches"] == LAUNCHES
        with hub.client() as client:
            folder = tmp_path / run_id
            folder.mkdir()
            (folder / "results.db").write_bytes(client.get(f"/api/v1/runs/{run_id}/results.db").content)
        store = SqliteStore.open(folder)
        assert len(list(store.records())) == LAUNCHES
        store.close()
    assert [run["run_id"] for run in hub.get("/api/v1/scenarios/test/history")["runs"]] == list(RUNS)
    assert hub.get("/api/v1/runs/waiting-run")["run"]["outcome"] == "waiting"
    resumed = Runner(hub, results, "waiting-run", 1)
    assert resumed.register().status_code == 201, "0.1.0 did not record who registered an attempt"
    resumed.send_all()
    assert hub.wait_until_derived("waiting-run")["cells"]
    assert hub_command("backup", tmp_path / "copy.db", "--database", old_database) == (
        0,
        f"{tmp_path}/copy.db: 3 runs\n",
    )
    assert "Traceback" not in hub.log.read_text()


def test_a_results_file_of_0_1_0_gives_figures(tmp_path: Path) -> None:
    unpacked("results.db", tmp_path)
    store = SqliteStore.open(tmp_path)
    run = store.run()
    summary = summarize_run(run, cells(run.parsed_scenario, run.machine), store.rows(), store.certificates())
    assert {cell.samples_per_second is not None for cell in summary.cells} == {True}
    assert len(summary.comparisons) == 2
    store.close()


def test_a_runner_of_0_1_0_gets_no_field_that_it_does_not_know(hub: Hub, results: Results) -> None:
    """The runner's model of this answer refuses any other field."""
    runner = hub.runner(results)
    runner.send_all()
    assert set(hub.get(f"{runner.execution}/received")) == {"launches", "certificates"}
