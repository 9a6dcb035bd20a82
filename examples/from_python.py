"""Measure a scenario from Python and use its figures: python examples/from_python.py [SCENARIO]

Without an argument it measures scripted steps, which takes ten seconds and needs no framework. The results are kept in
out/NAME below the current folder, and a second call of this script shows them again.
"""

import sys

import stepmark

SCRIPTED = {
    "apiVersion": "stepmark.dev/v1alpha1",
    "kind": "Scenario",
    "metadata": {"name": "scripted-from-python"},
    "spec": {
        "workload": {"model": "scripted", "params": {"stepSeconds": 0.005, "slowerFactor": 2.0}},
        "candidates": [
            {"name": "plain", "engine": "sleeper", "strategy": "parallel"},
            {"name": "slow", "engine": "sleeper", "strategy": "parallel", "variant": "slower"},
        ],
        "scale": {"workers": [1], "batchPerWorker": 8},
        "parity": "skipped",
        "measurement": {"launches": 5, "minSteps": 50, "minSeconds": 0.1, "warmupSeconds": 0, "maxTakenShare": 1},
    },
}


def step_milliseconds(result: stepmark.Result) -> dict[str, float | None]:
    """Return the median step of every cell by its key; None where nothing was measured."""
    return {cell.key: None if cell.step_seconds is None else 1e3 * cell.step_seconds.median for cell in result.cells}


try:
    scenario = stepmark.validate(sys.argv[1] if len(sys.argv) > 1 else SCRIPTED)
    result = stepmark.run(scenario, launcher="bare", resume=True)
except stepmark.errors.StepmarkError as error:
    sys.exit(str(error))
print(result.verdict)
for key, milliseconds in step_milliseconds(result).items():
    print(key, "not measured" if milliseconds is None else f"{milliseconds:.2f} ms")
