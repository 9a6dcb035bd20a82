"""What a candidate is told whose way to pad or to compile its engine, its execution or the scenario does not have."""

from typing import Any

import pytest

from conftest import scenario_document
from stepmark.plan.cells import Machine, cells
from stepmark.scenario.load import scenario_from_object

LENGTHS = {"lengths": {"least": 8, "most": 64}}


def reason(engine: str, execution: str, options: list[str], data: dict[str, Any] = LENGTHS) -> str:
    document = scenario_document(
        workload={"model": "gpt"},
        candidates=[{"name": "a", "engine": engine, "options": options}],
        sweep={"execution": [execution]},
        data=data,
    )
    [cell] = cells(scenario_from_object(document), Machine(places=2, programs=("c++",)))
    return cell.unsupported or ""


@pytest.mark.parametrize("engine", ["torch", "keras-torch", "keras-tensorflow", "keras-jax"])
@pytest.mark.parametrize("option", ["bucketed", "dynamic-length"])
def test_every_engine_that_trains_has_every_way_to_pad(engine: str, option: str) -> None:
    assert reason(engine, "default", [option]) == ""
    assert "give spec.data.lengths" in reason(engine, "default", [option], data={})


def test_a_batch_is_padded_in_one_way() -> None:
    assert "padded in one way" in reason("torch", "default", ["bucketed", "dynamic-length"])


@pytest.mark.parametrize(
    ("engine", "execution", "said"),
    [
        ("torch", "compiled", ""),
        ("torch", "eager", "use the level compiled"),
        ("keras-torch", "eager", "use the level compiled"),
        ("keras-tensorflow", "graph", ""),
        ("keras-tensorflow", "eager", "nothing is traced"),
        ("keras-tensorflow", "compiled", "XLA compiles each shape anew"),
        ("keras-jax", "compiled", "XLA compiles each shape anew"),
    ],
)
def test_programs_for_any_shape_exist_where_a_framework_has_them(engine: str, execution: str, said: str) -> None:
    found = reason(engine, execution, ["dynamic-length", "dynamic-compile"])
    assert said in found
    assert bool(said) == bool(found)
