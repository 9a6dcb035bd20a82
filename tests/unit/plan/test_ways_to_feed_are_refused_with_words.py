"""A way to feed steps needs samples that are fed, an engine that has it, and no other way beside it."""

import pytest

from conftest import scenario_document
from stepmark import catalog
from stepmark.engines._support import WAYS_TO_FEED
from stepmark.errors import ScenarioErrors
from stepmark.plan.cells import Machine, cells
from stepmark.scenario.load import scenario_from_object

HERE = Machine(places=2, programs=("c++",))
HAS = {
    "torch": ["dataloader"],
    "keras-torch": ["dataloader", "py-dataset"],
    "keras-tensorflow": ["tf-data", "py-dataset"],
    "keras-jax": ["py-dataset"],
    "tf-keras": ["tf-data"],
}


def reason(engine: str, *options: str, source: str = "host") -> str:
    document = scenario_document(
        workload={"model": "mlp"},
        candidates=[{"name": "a", "engine": engine, "options": list(options)}],
        data={"source": source},
    )
    [cell] = cells(scenario_from_object(document), HERE)
    return cell.unsupported or ""


@pytest.mark.parametrize("engine", HAS)
@pytest.mark.parametrize("way", WAYS_TO_FEED)
def test_an_engine_has_its_ways_and_says_why_it_lacks_others(engine: str, way: str) -> None:
    found = reason(engine, way)
    assert (found == "") == (way in HAS[engine])
    assert found == "" or (found.startswith(f"{way}: ") and len(found) > 40)


@pytest.mark.parametrize("source", ["synthetic", "digits"])
@pytest.mark.parametrize(("engine", "way"), [(engine, way) for engine, ways in HAS.items() for way in ways])
def test_a_way_without_samples_from_the_host_is_refused(engine: str, way: str, source: str) -> None:
    assert "set data.source to host" in reason(engine, way, source=source)


@pytest.mark.parametrize("engine", [engine for engine, ways in HAS.items() if len(ways) > 1])
def test_two_ways_at_once_are_refused(engine: str) -> None:
    assert "choose one of them" in reason(engine, *HAS[engine])


def test_the_table_above_is_that_of_the_engines() -> None:
    trained = [name for name in catalog.engine_names() if name != "sleeper"]
    assert sorted(trained) == sorted(HAS)


@pytest.mark.parametrize(
    ("model", "transform", "accepted"),
    [
        ("resnet", "affine", True),
        ("mlp", "spectrogram", True),
        ("mlp", "affine", False),
        ("resnet", "spectrogram", False),
        ("gpt", "affine", False),
        ("gpt", "spectrogram", False),
        ("gpt", "none", True),
    ],
)
def test_a_transform_needs_inputs_of_its_kind(model: str, transform: str, accepted: bool) -> None:
    document = scenario_document(
        workload={"model": model},
        candidates=[{"name": "a", "engine": "torch"}],
        data={"source": "host", "transform": transform},
    )
    if accepted:
        assert scenario_from_object(document).spec.data.transform == transform
        return
    with pytest.raises(ScenarioErrors, match=r"spec.data.transform: expected a model whose inputs are"):
        scenario_from_object(document)


def test_a_transform_needs_samples_that_are_fed() -> None:
    document = scenario_document(
        workload={"model": "resnet"},
        candidates=[{"name": "a", "engine": "torch"}],
        data={"source": "synthetic", "transform": "affine"},
    )
    with pytest.raises(ScenarioErrors, match="source: host"):
        scenario_from_object(document)


def test_no_transform_leaves_the_digest_as_it_was() -> None:
    plain, said = scenario_document(), scenario_document(data={"source": "synthetic", "transform": "none"})
    assert scenario_from_object(said).digest() == scenario_from_object(plain).digest()
    assert "transform" not in scenario_from_object(said).canonical_json()
    assert (
        '"transform":"spectrogram"'
        in scenario_from_object(scenario_document(data={"source": "host", "transform": "spectrogram"})).canonical_json()
    )
