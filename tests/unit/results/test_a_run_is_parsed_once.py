"""What all launches of a store belong to holds the scenario as a document, and as the scenario that it is."""

from conftest import scenario_document
from stepmark.plan.cells import Machine
from stepmark.results.environment import describe
from stepmark.results.store import Run


def test_a_copy_with_another_scenario_does_not_keep_the_parsed_one() -> None:
    run = Run(
        stepmark_version="0", scenario=scenario_document(), scenario_digest="0" * 64,
        machine=Machine(places=1, programs=()), launcher="bare", forked=True, environment=describe(),
    )  # fmt: skip
    assert run.parsed_scenario is run.parsed_scenario
    other = run.model_copy(update={"scenario": scenario_document(scale={"workers": [2], "batchPerWorker": 8})})
    assert other.parsed_scenario.spec.scale.workers == (2,)
