"""`spec.compare` chooses what is compared, and pairs differ in nothing else."""

from collections.abc import Iterator

import pytest

from conftest import scenario_document
from stepmark.analysis.pairs import pairs
from stepmark.errors import ScenarioErrors
from stepmark.plan.blocks import Plan, make_plan
from stepmark.plan.cells import Machine
from stepmark.scenario.load import scenario_from_object

MACHINE = Machine(places=2, programs=("c++",))
JAX: tuple[tuple[str, list[str]], ...] = (("padded", []), ("dynamic", ["dynamic-length"]))


def plan(compare: str, **sweep: list[str]) -> Plan:
    candidates = [{"name": name, "engine": name} for name in ("torch", "keras-tensorflow")]
    document = scenario_document(
        workload={"model": "mlp", "params": {}}, candidates=candidates, sweep=sweep, compare=compare
    )
    return make_plan(scenario_from_object(document), MACHINE)


def test_two_cells_that_stand_for_all_levels_are_compared_once() -> None:
    candidates = [{"name": name, "engine": "keras-jax", "options": options} for name, options in JAX]
    document = scenario_document(
        workload={"model": "gpt", "params": {}}, candidates=candidates, compare="options",
        sweep={"execution": ["default", "compiled"]}, data={"lengths": {"least": 16, "most": 32, "batches": 2}},
    )  # fmt: skip
    assert len(list(compared(make_plan(scenario_from_object(document), MACHINE)))) == 1


def compared(made: Plan) -> Iterator[tuple[str, str]]:
    for pair in pairs(made.scenario, made.cells):
        yield pair.cell.key.rpartition(".")[0], pair.base.key.rpartition(".")[0]


@pytest.mark.parametrize(
    ("compare", "sweep", "expected"),
    [
        ("candidates", {}, [("keras-tensorflow.graph.float32", "torch.eager.float32")]),
        (
            "executions",
            {"execution": ["default", "compiled"]},
            [
                ("torch.compiled.float32", "torch.eager.float32"),
                ("keras-tensorflow.compiled.float32", "keras-tensorflow.graph.float32"),
            ],
        ),
        (
            "precisions",
            {"precision": ["float32", "bfloat16"]},
            [
                ("torch.eager.bfloat16", "torch.eager.float32"),
                ("keras-tensorflow.graph.bfloat16", "keras-tensorflow.graph.float32"),
            ],
        ),
    ],
)
def test_pairs_are_of_what_the_scenario_compares_and_stay_adjacent(
    compare: str, sweep: dict[str, list[str]], expected: list[tuple[str, str]]
) -> None:
    made = plan(compare, **sweep)
    assert list(compared(made)) == expected
    for block in made.blocks:
        sides = [launch.cell.key.rpartition(".")[0] for launch in block]
        neighbours = {frozenset(pair) for pair in zip(sides[::2], sides[1::2], strict=True)}
        assert neighbours == {frozenset(pair) for pair in expected}


def test_an_execution_that_the_default_resolves_to_is_not_compared_with_itself() -> None:
    found = list(compared(plan("executions", execution=["default", "eager"])))
    assert found == [("keras-tensorflow.eager.float32", "keras-tensorflow.graph.float32")]


def test_a_comparison_needs_two_values_of_what_it_compares() -> None:
    with pytest.raises(ScenarioErrors, match="two precisions or more in sweep"):
        plan("precisions", execution=["default", "compiled"])


def test_the_digest_of_a_scenario_is_the_same_with_the_default_written_out() -> None:
    without = scenario_from_object(scenario_document())
    assert scenario_from_object(scenario_document(compare="candidates")).digest() == without.digest()
