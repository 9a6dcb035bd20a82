"""Several batches per worker give cells of their own, which are compared and scaled within their batch."""

import pytest

from conftest import scenario_document
from stepmark.analysis.pairs import pairs
from stepmark.analysis.scaling import baseline_of
from stepmark.errors import ScenarioErrors
from stepmark.plan.blocks import Plan, make_plan
from stepmark.plan.cells import Machine
from stepmark.plan.probes import checks, timed_references
from stepmark.scenario.load import scenario_from_object

MACHINE = Machine(places=2, programs=("c++",))
CANDIDATES = [
    {"name": name, "engine": name, "strategy": way} for name, way in (("torch", "ddp"), ("keras-jax", "data-parallel"))
]


def plan(**scale: object) -> Plan:
    document = scenario_document(
        workload={"model": "mlp", "params": {}}, candidates=CANDIDATES, scale=scale, parity="required"
    )
    return make_plan(scenario_from_object(document), MACHINE)


SEVERAL = plan(workers=[1, 2], batchesPerWorker=[16, 64])


def test_the_key_names_the_batch_only_where_there_are_several() -> None:
    assert [cell.key for cell in plan(batchPerWorker=16).cells] == [
        "torch.eager.float32.w1",
        "keras-jax.compiled.float32.w1",
    ]
    keys = [cell.key for cell in SEVERAL.cells]
    assert keys[:4] == [f"torch.eager.float32.w{workers}.b{batch}" for workers in (1, 2) for batch in (16, 64)]
    assert len(set(keys)) == 8


def test_comparisons_and_their_neighbours_are_of_one_batch() -> None:
    found = list(pairs(SEVERAL.scenario, SEVERAL.cells))
    assert len(found) == 4
    assert all(one.cell.batch_per_worker == one.base.batch_per_worker for one in found)
    for block in SEVERAL.blocks:
        for left, right in zip(block[::2], block[1::2], strict=True):
            assert left.cell.batch_per_worker == right.cell.batch_per_worker


def test_a_speed_up_refers_to_one_worker_with_the_same_batch() -> None:
    for cell in SEVERAL.cells:
        base = baseline_of(cell, SEVERAL.cells)
        assert base is not None
        assert (base.workers, base.batch_per_worker) == (1, cell.batch_per_worker)


def test_every_batch_is_proven_on_what_is_timed() -> None:
    assert [check.cell.key for check in checks(SEVERAL)] == [cell.key for cell in SEVERAL.cells]
    references = timed_references(SEVERAL.scenario, SEVERAL.cells)
    assert sorted(one.cell.batch_per_worker for one in references) == [16, 32, 64, 128]


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        ({"batchPerWorker": 8, "batchesPerWorker": [8, 16]}, "batchPerWorker or batchesPerWorker alone"),
        ({"mode": "strong", "batchesPerWorker": [8, 16]}, "globalBatch alone"),
        ({"batchesPerWorker": [8, 8]}, "each value once"),
        ({"batchesPerWorker": [8]}, "2"),
    ],
)
def test_batches_that_contradict_each_other_are_refused(scale: dict[str, object], said: str) -> None:
    with pytest.raises(ScenarioErrors, match=said):
        plan(**scale)


def test_every_batch_must_be_cut_into_equal_micro_batches() -> None:
    document = scenario_document(scale={"batchesPerWorker": [8, 9]}, training={"gradientAccumulation": 2})
    with pytest.raises(ScenarioErrors, match="gradientAccumulation"):
        scenario_from_object(document)


def test_the_digest_of_a_scenario_with_one_batch_is_as_it_was() -> None:
    assert '"batchesPerWorker"' not in plan(batchPerWorker=16).scenario.canonical_json()
    assert SEVERAL.scenario.digest() != plan(workers=[1, 2], batchesPerWorker=[16, 32]).scenario.digest()
