"""A damaged database file: every figure read from it is the one that was written, or is refused with a reason."""

import logging
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from running_hub import Hub, Results, Runner
from stepmark.errors import CannotRun
from stepmark.hub import attempts, derive, downloads, health, ingest, metrics, migrate, reads, records
from stepmark.hub.database import Database
from stepmark.hub.refusals import Refused
from stepmark.hub.rights import RIGHTS, Principal
from stepmark.hub.settings import Limits
from stepmark.hub.sides import Scenario
from stepmark.hub.tables import executions, summaries
from stepmark.hub.views import Filters
from stepmark.results.record import unpack_steps
from stepmark.results.wire import Claim, LaunchUpload, Registration, State

pytest_plugins = ["running_hub"]
StartHub = Callable[..., Hub]
DAMAGES = 200
RUNS = ("one-run", "other-run")
ADMIN, LIMITS = Principal(RIGHTS["admin"], "test"), Limits()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, results: Results) -> Path:
    """Make a database of two runs with their figures; return its file."""
    file = tmp_path_factory.mktemp("whole") / "hub.db"
    database = Database(f"sqlite:///{file}")
    migrate.migrate(database)
    for index, run_id in enumerate(RUNS):
        body = Registration(name="test", token_sha256=f"{index}" * 64)
        attempts.register(database, ADMIN, run_id, 1, body)
        ingest.claim(database, LIMITS, ADMIN, run_id, 1, f"ex-{run_id}", Claim(run=results.run))
        for launch_id, launch in results.rows:
            upload = LaunchUpload.model_validate(launch)
            records.put_launch(database, LIMITS, ADMIN, f"ex-{run_id}", launch_id, upload)
        ingest.put_state(database, ADMIN, f"ex-{run_id}", State(sequence=1, outcome="complete"))
        assert derive.derive(database, f"ex-{run_id}") == ("complete", "")
    database.close()
    return file


def bytes_(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 64)):
        data[chance.randrange(len(data))] = chance.randrange(256)


