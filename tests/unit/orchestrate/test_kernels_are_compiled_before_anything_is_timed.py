"""Launches that are not recorded come first where the driver must compile a framework's kernels for the GPU."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from conftest import scenario_document
from stepmark.orchestrate import driver
from stepmark.plan.blocks import Launch, make_plan
from stepmark.plan.cells import Machine
from stepmark.plan.warm import WARM_BLOCK, warm_launches, warm_measurement
from stepmark.results.record import LaunchHeader, LaunchRecord
from stepmark.scenario.load import scenario_from_object
from stepmark.scenario.model import Scenario

HOPPER = Machine(places=2, programs=("c++",), device="gpu", gpu_name="NVIDIA H200", compute_capability=(9, 0))
ADA = HOPPER.model_copy(update={"gpu_name": "NVIDIA L40S", "compute_capability": (8, 9)})
CLUSTER = HOPPER.model_copy(update={"gpu_name": None, "compute_capability": None})
CPU = Machine(places=2, programs=("c++",))


def scenario(engine: str, **changes: Any) -> Scenario:
    document = {
        "candidates": [{"name": "a", "engine": engine, "strategy": "single"}],
        "scale": {"workers": [1], "batchPerWorker": 8},
    }
    return scenario_from_object(scenario_document(**(document | changes)))


@pytest.mark.parametrize(("machine", "first"), [(HOPPER, 1), (CLUSTER, 1), (ADA, 0), (CPU, 0)])
def test_tensorflow_has_one_for_each_cell_where_its_wheel_may_lack_machine_code(machine: Machine, first: int) -> None:
    for engine, expected in (("keras-tensorflow", first), ("keras-jax", 0), ("torch", 0)):
        cells = make_plan(scenario(engine, workload={"model": "mlp"}), machine).cells
        assert [launch.cell for launch in warm_launches(cells, machine)] == list(cells)[:expected]


def test_they_have_the_run_s_deadline_and_the_fewest_steps() -> None:
    found = warm_measurement(scenario("sleeper", runPolicy={"activeDeadlineSeconds": 7200}).spec, WARM_BLOCK)
    assert (found.launch_timeout_seconds, found.step_timeout_seconds) == (7200, 3600)
    assert (found.min_steps, found.max_steps, found.warmup_steps) == (1, 1, 1)
    assert (found.min_seconds, found.warmup_seconds) == (0, 0)


class Store:
    """Keep what is stored and what is reported, in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def headers(self) -> Iterator[LaunchHeader]:
        return iter(())

    def certified(self) -> frozenset[str]:
        return frozenset()

    def append(self, record: LaunchRecord) -> None:
        self.seen.append(("stored", record.header.launch_id))

    def warmed(self, launch: Launch, seconds: float, problem: str | None) -> None:
        assert seconds > 0
        self.seen.append((f"warmed, {problem or 'and well'}", launch.id))

    def __getattr__(self, _: str) -> Any:
        return mock.Mock()


def run(monkeypatch: pytest.MonkeyPatch, **params: Any) -> list[tuple[str, str]]:
    """What was reported and stored of a run of two blocks on CPU cores, as if their kernels had to be compiled."""

    def all_of(cells: Any, _: Machine) -> tuple[Launch, ...]:
        return tuple(Launch(cell, WARM_BLOCK, 0, 0, warm=True) for cell in cells)

    monkeypatch.setattr(driver, "warm_launches", all_of)
    few = {"launches": 2, "minSteps": 3, "minSeconds": 0, "warmupSteps": 2, "warmupSeconds": 0}
    workload = {"model": "scripted", "params": {"stepSeconds": 0.001} | params}
    plan = make_plan(scenario("sleeper", measurement=few, workload=workload), CPU)
    store = Store()
    rules = driver.Rules(precise_enough=lambda: True, disturbed=lambda _: None)
    driver.measure(plan, store, store, driver.Options(launcher="bare"), rules)
    return store.seen


def test_they_come_first_are_reported_and_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = "a.eager.float32.w1"
    expected = [("warmed, and well", f"warm.{cell}"), ("stored", f"b000.{cell}"), ("stored", f"b001.{cell}")]
    assert run(monkeypatch) == expected


def test_one_that_fails_says_why_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    (said, _), *stored = run(monkeypatch, fault="raise", faultRank=0, faultStep=1)
    assert said == "warmed, RuntimeError: the script asked for this error"
    assert [what for what, _ in stored] == ["stored"] * 2
