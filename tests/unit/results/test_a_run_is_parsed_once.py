"""A run holds its scenario as a document, and parses that document once."""

from conftest import scenario_document
from stepmark.plan.cells import Machine
from stepmark.results.environment import describe
from stepmark.results.store import Run


def test_a_copy_of_a_run_with_another_scenario_parses_that_scenario() -> None:
    run = Run(
        stepmark_version="0", scenario=scenario_document(), scenario_digest="0" * 64,
        machine=Machine(places=1, programs=()), launcher="bare", forked=True, environment=describe(),
    )  # fmt: skip
    assert run.parsed_scenario is run.parsed_scenario
    other = run.model_copy(update={"scenario": scenario_document(scale={"workers": [2], "batchPerWorker": 8})})
    assert other.parsed_scenario.spec.scale.workers == (2,)
