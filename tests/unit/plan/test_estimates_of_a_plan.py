"""The estimate of how long a plan takes."""

from dataclasses import replace

from conftest import scenario_document
from stepmark.plan.blocks import Plan, make_plan
from stepmark.plan.cells import Machine
from stepmark.plan.estimate import estimate_seconds
from stepmark.scenario.load import scenario_from_object
from stepmark.terms import DeviceKind


def plan(step_seconds: float, device: DeviceKind = "cpu") -> Plan:
    document = scenario_document(
        workload={"model": "scripted", "params": {"stepSeconds": step_seconds}},
        measurement={"launches": 5, "minSteps": 100, "minSeconds": 0, "warmupSteps": 10, "warmupSeconds": 0},
    )
    made = make_plan(scenario_from_object(document), Machine(places=4, programs=()))
    on_device = [[replace(one, cell=one.cell.model_copy(update={"device": device})) for one in b] for b in made.blocks]
    return replace(made, blocks=tuple(map(tuple, on_device)))


def seconds(step_seconds: float, device: DeviceKind = "cpu") -> float:
    return estimate_seconds(plan(step_seconds, device), 5, "bare", fresh_process=False)


def test_scripted_steps_count_in_the_estimate_with_their_scripted_time() -> None:
    """An earlier estimate was one minute for 20 launches of 12 s each."""
    cells = seconds(0.1) - seconds(0.001)
    assert cells > 5 * 100 * 0.099


def test_a_window_on_a_gpu_has_twenty_stretches_of_a_fifth_of_a_second() -> None:
    assert seconds(0.001, "gpu") - seconds(0.001) > 5 * (4 - 0.1)
    assert seconds(0.1, "gpu") == seconds(0.1)
