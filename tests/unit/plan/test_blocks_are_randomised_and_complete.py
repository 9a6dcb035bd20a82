import pytest

from conftest import scenario_document
from stepmark.plan.blocks import Plan, make_plan
from stepmark.plan.cells import Machine
from stepmark.scenario.load import scenario_from_object

MACHINE = Machine(places=2, programs=("c++",))


def plan(machine: Machine = MACHINE, **changes: object) -> Plan:
    two = [
        {"name": "a", "engine": "sleeper", "strategy": "parallel"},
        {"name": "b", "engine": "sleeper", "strategy": "parallel", "variant": "slower"},
    ]
    document = {
        "candidates": two,
        "sweep": {"execution": ["default", "compiled"]},
        "scale": {"workers": [1, 2], "batchPerWorker": 8},
    }
    return make_plan(scenario_from_object(scenario_document(**(document | changes))), machine)


def test_every_block_has_every_cell_once() -> None:
    for block in plan().blocks:
        assert sorted(launch.cell.key for launch in block) == sorted(cell.key for cell in plan().cells)


def test_compared_cells_are_adjacent_and_change_their_order_from_block_to_block() -> None:
    firsts = []
    for block in plan(measurement={"launches": 4}).blocks:
        pairs = list(zip(block[::2], block[1::2], strict=True))
        for left, right in pairs:
            assert (left.cell.workers, left.cell.execution) == (right.cell.workers, right.cell.execution)
        firsts.append({(left.cell.workers, left.cell.execution): left.cell.candidate for left, _ in pairs})
    assert firsts[0] == firsts[2] != firsts[1] == firsts[3]


def test_the_seed_decides_the_order_of_launches() -> None:
    def order(seed: int) -> list[list[str]]:
        blocks = plan(measurement={"launches": 5, "seed": seed}).blocks
        return [[launch.cell.key for launch in block] for block in blocks]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_an_execution_that_an_engine_lacks_is_a_result_with_its_reason() -> None:
    cells = plan(sweep={"execution": ["graph"]}).cells
    assert {cell.unsupported for cell in cells} == {"graph: the sleeper has no graph"}
    assert plan(sweep={"execution": ["graph"]}).blocks[0] == ()


def test_more_workers_than_places_are_unsupported_and_the_rest_is_measured() -> None:
    made = plan(machine=Machine(places=1, programs=()))
    assert [cell.workers for cell in made.measurable] == [1, 1, 1, 1]
    assert all("only 1 fit here" in (cell.unsupported or "") for cell in made.cells if cell.workers == 2)


def test_the_default_execution_and_the_one_that_it_resolves_to_are_one_cell() -> None:
    cells = plan(sweep={"execution": ["default", "eager"]}).cells
    assert {cell.levels for cell in cells} == {("default", "eager")}


def test_a_missing_compiler_makes_compiled_torch_unsupported_with_the_remedy() -> None:
    torch = [{"name": "t", "engine": "torch", "strategy": "single"}]
    changes = {"candidates": torch, "workload": {"model": "mlp"}, "scale": {"workers": [1], "batchPerWorker": 8}}
    eager, compiled = plan(machine=Machine(places=2, programs=()), **changes).cells
    assert eager.unsupported is None
    assert "install a C++ compiler" in (compiled.unsupported or "")


def test_the_strategy_single_is_unsupported_with_two_workers() -> None:
    single = [{"name": "s", "engine": "sleeper", "strategy": "single"}]
    assert [cell.unsupported is None for cell in plan(candidates=single).cells if cell.execution == "eager"] == [
        True,
        False,
    ]


WAYS = [
    {"name": "mirrored", "engine": "keras-tensorflow", "strategy": "mirrored"},
    {"name": "canonical", "engine": "keras-tensorflow", "strategy": "multi-worker-mirrored", "variant": "canonical"},
    {"name": "explicit", "engine": "keras-tensorflow", "strategy": "multi-worker-mirrored", "variant": "explicit"},
    {"name": "fsdp", "engine": "torch", "strategy": "fsdp"},
    {"name": "keras-2", "engine": "tf-keras", "strategy": "mirrored"},  # It clips gradients after their sum.
]


@pytest.mark.parametrize(
    ("changes", "refused", "reason"),
    [
        ({"training": {"clipGlobalNorm": 1.0}}, ["mirrored", "canonical"], "before the sum"),
        ({"sweep": {"execution": ["compiled"]}}, ["mirrored", "keras-2"], "XLA cannot reach"),
        ({"sweep": {"precision": ["float16"]}}, ["fsdp"], "GradScaler"),
        ({"sweep": {"precision": ["tf32"]}}, [way["name"] for way in WAYS], "NVIDIA"),
    ],
)
def test_a_cell_that_its_framework_computes_wrongly_is_unsupported_with_the_reason(
    changes: dict, refused: list, reason: str
) -> None:
    made = plan(
        candidates=WAYS,
        workload={"model": "mlp"},
        scale={"workers": [1], "batchPerWorker": 8},
        **{"sweep": {}, **changes},
    )
    assert [cell.candidate for cell in made.cells if cell.unsupported] == refused
    assert all(reason in (cell.unsupported or "") for cell in made.cells if cell.candidate in refused)


def test_mirrored_workers_share_one_process() -> None:
    two = {"workers": [2], "batchPerWorker": 8}
    assert [c.processes for c in plan(candidates=WAYS, workload={"model": "mlp"}, scale=two, sweep={}).cells] == [
        1,
        2,
        2,
        2,
        1,
    ]
