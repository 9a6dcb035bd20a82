from conftest import ROOT
from stepmark.cli.verbs.check_cluster import EXIT_CODES, scenario_for
from stepmark.scenario.load import scenario_from_file


def test_the_verb_measures_the_scenario_file_with_any_number_of_ranks() -> None:
    shipped = scenario_from_file(ROOT / "scenarios/check-cluster.yaml")
    assert scenario_for(2) == shipped
    assert scenario_for(64).spec.scale.workers == (64,)
    assert scenario_for(64).spec.measurement == shipped.spec.measurement


def test_the_scenario_of_collectives_is_accepted() -> None:
    assert len(scenario_from_file(ROOT / "scenarios/collectives.yaml").spec.sweep.message_bytes) == 9


def test_only_ok_ends_with_0() -> None:
    assert [name for name, code in EXIT_CODES.items() if not code] == ["ok"]
