"""Scenarios without lengths stay the scenarios that they were."""

from conftest import scenario_document
from stepmark.scenario.load import scenario_from_object


def test_lengths_that_are_absent_leave_the_digest_and_given_ones_change_it() -> None:
    model = {"model": "gpt"}
    candidates = [{"name": "a", "engine": "torch"}]
    plain, *others = (
        scenario_from_object(scenario_document(workload=model, candidates=candidates, data=data))
        for data in ({}, {"source": "synthetic"}, {"lengths": {"least": 8, "most": 64}})
    )
    assert plain.digest() == others[0].digest() != others[1].digest()
    assert "lengths" not in plain.canonical_json()
    assert '"batches":16' in others[1].canonical_json()
