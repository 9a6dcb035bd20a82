"""Which launches prove parity: one for each cell, against references that redo its work in one process."""

from typing import Any

from conftest import scenario_document
from stepmark.plan.blocks import Plan, make_plan
from stepmark.plan.cells import Machine
from stepmark.plan.probes import checks, launches
from stepmark.scenario.load import scenario_from_object

TORCH = {"name": "torch", "engine": "torch", "strategy": "ddp"}
KERAS = {"name": "keras", "engine": "keras-tensorflow", "strategy": "multi-worker-mirrored"}


def plan(candidates: list[Any], model: str = "mlp", **changes: Any) -> Plan:
    spec = {"scale": {"workers": [1, 2], "batchPerWorker": 32}, "workload": {"model": model}} | changes
    document = scenario_document(candidates=candidates, **spec)
    return make_plan(scenario_from_object(document), Machine(places=2, programs=("c++",)))


def test_every_measurable_cell_has_one() -> None:
    made = plan([TORCH, KERAS], sweep={"execution": ["default", "compiled"]})
    assert [check.cell.key for check in checks(made)] == [cell.key for cell in made.measurable]


def test_references_come_first_and_once() -> None:
    found = launches(checks(plan([TORCH, KERAS])))
    writes = [launch.probe.writes for launch in found if launch.probe]
    assert writes == sorted(writes, reverse=True)
    assert len({launch.id for launch in found}) == len(found)


def test_the_reference_is_one_process_with_all_workers_samples() -> None:
    for check in checks(plan([TORCH, KERAS])):
        assert (check.reference.cell.strategy, check.reference.cell.processes) == ("single", 1)
        assert check.reference.cell.global_batch == check.launch.cell.global_batch


def test_batch_norm_is_checked_over_each_workers_own_samples() -> None:
    for model, parts in (("mlp", 1), ("resnet", 2)):
        found = {check.cell.workers: check.reference.probe for check in checks(plan([TORCH], model))}
        assert found[2] is not None
        assert found[2].accumulate == parts


def test_two_frameworks_are_compared_in_float64_and_one_is_not() -> None:
    torch, _, keras, _ = checks(plan([TORCH, KERAS]))
    assert torch.float64 is None
    assert keras.float64 is not None
    assert keras.float64_reference is not None
    assert (keras.float64.cell.precision, keras.float64_reference.cell.engine) == ("float64", "torch")


def test_a_float64_cell_has_a_float64_reference() -> None:
    [check] = checks(plan([TORCH], sweep={"precision": ["float64"]}, scale={"workers": [1], "batchPerWorker": 8}))
    assert check.reference.cell.precision == "float64"


def test_a_script_has_no_weights_and_no_check() -> None:
    sleeper = {"name": "s", "engine": "sleeper", "strategy": "parallel"}
    assert checks(plan([sleeper], "scripted")) == ()


def test_micro_batches_keep_their_number_and_are_cut_to_eight_samples() -> None:
    [check] = checks(plan([TORCH], training={"gradientAccumulation": 4}, scale={"workers": [1], "batchPerWorker": 64}))
    assert check.launch.probe is not None
    assert (check.launch.probe.accumulate, check.launch.cell.batch_per_worker) == (4, 32)
