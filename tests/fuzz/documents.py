"""Scenario documents: 60 % have a changed structure, 10 % that and changed bytes too, 30 % changed bytes."""

import functools
import json
import random
from typing import Any

import yaml

from conftest import ROOT
from fuzz.mutations import garbled, leaves, mutated
from stepmark.controller.acceptance import accept
from stepmark.controller.profiles import Profile
from stepmark.errors import ScenarioErrors
from stepmark.plan.cells import Machine, cells
from stepmark.scenario.load import scenario_from_bytes, scenario_from_object

MACHINE = Machine(places=8, programs=("c++",))


@functools.cache
def starts(folder: str) -> list[Any]:
    """Return the documents of a folder, which others are made from."""
    return [yaml.safe_load(file.read_text()) for file in sorted(ROOT.glob(f"{folder}/*.yaml"))]


@functools.cache
def tame() -> list[Any]:
    return [value for one in starts("tests/corpus/scenarios/*") for value in leaves(one)]


def document(seed: int) -> bytes:
    """Return a document, always the same for the same seed."""
    chance = random.Random(f"document {seed}")
    folders = ["tests/corpus/scenarios/valid", "scenarios", "tests/corpus/scenarios/invalid"]
    value = chance.choice(starts(chance.choice(folders)))
    kind = chance.random()
    if kind < 0.7:
        value = mutated(value, chance, tame())
    as_json = chance.random() < 0.5
    text = json.dumps(value) if as_json else yaml.safe_dump(value, allow_unicode=True)
    data = text.encode(errors="surrogatepass")
    return data if kind < 0.6 else garbled(data, chance)


def check(data: bytes) -> str:
    """Return "accepted" or "refused". Any other exception than a refusal is raised."""
    try:
        scenario = scenario_from_bytes(data)
    except ScenarioErrors as refusal:
        return _refused(refusal)
    again = scenario_from_object(scenario.model_dump(mode="json", by_alias=True))
    assert again.digest() == scenario.digest()
    assert cells(scenario, MACHINE)
    accept(scenario.model_dump(mode="json", by_alias=True), {"default": Profile(image="runner:1")})
    return "accepted"


def _refused(refusal: ScenarioErrors) -> str:
    said = str(refusal)
    assert 1 <= len(refusal.errors) <= 50
    assert len(said) < 21_000
    assert all(line.isprintable() for line in said.split("\n"))
    return "refused"
