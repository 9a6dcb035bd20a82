"""What a scrape reads from SQLite and from PostgreSQL, and that it is answered whatever the state of the database."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from running_hub import Hub, Results
from stepmark.hub import metrics
from stepmark.hub.database import Database
from stepmark.hub.health import Readiness
from stepmark.hub.metrics import metrics_app, snapshot
from stepmark.hub.migrate import migrate
from stepmark.hub.tables import executions
from stepmark.telemetry import names
from stepmark.telemetry.figures import Snapshot
from stepmark.telemetry.hub_meters import HubMeters

pytest_plugins = ["running_hub"]


def value(text: str, name: object) -> float:
    """Return the value of the only series of this name."""
    [found] = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, flags=re.M)
    return float(found)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Yield an empty database with the hub's tables, on SQLite and on PostgreSQL."""
    found = Database(database_url)
    migrate(found)
    yield found
    found.close()


def test_an_empty_hub_serves_its_own_figures_and_none_of_runs(database: Database) -> None:
    found = snapshot(database)
    assert (found.cells, found.pairs, found.scenarios, found.cells_stored) == ((), (), (), 0)
    assert {(one.outcome, one.runs) for one in found.service.runs} == {("running", 0), ("waiting", 0)}
    assert found.service.database_bytes > 4096
    assert found.service.schema_revision
    assert found.service.unseen_seconds is None


def test_a_scrape_of_a_hub_shows_the_figures_of_its_summary(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.send_all()
    summary = hub.wait_until_derived(runner.run_id)
    text = httpx2.get(hub.metrics_url, timeout=120).text
    for cell in summary["cells"]:
        labels = f'workers="{cell["workers"]}"', f'candidate="{cell["candidate"]}"'
        lines = [line for line in text.splitlines() if all(label in line for label in labels)]
        rate = next(line for line in lines if line.startswith(f"{names.THROUGHPUT}{{"))
        assert float(rate.split()[-1]) == pytest.approx(cell["samples_per_second"]["median"])
    assert value(text, names.DATABASE_UP) == 1


def test_runs_are_counted_as_waiting_running_or_ended(hub: Hub, results: Results) -> None:
    def runs(outcome: str) -> float:
        found = re.findall(
            rf'^{names.RUNS}{{outcome="{outcome}",.*}} (\S+)$', httpx2.get(hub.metrics_url, timeout=120).text, re.M
        )
        return sum(map(float, found))

    before = {outcome: runs(outcome) for outcome in ("waiting", "running", "interrupted")}
    runner = hub.runner(results)
    assert runs("waiting") == before["waiting"] + 1
    assert runner.claim().status_code == 201
    assert (runs("waiting"), runs("running")) == (before["waiting"], before["running"] + 1)
    assert value(httpx2.get(hub.metrics_url, timeout=120).text, names.UNSEEN) < 60
    assert runner.state(1, "interrupted", reason="stopped").status_code == 201
    assert (runs("running"), runs("interrupted")) == (before["running"], before["interrupted"] + 1)


def test_the_queue_counts_ended_and_running_executions_apart(database: Database) -> None:
    values = {
        "attempt": 1, "document": "{}", "scenario_digest": "0" * 64, "claimed_at": 1.0, "seen_at": time.time() - 50,
        "reason": "", "message": "", "sequence": 1, "derived_revision": 1,
    }  # fmt: skip
    rows = [("a", "running", 2), ("b", "complete", 2), ("c", "complete", 2), ("d", "complete", 1)]
    with database.write() as connection:
        connection.execute(sa.text("INSERT INTO runs (run_id, name, created_at) VALUES ('r', 'x', 1)"))
        for execution_id, outcome, revision in rows:
            known = {"execution_id": execution_id, "run_id": "r", "outcome": outcome, "revision": revision}
            connection.execute(executions.insert().values(**known, **values))
    service = snapshot(database).service
    assert (service.queue_running, service.queue_ended) == (1, 2)
    assert service.unseen_seconds == pytest.approx(50, abs=20)


def test_a_scrape_answers_while_the_database_is_away_and_after_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "not-there-yet"
    database, meters = Database(f"sqlite:///{folder / 'hub.db'}"), HubMeters(CollectorRegistry())
    with TestClient(metrics_app(database, meters, Readiness(database))) as client:
        away = client.get("/metrics")
        folder.mkdir()
        migrate(database)
        back = client.get("/metrics").text
    assert (away.status_code, value(away.text, names.DATABASE_UP)) == (200, 0)
    assert (value(back, names.DATABASE_UP), value(back, names.DATABASE_ERRORS)) == (1, 1)
    database.close()


def test_a_hanging_database_blocks_one_thread_and_no_scrape() -> None:
    release, began = threading.Event(), threading.Semaphore(0)

    def read() -> Snapshot | None:
        began.release()
        release.wait(240)
        return None

    in_time = metrics._InTime(read, 0.05)
    assert [in_time() for _ in range(3)] == [None, None, None]
    assert began.acquire(timeout=120)
    assert not began.acquire(blocking=False), (
        "the second and the third scrape read nothing, since the first one still hangs"
    )
    release.set()
    assert in_time._reading.acquire(timeout=120)


def test_the_metrics_server_has_no_pages_and_no_api(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'hub.db'}")
    with TestClient(metrics_app(database, HubMeters(CollectorRegistry()), Readiness(database))) as client:
        assert [client.get(path).status_code for path in ("/", "/api/v1/runs", "/docs")] == [404] * 3
        assert client.post("/metrics").status_code == 405
    database.close()
