"""Which launches check parity: one for each cell, against references that do its work again in one process."""

from dataclasses import replace
from typing import Any

import pytest

from conftest import scenario_document
from stepmark import catalog
from stepmark.engines._support import Support
from stepmark.plan.blocks import Plan, make_plan
from stepmark.plan.cells import Machine
from stepmark.plan.probes import Check, Step, checks, launches, timed_references
from stepmark.scenario.load import scenario_from_object

TORCH = {"name": "torch", "engine": "torch", "strategy": "ddp"}
KERAS = {"name": "keras", "engine": "keras-tensorflow", "strategy": "multi-worker-mirrored"}


CPU = Machine(places=2, programs=("c++",))
GPU = Machine(places=2, programs=("c++",), device="gpu", gpu_name="NVIDIA H200", compute_capability=(9, 0))


def plan(candidates: list[Any], model: str = "mlp", machine: Machine = CPU, **changes: Any) -> Plan:
    spec = {"scale": {"workers": [1, 2], "batchPerWorker": 32}, "workload": {"model": model}} | changes
    document = scenario_document(candidates=candidates, **spec)
    return make_plan(scenario_from_object(document), machine)


def test_every_measurable_cell_has_a_parity_check() -> None:
    made = plan([TORCH, KERAS], sweep={"execution": ["default", "compiled"]})
    assert [check.cell.key for check in checks(made)] == [cell.key for cell in made.measurable]


def test_references_are_launched_first_and_each_only_once() -> None:
    found = launches(checks(plan([TORCH, KERAS])))
    writes = [launch.probe.writes for launch in found if launch.probe]
    assert writes == sorted(writes, reverse=True)
    assert len({launch.id for launch in found}) == len(found)


def last(check: Check) -> Step:
    assert check.steps[-1].name == "as timed"
    return check.steps[-1]


def test_the_reference_is_one_process_with_all_workers_samples() -> None:
    for step in (last(check) for check in checks(plan([TORCH, KERAS]))):
        assert (step.reference.cell.strategy, step.reference.cell.processes) == ("single", 1)
        assert step.reference.cell.global_batch == step.launch.cell.global_batch


def test_a_reference_needs_one_workers_memory_and_has_batch_norm_over_each_workers_own_samples() -> None:
    found = {check.cell.workers: last(check).reference.probe for check in checks(plan([TORCH], "resnet"))}
    assert found[2] is not None
    assert found[2].accumulate == 2


def test_timed_launches_are_compared_on_all_their_samples() -> None:
    made = plan([TORCH, KERAS], sweep={"precision": ["float32", "bfloat16"]}, parity="required")
    found = timed_references(made.scenario, made.measurable)
    assert [(launch.cell.global_batch, launch.cell.precision) for launch in found] == [(32, "float32"), (64, "float32")]
    for launch in found:
        assert launch.probe is not None
        assert (launch.probe.writes, launch.probe.logits) == (True, False)
    assert not {launch.id for launch in found} & {launch.id for launch in launches(checks(made))}


def test_where_parity_is_skipped_no_launch_is_proven() -> None:
    assert timed_references(plan([TORCH], parity="skipped").scenario, plan([TORCH]).measurable) == ()


def stages(candidates: list[Any], **changes: Any) -> dict[str, list[str]]:
    one = {"scale": {"workers": [1], "batchPerWorker": 8}}
    found = checks(plan(candidates, **(one | changes)))
    return {check.cell.key: [step.name for step in check.steps] for check in found}


def test_candidates_of_two_frameworks_are_compared_in_float64_and_those_of_one_are_not() -> None:
    assert stages([TORCH, KERAS]) == {
        "torch.eager.float32.w1": ["as timed"],
        "keras.graph.float32.w1": ["float64", "as timed"],
    }


def test_keras_2_and_keras_3_are_compared_in_float64() -> None:
    keras_2 = {"name": "keras-2", "engine": "tf-keras"}
    keras_torch = {"name": "keras-torch", "engine": "keras-torch"}
    assert stages([KERAS, keras_2, keras_torch]) == {
        "keras.graph.float32.w1": ["as timed"],
        "keras-2.graph.float32.w1": ["float64", "as timed"],
        "keras-torch.eager.float32.w1": ["as timed"],
    }


