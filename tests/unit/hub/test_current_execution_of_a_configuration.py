"""Which execution's figures are shown for a configuration, as executions end, are superseded and are deleted."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from stepmark.hub import migrate
from stepmark.hub.database import Database
from stepmark.hub.deriver import mark_lost
from stepmark.hub.latest import has_message, make_current, make_others_current
from stepmark.hub.rows import insert
from stepmark.hub.tables import cells, collectives, executions, latest, runs


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'hub.db'}")
    migrate.migrate(made)
    yield made
    made.close()


def add(database: Database, name: str, ended_at: float, outcome: str = "complete", workers: int = 1) -> None:
    """Store an execution with one cell, and make it current if it is complete."""
    with database.write() as connection:
        insert(connection, runs, [{"run_id": name, "name": "s", "created_at": 0, "execution_id": name}])
        texts = {"document": "{}", "scenario_digest": "", "reason": "", "message": "", "outcome": outcome}
        numbers = {"attempt": 1, "claimed_at": 0, "seen_at": ended_at, "sequence": 1, "revision": 1}
        rest = {"serial": 1, "tried_revision": 0, "tries": 0, "launches_sum": "", "certificates_sum": ""}
        own = {"execution_id": name, "run_id": name, "derived_revision": 1}
        insert(connection, executions, [own | texts | numbers | rest])
        labels = {"candidate": "c", "engine": "e", "strategy": "t", "execution": "eager", "precision": "float32"}
        words = {"scenario": "s", "verdict": "steady", "parity": "certified", "key": f"c.eager.float32.w{workers}"}
        own = {"execution_id": name, "namespace": "", "workers": workers, "batch": "", "ended_at": ended_at}
        insert(connection, cells, [own | labels | words])
        if outcome == "complete":
            make_current(connection, name)


def holding(database: Database) -> dict[str, str]:
    with database.read() as connection:
        rows = connection.execute(latest.select())
        return {row.configuration: row.execution_id for row in rows}


def test_the_execution_that_ended_last_is_current_whenever_it_was_derived(database: Database) -> None:
    add(database, "second", 20)
    add(database, "first", 10)
    add(database, "two-workers", 5, workers=2)
    assert holding(database) == {"/s/c/e/t/eager/float32/1/": "second", "/s/c/e/t/eager/float32/2/": "two-workers"}


def test_the_execution_before_is_current_again_once_the_newest_is_gone(database: Database) -> None:
    add(database, "first", 10)
    add(database, "interrupted", 15, outcome="interrupted")
    add(database, "second", 20)
    with database.write() as connection:
        make_others_current(connection, "second")
    assert set(holding(database).values()) == {"first"}
    with database.write() as connection:
        make_others_current(connection, "first")
        connection.execute(executions.update().values(outcome="superseded"))
        make_others_current(connection, "second")
    assert holding(database) == {}


def test_only_a_silent_execution_that_is_still_running_is_marked_as_lost(database: Database) -> None:
    add(database, "silent", 10, outcome="running")
    add(database, "heard", 30, outcome="running")
    add(database, "ended", 10)
    mark_lost(database, seen_before=20)
    with database.read() as connection:
        found = connection.execute(sa.select(executions.c.execution_id, executions.c.outcome, executions.c.ended_at))
        assert set(found) == {("silent", "lost", 10.0), ("heard", "running", None), ("ended", "complete", None)}


def test_each_size_of_a_collective_is_a_configuration_as_a_collective_and_not_as_a_cell(database: Database) -> None:
    add(database, "trained", 5)
    shared = {"scenario": "s", "candidate": "c", "engine": "e", "strategy": "t", "precision": "float32", "workers": 2}
    figures = {"collective": "all-reduce", "latency_seconds": 1.0, "bus_bytes_per_second": 1.0, "ended_at": 5}
    for size in (1024, 2048):
        key = f"c.eager.float32.w2.{size // 1024}KiB"
        words = {"execution": "eager", "verdict": "steady", "parity": "certified", "key": key, "ended_at": 5}
        with database.write() as connection:
            insert(connection, cells, [{"execution_id": "trained", **shared, **words}])
            row = {"execution_id": "trained", "key": key, "message_bytes": size, **shared, **figures}
            insert(connection, collectives, [row])
    with database.write() as connection:
        make_current(connection, "trained")
    sizes = {f"/s/c/e/t/float32/2/all-reduce/{size}" for size in (1024, 2048)}
    assert set(holding(database)) == {"/s/c/e/t/eager/float32/1/"} | sizes
    with database.write() as connection:
        make_others_current(connection, "trained")
    assert holding(database) == {}


def test_sizes_of_a_collective_are_no_configurations() -> None:
    keys = ["c.eager.float32.w2", "c.eager.float32.w2.64KiB", "c.eager.float32.w12.1020B"]
    assert [has_message(key) for key in keys] == [False, True, True]
