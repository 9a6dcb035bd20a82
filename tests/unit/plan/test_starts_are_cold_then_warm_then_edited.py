"""Each cell starts cold, then warm, then edited, in one cache of its own in each block; cells take turns at random."""

from typing import Any

import pytest

from conftest import scenario_document
from stepmark.errors import CannotRun, ScenarioError
from stepmark.plan.blocks import Plan, make_plan
from stepmark.plan.cells import Machine
from stepmark.plan.starts import edited, start_blocks, unrecorded_starts, usual_edit
from stepmark.scenario.load import scenario_from_object

SCRIPTED = {"model": "scripted", "params": {"stepSeconds": 0.004}}


def plan(workload: dict[str, Any] = SCRIPTED, names: tuple[str, ...] = ("one", "two", "three")) -> Plan:
    engine = "sleeper" if workload is SCRIPTED else "torch"
    strategy = "parallel" if workload is SCRIPTED else "single"
    candidates = [{"name": name, "engine": engine, "strategy": strategy} for name in names]
    document = scenario_document(workload=workload, candidates=candidates)
    return make_plan(scenario_from_object(document), Machine(places=1, programs=()))


def test_each_cell_is_cold_then_warm_then_edited_in_every_block() -> None:
    made = plan()
    for block in start_blocks(made, {"stepSeconds": 0.5}, 4):
        for cell in made.cells:
            own = [launch.start for launch in block if launch.cell == cell and launch.start is not None]
            assert [start.kind for start in own] == ["cold", "warm", "edited"]
            assert [start.workload.params["stepSeconds"] for start in own] == [0.004, 0.004, 0.5]


def test_a_cell_has_one_cache_in_a_block_that_no_other_start_shares() -> None:
    launches = [launch for block in start_blocks(plan(), None, 3) for launch in block]
    caches = {(launch.start and launch.start.cache, launch.block, launch.cell.key) for launch in launches}
    assert len(caches) == len({cache for cache, _, _ in caches}) == 9
    assert len({launch.id for launch in launches}) == len(launches) == 18


def test_cells_take_turns_in_an_order_that_differs_between_blocks_and_is_the_same_in_every_plan() -> None:
    orders = [[launch.cell.candidate for launch in block] for block in start_blocks(plan(), None, 6)]
    assert len({tuple(order) for order in orders}) > 3
    assert orders == [[launch.cell.candidate for launch in block] for block in start_blocks(plan(), None, 6)]


def test_before_all_others_each_cell_starts_once_unrecorded() -> None:
    launches = unrecorded_starts(plan())
    assert {launch.cell.candidate for launch in launches} == {"one", "two", "three"}
    assert len(launches) == 3
    assert all(launch.block < 0 for launch in launches)


@pytest.mark.parametrize(
    ("workload", "edit"),
    [
        ({"model": "mlp", "params": {}}, {"classes": 11}),
        ({"model": "transformer", "params": {"classes": 3}}, {"classes": 4}),
        ({"model": "gpt", "params": {}}, {"vocabulary": 1001}),
        (SCRIPTED, None),
    ],
)
def test_the_usual_edit_is_one_more_output(workload: dict[str, Any], edit: dict[str, int] | None) -> None:
    assert usual_edit(plan(workload).scenario) == edit


def test_an_edit_that_the_model_does_not_take_is_refused_with_its_name() -> None:
    chosen = plan({"model": "mlp", "params": {"hidden": 8}}).scenario.spec.workload
    assert edited(chosen, {"hidden": 9}).params["hidden"] == 9
    with pytest.raises(ScenarioError, match="--edit: hidden: expected"):
        edited(chosen, {"hidden": "wide"})
    with pytest.raises(ScenarioError, match="--edit: hiden: expected"):
        edited(chosen, {"hiden": 9})
    with pytest.raises(CannotRun, match="another value of hidden"):
        edited(chosen, {"hidden": 8})