def test_the_model_that_is_compared_in_float64_is_the_cells_own() -> None:
    found = checks(plan([TORCH, KERAS, {"name": "keras-2", "engine": "tf-keras"}]))
    first = {check.cell.engine: check.steps[0].launch.cell.engine for check in found}
    assert first == {"torch": "torch", "keras-tensorflow": "keras-tensorflow", "tf-keras": "tf-keras"}


def test_mixed_precision_is_checked_in_float32_too() -> None:
    assert stages([TORCH], sweep={"precision": ["bfloat16"]}) == {"torch.eager.bfloat16.w1": ["float32", "as timed"]}


def test_a_float64_cell_has_a_float64_reference() -> None:
    [check] = checks(plan([TORCH], sweep={"precision": ["float64"]}, scale={"workers": [1], "batchPerWorker": 8}))
    assert last(check).reference.cell.precision == "float64"


def test_a_cell_with_scripted_steps_has_no_parity_check() -> None:
    sleeper = {"name": "s", "engine": "sleeper", "strategy": "parallel"}
    made = plan([sleeper], "scripted", parity="required")
    assert checks(made) == ()
    assert timed_references(made.scenario, made.measurable) == ()


def test_micro_batches_keep_their_number_and_are_cut_to_eight_samples() -> None:
    [check] = checks(plan([TORCH], training={"gradientAccumulation": 4}, scale={"workers": [1], "batchPerWorker": 64}))
    launch = last(check).launch
    assert launch.probe is not None
    assert (launch.probe.accumulate, launch.cell.batch_per_worker) == (4, 32)


def on_gpus(candidates: list[Any], monkeypatch: pytest.MonkeyPatch, **changes: Any) -> list[Check]:
    for engine in ("torch", "keras-tensorflow", "keras-jax"):
        monkeypatch.setattr(catalog.load_engine(engine), "SUPPORT", trains_on_gpus(engine))
    one = {"scale": {"workers": [1], "batchPerWorker": 8}}
    return list(checks(plan(candidates, machine=GPU, **(one | changes))))


def trains_on_gpus(engine: str) -> Support:
    return replace(catalog.load_engine(engine).SUPPORT, no_gpu=None)


def test_a_cell_on_a_gpu_is_compared_with_float64_on_cpu_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for check in on_gpus([TORCH, KERAS], monkeypatch):
        assert check.cell.device == "gpu"
        assert [step.name for step in check.steps] == ["float64", "as timed"]
        assert {step.launch.cell.device for step in check.steps} == {"gpu"}
        references = {(step.reference.cell.device, step.reference.cell.precision) for step in check.steps}
        assert references == {("cpu", "float64")}


def test_mixed_precision_on_a_gpu_is_checked_in_float64_and_float32_first(monkeypatch: pytest.MonkeyPatch) -> None:
    [check] = on_gpus([TORCH], monkeypatch, sweep={"precision": ["bfloat16"]})
    assert [step.name for step in check.steps] == ["float64", "float32", "as timed"]
    assert [step.launch.cell.precision for step in check.steps] == ["float64", "float32", "bfloat16"]


def test_without_an_engine_that_has_float64_the_reference_is_float32_on_cpu_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jax = {"name": "jax", "engine": "keras-jax", "strategy": "data-parallel"}
    [check] = on_gpus([jax], monkeypatch)
    assert [step.name for step in check.steps] == ["as timed"]
    reference = last(check).reference.cell
    assert (reference.device, reference.precision) == ("cpu", "float32")


def test_the_reference_of_a_timed_launch_on_a_gpu_runs_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = on_gpus([TORCH], monkeypatch)
    made = plan([TORCH], machine=GPU, parity="required")
    [reference] = timed_references(made.scenario, [checked[0].cell])
    assert reference.cell.device == "gpu"


def test_checks_on_cpu_cores_have_the_names_that_they_always_had() -> None:
    assert {launch.id for launch in launches(checks(plan([TORCH], scale={"workers": [1], "batchPerWorker": 8})))} == {
        "reference.torch-1x8.eager.float32.w1",
        "parity.torch.eager.float32.w1",
    }
