"""An error inside a session without Ray ends its threads and processes, though the driver's process lives on."""

import secrets
import time

import psutil
import pytest

from conftest import assert_all_gone, scenario_document
from stepmark.orchestrate.bare import BareSession
from stepmark.orchestrate.rank import Settings
from stepmark.plan.blocks import make_plan
from stepmark.plan.cells import Machine
from stepmark.scenario.load import scenario_from_object

SCENARIO = scenario_from_object(
    scenario_document(
        workload={"model": "scripted", "params": {"stepSeconds": 600}}, scale={"workers": [2], "batchPerWorker": 8}
    )
)


def session() -> BareSession:
    return BareSession(2, Settings(secrets.token_hex(8), SCENARIO, fresh_process=False))


def processes_of_a_launch(others: set[psutil.Process]) -> list[psutil.Process]:
    """Wait until both ranks of the launch run, and return the zygote with its children, without these processes."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = [process for process in psutil.Process().children(recursive=True) if process not in others]
        if sum("stepmark.launch.zygote" in process.cmdline() for process in found) == 3:
            return found
        time.sleep(0.05)
    pytest.fail("the launch did not start")


def test_supervisors_that_wait_for_a_block_end() -> None:
    interrupted = session()
    with pytest.raises(KeyboardInterrupt), interrupted:
        raise KeyboardInterrupt
    assert not [thread for thread in interrupted._threads if thread.is_alive()]


def interrupted_in_a_launch(interrupted: BareSession) -> list[psutil.Process]:
    """Interrupt the session in the middle of a launch, and return the processes that ran then."""
    others = set(psutil.Process().children(recursive=True))
    try:
        with interrupted:
            interrupted.offer(make_plan(SCENARIO, Machine(places=2, programs=())).blocks[0])
            processes = processes_of_a_launch(others)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        return processes


def test_a_launch_in_the_middle_of_a_step_ends() -> None:
    interrupted = session()
    processes = interrupted_in_a_launch(interrupted)
    assert not [thread for thread in interrupted._threads if thread.is_alive()]
    assert_all_gone(processes)
