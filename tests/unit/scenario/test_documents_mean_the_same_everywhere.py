from pathlib import Path

import pytest
import yaml

from conftest import ROOT, scenario_document
from stepmark.scenario.load import scenario_from_file, scenario_from_object, scenario_from_text


def test_a_document_with_its_defaults_written_out_is_the_same_scenario() -> None:
    short = scenario_from_object(scenario_document())
    full = scenario_from_object(short.model_dump(mode="json", by_alias=True))
    assert short.digest() == full.digest()


def test_a_document_with_a_changed_value_is_another_scenario() -> None:
    other = scenario_document(scale={"workers": [1], "batchPerWorker": 9})
    assert scenario_from_object(scenario_document()).digest() != scenario_from_object(other).digest()


def test_the_order_of_keys_does_not_change_the_scenario() -> None:
    document = scenario_document()
    turned = dict(reversed(document.items()))
    text = yaml.safe_dump(turned, sort_keys=False)
    assert scenario_from_text(text).digest() == scenario_from_object(document).digest()


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_scenario_loads(path: Path) -> None:
    assert scenario_from_file(path).name == path.stem


def test_a_strong_scenario_divides_its_global_batch_among_its_workers() -> None:
    strong = scenario_document(scale={"workers": [1, 2, 4], "mode": "strong", "globalBatch": 64})
    assert scenario_from_object(strong).spec.scale.batches_of(4) == (16,)
