"""The database's answers to pages and programs: the right runs, each once, in order, with their verdicts."""

import time
from collections.abc import Iterator

import pytest

from running_hub import Hub, Results
from stepmark.analysis.summary import Summary
from stepmark.hub import migrate, reads, sides
from stepmark.hub.database import Database
from stepmark.hub.rows import insert, update
from stepmark.hub.tables import cells, executions, runs
from stepmark.hub.views import Filters
from stepmark.publish.client import Hub as Client
from stepmark.report import headline
from varied_results import elsewhere, slower

pytest_plugins = ["running_hub"]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Yield an empty database with the hub's tables."""
    made = Database(database_url)
    migrate.migrate(made)
    yield made
    made.close()


def fill(database: Database, *rows: tuple[str, str, str | None, float]) -> None:
    with database.write() as connection:
        for run_id, name, namespace, created_at in rows:
            row = {"run_id": run_id, "name": name, "namespace": namespace, "created_at": created_at}
            insert(connection, runs, [row])


def found(database: Database, **filters: object) -> list[str]:
    with database.read() as connection:
        return [one.run_id for one in reads.runs(connection, Filters.model_validate(filters)).runs]


def test_pages_list_every_run_once_newest_first_even_runs_of_one_moment(database: Database) -> None:
    fill(database, *((f"run-{index}", "test", None, 1000.5 + index // 3) for index in range(10)))
    seen: list[str] = []
    cursor = None
    with database.read() as connection:
        while True:
            page = reads.runs(connection, Filters(limit=4, cursor=cursor))
            seen += [one.run_id for one in page.runs]
            cursor = page.next_cursor
            if cursor is None:
                break
    assert seen == [f"run-{index}" for index in reversed(range(10))]


def test_filters_find_matching_runs_and_take_wildcards_literally(database: Database) -> None:
    fill(database, ("one-1", "alpha", "team-a", 1), ("two-2", "beta", None, 2), ("three", "alpha-beta", None, 3))
    assert found(database, name="alpha") == ["one-1"]
    assert found(database, search="BETA") == ["three", "two-2"]
    assert found(database, search="team") == ["one-1"]
    assert found(database, search="wo-2", name="beta") == ["two-2"]
    assert found(database, search="%") == found(database, search="_") == []
    assert found(database, outcome="waiting") == ["three", "two-2", "one-1"]
    assert found(database, outcome="running") == []
    with database.read() as connection:
        assert reads.names(connection) == ["alpha", "alpha-beta", "beta"]


def test_a_malformed_cursor_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        found(database, cursor="nonsense")


def test_reads_of_an_unknown_run_or_scenario_give_none(database: Database) -> None:
    with database.read() as connection:
        assert reads.run(connection, "nobody") is None
        assert reads.summary(connection, "nobody") is None
        assert reads.scenario_named(connection, "nobody", None) is None
        assert sides.side(connection, "nobody") is None


def test_the_list_of_runs_has_the_verdict_of_the_report(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.send_all()
    summary = Summary.model_validate(hub.wait_until_derived(runner.run_id))
    [line] = hub.get("/api/v1/runs", search=runner.run_id)["runs"]
    assert line["verdict"] == headline.headlines(summary.comparisons)
    assert line["outcome"] == "complete"


def test_the_list_names_the_highest_throughput_of_cells_that_parity_has_not_refused(database: Database) -> None:
    fill(database, ("one", "alpha", None, 1.0))
    blank = {"execution_id": "e", "namespace": "", "scenario": "alpha", "engine": "x", "strategy": "x",
             "execution": "eager", "precision": "float32", "workers": 1, "batch": "", "verdict": "steady",
             "ended_at": 1.0}  # fmt: skip
    with database.write() as connection:
        texts = {"document": "", "scenario_digest": "", "outcome": "complete", "reason": "", "message": "",
                 "launches_sum": "", "certificates_sum": ""}  # fmt: skip
        numbers = dict.fromkeys(("attempt", "claimed_at", "seen_at", "sequence", "revision", "derived_revision",
                                 "serial", "tried_revision", "tries"), 1)  # fmt: skip
        insert(connection, executions, [{"execution_id": "e", "run_id": "one"} | texts | numbers])
        update(connection, runs, connection.execute(runs.select()).one(), execution_id="e")
        for rate, parity in ((1, "certified"), (2, "within limits"), (3, "not comparable"), (4, "not checked")):
            row = blank | {"key": parity, "candidate": parity, "parity": parity, "samples_per_second": rate}
            insert(connection, cells, [row])
    with database.read() as connection:
        [line] = reads.runs(connection, Filters()).runs
    assert line.verdict == ("2 samples/s: within limits eager float32, 1 worker",)


def test_two_runs_are_compared_with_the_scenarios_earlier_runs_as_history(hub: Hub, results: Results) -> None:
    sent = [hub.runner(slower(results, 1 + 0.01 * seed, seed=seed)) for seed in range(5)]
    for runner in sent:
        runner.send_all()
        hub.wait_until_derived(runner.run_id)
    old, new = sent[-2].run_id, sent[-1].run_id
    with hub.client() as client:
        page = client.get("/compare", params={"old": old, "new": new}, headers={"Accept": "text/html"}).text
    assert "history: campaigns vary by" in page
    assert "no history" not in page
    with Client(hub.url, hub.admin_token) as asking:
        known = asking.history("test", 50)
        assert asking.history("nobody", 50) == ()
    assert list(known[-5:]) == [runner.run_id for runner in sent]


def test_a_running_run_has_progress_and_is_not_settled(hub: Hub, results: Results) -> None:
    runner = hub.runner(results)
    runner.claim()
    runner.launch(0)
    runner.state(1, progress={"launches_done": 1, "launches_total": 8, "cell": "plain.eager.float32.w1"})
    view = hub.get(f"/api/v1/runs/{runner.run_id}")
    assert (view["settled"], view["run"]["progress"]["launches_done"]) == (False, 1)
    [line] = hub.get("/api/v1/runs", search=runner.run_id)["runs"]
    assert line["progress"]["launches_total"] == 8
    assert abs(line["seen_at"] - time.time()) < 60


def test_a_history_has_only_ended_runs_oldest_first_with_facts_of_their_ranks(hub: Hub, results: Results) -> None:
    before = hub.get("/api/v1/scenarios/test/history", limit=200)["runs"]
    variations = (results, elsewhere(slower(results, 200), {"torch": "9.9"}))
    ended = [hub.runner(one) for one in variations]
    for runner in ended:
        runner.send_all()
        hub.wait_until_derived(runner.run_id)
    running = hub.runner(results)
    running.claim()
    running.launch(0)
    history = hub.get("/api/v1/scenarios/test/history", limit=200)
    listed = [one["run_id"] for one in history["runs"]]
    new = listed[listed.index(before[-1]["run_id"]) + 1 :] if before else listed
    assert new == [one.run_id for one in ended]
    assert "package torch" in " ".join(history["runs"][-1]["changed"])
    assert "slower" in {cell["points"][-1]["change"] for cell in history["cells"]}
    database = Database(hub.database_url)
    with database.read() as connection:
        side = sides.side(connection, ended[0].run_id)
    database.close()
    assert side is not None
    assert {facts["nodes"] for facts in side.facts.values()} == {"1"}
    assert len(side.facts) == 4
