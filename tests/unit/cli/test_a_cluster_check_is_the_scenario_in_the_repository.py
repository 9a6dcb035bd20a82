import pytest
import yaml

from conftest import ROOT
from stepmark.cli.verbs.check_cluster import EXIT_CODES, document
from stepmark.scenario.load import scenario_from_file, scenario_from_object


def test_the_verb_measures_what_the_scenario_file_does() -> None:
    assert document(2) == yaml.safe_load((ROOT / "scenarios/check-cluster.yaml").read_text())


@pytest.mark.parametrize("workers", [2, 64])
def test_its_document_is_accepted_for_any_number_of_ranks(workers: int) -> None:
    assert scenario_from_object(document(workers)).spec.scale.workers == (workers,)


def test_the_scenario_of_collectives_is_accepted() -> None:
    assert len(scenario_from_file(ROOT / "scenarios/collectives.yaml").spec.sweep.message_bytes) == 9


def test_only_ok_ends_with_0() -> None:
    assert [name for name, code in EXIT_CODES.items() if not code] == ["ok"]
