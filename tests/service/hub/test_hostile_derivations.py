"""Records that need too much memory or time to derive: the hub survives them, and other runs get their figures."""

import base64
import signal
from collections.abc import Callable

import numpy as np
import psutil
import pytest

from huge_results import huge
from running_hub import Hub, Results, wait_for
from stepmark.hub.database import Database
from stepmark.hub.rows import update
from stepmark.hub.tables import executions
from stepmark.results.record import pack_steps

pytest_plugins = ["running_hub"]
StartHub = Callable[..., Hub]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('derive') / 'hub.db'}"


def problem(hub: Hub, run_id: str) -> str:
    return wait_for(lambda: hub.get(f"/api/v1/runs/{run_id}")["problem"])


def test_more_steps_or_ranks_than_the_scenario_can_ask_for_are_refused(
    start_hub: StartHub, url: str, results: Results
) -> None:
    runner = start_hub(url).runner(results)
    runner.claim()
    launch_id, body = results.rows[0]
    long = base64.b64encode(pack_steps(np.ones((len(body["header"]["ranks"]), 10_001), dtype=np.int64))).decode()
    assert runner.put(f"{runner.execution}/launches/{launch_id}", body | {"steps_npz": long}).status_code == 422
    ranks = [body["header"]["ranks"][0] | {"rank": rank} for rank in range(5)]
    wide = base64.b64encode(pack_steps(np.ones((5, 30), dtype=np.int64))).decode()
    more = body | {"header": body["header"] | {"ranks": ranks}, "steps_npz": wide}
    assert runner.put(f"{runner.execution}/launches/{launch_id}", more).status_code == 422


def test_a_run_that_needs_too_much_memory_gets_no_figures_and_others_do(
    start_hub: StartHub, url: str, results: Results
) -> None:
    hub = start_hub(url, "--derive-bytes-most", str(150 << 20))
    hostile, innocent = hub.runner(huge(results, 2)), hub.runner(results)
    hostile.send_all()
    innocent.send_all()
    assert hub.wait_until_derived(innocent.run_id)["cells"]
    assert problem(hub, hostile.run_id).startswith("no figures: ")
    assert "Traceback" not in hub.log.read_text()


def test_a_derivation_that_ended_the_hub_twice_is_not_begun_again(
    start_hub: StartHub, url: str, results: Results
) -> None:
    """A derivation is counted before it begins. The count is written by hand, as two killed hubs would leave it."""
    hub = start_hub(url)
    runner = hub.runner(results)
    runner.send_all()
    hub.wait_until_derived(runner.run_id)
    assert hub.end() == 0
    database = Database(url)
    with database.write() as connection:
        row = connection.execute(executions.select().where(executions.c.execution_id == runner.execution_id)).one()
        update(connection, executions, row, derived_revision=0, tried_revision=row.revision, tries=2)
    database.close()
    hub = start_hub(url)
    assert "deriving them ended the hub's worker twice" in problem(hub, runner.run_id)
    other = hub.runner(results)
    other.send_all()
    assert hub.wait_until_derived(other.run_id)["cells"]


def test_a_worker_that_is_killed_is_replaced_and_ends_with_its_hub(
    start_hub: StartHub, url: str, results: Results
) -> None:
    hub = start_hub(url)

    def worker() -> psutil.Process | None:
        children = psutil.Process(hub.process.pid).children()
        return next((one for one in children if "spawn_main" in " ".join(one.cmdline())), None)

    first = hub.runner(results)
    first.send_all()
    hub.wait_until_derived(first.run_id)
    killed = worker()
    assert killed is not None
    killed.send_signal(signal.SIGKILL)
    second = hub.runner(results)
    second.send_all()
    assert hub.wait_until_derived(second.run_id)["cells"]
    new = worker()
    assert new is not None
    assert new.pid != killed.pid
    hub.process.kill()
    wait_for(lambda: not new.is_running() or new.status() == psutil.STATUS_ZOMBIE)


def test_a_figure_that_no_column_can_hold_harms_no_other_run(start_hub: StartHub, url: str, results: Results) -> None:
    hub = start_hub(url)
    hostile, innocent = hub.runner(results), hub.runner(results)
    hostile.claim()
    launch_id, body = results.rows[0]
    ranks = [rank | {"peak_memory_bytes": 2**63 - 1} for rank in body["header"]["ranks"]]
    sent = body | {"header": body["header"] | {"ranks": ranks}}
    assert hostile.put(f"{hostile.execution}/launches/{launch_id}", sent).status_code == 201
    hostile.state(1, "complete", launches=1)
    innocent.send_all()
    assert hub.wait_until_derived(innocent.run_id)["cells"]
    assert wait_for(lambda: hub.get(f"/api/v1/runs/{hostile.run_id}")["settled"])
