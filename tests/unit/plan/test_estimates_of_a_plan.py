"""The estimate of how long a plan takes."""

from conftest import scenario_document
from stepmark.plan.blocks import make_plan
from stepmark.plan.cells import Machine
from stepmark.plan.estimate import estimate_seconds
from stepmark.scenario.load import scenario_from_object


def seconds(step_seconds: float) -> float:
    document = scenario_document(
        workload={"model": "scripted", "params": {"stepSeconds": step_seconds}},
        measurement={"launches": 5, "minSteps": 100, "minSeconds": 0, "warmupSteps": 10, "warmupSeconds": 0},
    )
    plan = make_plan(scenario_from_object(document), Machine(places=4, programs=()))
    return estimate_seconds(plan, 5, "bare", fresh_process=False)


def test_scripted_steps_count_in_the_estimate_with_their_scripted_time() -> None:
    """An earlier estimate was one minute for 20 launches of 12 s each."""
    cells = seconds(0.1) - seconds(0.001)
    assert cells > 5 * 100 * 0.099