def bit(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def digit(data: bytearray, chance: random.Random) -> None:
    at = chance.choice([found.start() for found in re.finditer(rb"[0-9]", bytes(data))])
    data[at] = ord(chance.choice([c for c in "0123456789" if ord(c) != data[at]]))


def page(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) // 4096) * 4096
    data[at : at + 4096] = bytes(4096) if chance.random() < 0.5 else chance.randbytes(4096)


KINDS = (bytes_, bit, digit, page)


def figures(database: Database) -> dict[str, Callable[[sa.Connection, Path], Any]]:
    """Return a function for everything that the hub shows of what was measured, by name."""

    def line(connection: sa.Connection, _: Path) -> Any:
        return {one.run_id: (one.outcome, one.verdict) for one in reads.runs(connection, Filters()).runs}

    def raw(connection: sa.Connection, folder: Path) -> Any:
        query = executions.select().where(executions.c.execution_id == "ex-one-run")
        execution = downloads.checked(executions, connection.execute(query).one(), "run one-run")  # type: ignore[attr-defined]
        downloads.write_store(connection, execution, folder)
        with closing(sqlite3.connect(folder / "results.db")) as file:
            found = file.execute("SELECT launch_id, header, step_nanoseconds_npz FROM launches ORDER BY 1").fetchall()
        return [(name, header, unpack_steps(blob)[0].tobytes()) for name, header, blob in found]

    def shown(_: sa.Connection, __: Path) -> Any:
        snapshot = metrics.snapshot(database)
        return {*snapshot.cells, *snapshot.pairs}

    def summary(connection: sa.Connection, _: Path) -> Any:
        found = reads.summary(connection, "one-run")
        return None if found is None else found.document

    def history(connection: sa.Connection, _: Path) -> Any:
        return reads.history(connection, Scenario("test", None))

    return {"line": line, "raw": raw, "shown": shown, "summary": summary, "history": history}


def read(database: Database, folder: Path) -> dict[str, Any]:
    """Read every figure; in place of one that cannot be read stands its refusal."""
    found: dict[str, Any] = {}
    for name, figure in figures(database).items():
        try:
            with database.read() as connection:
                inner = folder / name
                inner.mkdir()
                found[name] = figure(connection, inner)
        except Refused as refused:
            found[name] = refused
        except sa.exc.SQLAlchemyError as error:  # The hub answers 503 to whoever asks.
            found[name] = Refused(503, "unavailable", str(error))
    return found


def derived_again(database: Database) -> str | None:
    """Derive the figures anew from the raw records and return the summary; None where the records are refused."""
    with database.write() as connection:
        connection.execute(executions.update().values(derived_revision=0))
    try:
        derive.derive(database, "ex-one-run")
    except Refused:
        return None
    with database.read() as connection:
        own = summaries.c.execution_id == "ex-one-run"
        return connection.execute(sa.select(summaries.c.document).where(own)).scalar()


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Return the figures that are neither refused nor what they were.

    Of the lists of many figures, entries may be missing or be marked as damaged.
    """
    wrong = []
    for name, value in found.items():
        if isinstance(value, Refused):
            if value.status < 500:
                wrong.append(f"{name}: {value.message}")
        elif name == "shown":
            wrong += [f"shown: {one}" for one in value - expected[name]]
        elif name == "line":
            wrong += [f"{k}: {v}" for k, v in value.items() if v[0] != "damaged" and v != expected[name].get(k)
                      and v != (expected[name].get(k, ("",))[0], ())]  # fmt: skip
        elif value != expected[name]:
            wrong.append(f"{name}: another figure")
    return wrong


def test_a_damaged_database_never_gives_another_figure(
    whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "stepmark.hub")
    before = Database(f"sqlite:///{whole}")
    (tmp_path / "before").mkdir()
    expected = read(before, tmp_path / "before")
    before.close()
    assert not [one for one in expected.values() if isinstance(one, Refused)]
    outcomes = {"refused": 0, "not ready": 0, "served": 0}
    for seed in range(DAMAGES):
        folder = tmp_path / str(seed)
        folder.mkdir()
        data, chance = bytearray(whole.read_bytes()), random.Random(seed)
        KINDS[seed % len(KINDS)](data, chance)
        (folder / "hub.db").write_bytes(data)
        outcomes[_looked_at(folder, expected, seed)] += 1
        shutil.rmtree(folder)
    print(outcomes)
    assert all(outcomes.values()), outcomes


def _looked_at(folder: Path, expected: dict[str, Any], seed: int) -> str:
    database = Database(f"sqlite:///{folder / 'hub.db'}")
    try:
        migrate.migrate(database)
        migrate.require_newest(database)
        if health.damage_of(database):
            return "not ready"
        found = read(database, folder)
        assert differences(expected, found) == [], f"seed {seed}"
        again = derived_again(database)
        assert again in (None, expected["summary"]), f"seed {seed}: other figures when derived again"
        return "served"
    except CannotRun:
        return "refused"
    finally:
        database.close()


def test_a_hub_says_which_run_is_damaged_and_serves_the_others(
    start_hub: StartHub, tmp_path: Path, whole: Path
) -> None:
    file = tmp_path / "hub.db"
    data = whole.read_bytes()
    at = data.rindex(b'"wall_seconds":') + len(b'"wall_seconds":')
    file.write_bytes(data[:at] + (b"7" if data[at : at + 1] != b"7" else b"8") + data[at + 1 :])
    hub = start_hub(f"sqlite:///{file}")
    answers = {}
    with hub.client() as client:
        for run_id in RUNS:
            answers[run_id] = client.get(f"/api/v1/runs/{run_id}/results.db")
    assert sorted(answer.status_code for answer in answers.values()) == [200, 500]
    [(damaged, answer)] = [(name, one) for name, one in answers.items() if one.status_code == 500]
    assert answer.json()["code"] == "damaged"
    assert damaged in answer.json()["message"]
    assert damaged in hub.log.read_text()
    assert "Traceback" not in hub.log.read_text()


def test_a_hub_does_not_serve_a_file_whose_structure_is_damaged(
    start_hub: StartHub, tmp_path: Path, whole: Path, results: Results
) -> None:
    file = tmp_path / "hub.db"
    shutil.copy(whole, file)
    with closing(sqlite3.connect(file)) as connection:
        [root] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'launches_by_time' "
                                    "OR name LIKE 'sqlite_autoindex_cells%'").fetchone()  # fmt: skip
    data = bytearray(file.read_bytes())
    data[(root - 1) * 4096 + 3] ^= 3
    file.write_bytes(data)
    hub = start_hub(f"sqlite:///{file}")
    with hub.client() as client:
        ready = client.get("/readyz")
        assert (ready.status_code, "damaged" in ready.json()["message"]) == (503, True)
        assert client.get("/healthz").status_code == 200
        assert client.get("/api/v1/runs").status_code == 503
    assert Runner(hub, results, "new").register().status_code == 503
    assert "the database is damaged" in hub.log.read_text()
