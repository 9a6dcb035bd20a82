import pytest

from conftest import scenario_document
from stepmark.errors import ScenarioErrors
from stepmark.plan.blocks import Plan, make_plan
from stepmark.plan.cells import Machine
from stepmark.scenario.load import scenario_from_object
from stepmark.terms import size_text

SIZES = [1024, 65536, 1 << 20]


def plan(engine: str, strategy: str, collective: str = "all-reduce", **sweep: object) -> Plan:
    document = scenario_document(
        workload={"model": "collective", "params": {"collective": collective}},
        candidates=[{"name": "a", "engine": engine, "strategy": strategy}],
        sweep={"messageBytes": SIZES} | sweep,
        scale={"workers": [2], "batchPerWorker": 1},
    )
    return make_plan(scenario_from_object(document), Machine(places=2, programs=("c++",)))


def reasons(made: Plan) -> set[str]:
    return {cell.unsupported or "" for cell in made.cells}


def test_each_size_is_a_cell_of_its_own() -> None:
    keys = [cell.key for cell in plan("sleeper", "parallel").cells]
    assert keys == [f"a.eager.float32.w2.{size}" for size in ("1KiB", "64KiB", "1MiB")]


def test_candidates_are_compared_at_the_same_size() -> None:
    two = [{"name": name, "engine": "sleeper", "strategy": "parallel"} for name in ("a", "b")]
    document = scenario_document(
        workload={"model": "collective", "params": {}},
        candidates=two,
        sweep={"messageBytes": SIZES},
        scale={"workers": [2], "batchPerWorker": 1},
    )
    made = make_plan(scenario_from_object(document), Machine(places=2, programs=()))
    for block in made.blocks:
        sizes = [launch.cell.message_bytes for launch in block]
        assert sizes[::2] == sizes[1::2]


@pytest.mark.parametrize(
    ("engine", "strategy", "collective", "sweep", "reason"),
    [
        ("torch", "single", "all-reduce", {}, "no group to exchange with"),
        ("torch", "fsdp", "all-reduce", {}, "use ddp"),
        ("torch", "ddp", "all-reduce", {"precision": ["float64"]}, "float32 or bfloat16"),
        ("torch", "ddp", "all-reduce", {"execution": ["compiled"]}, "use the level eager"),
        ("keras-tensorflow", "multi-worker-mirrored", "reduce-scatter", {}, "have no reduce-scatter"),
        ("keras-tensorflow", "multi-worker-mirrored", "broadcast", {"precision": ["bfloat16"]}, "takes no bfloat16"),
        ("keras-jax", "data-parallel", "broadcast", {}, "compiles no broadcast for CPU cores"),
    ],
)
def test_what_an_engine_cannot_exchange_is_unsupported_with_its_reason(
    engine: str, strategy: str, collective: str, sweep: dict[str, object], reason: str
) -> None:
    [found] = reasons(plan(engine, strategy, collective, **sweep))
    assert reason in found


def test_the_other_collectives_of_these_engines_are_measured() -> None:
    assert reasons(plan("keras-tensorflow", "multi-worker-mirrored", "broadcast")) == {""}
    assert reasons(plan("keras-jax", "data-parallel", "reduce-scatter", precision=["bfloat16"])) == {""}


def test_sizes_belong_to_collectives_alone() -> None:
    with pytest.raises(ScenarioErrors, match=r"spec.sweep.messageBytes: expected the sizes of collective's messages"):
        plan("sleeper", "parallel", messageBytes=[])
    document = scenario_document(sweep={"messageBytes": SIZES})
    with pytest.raises(ScenarioErrors, match="scripted sends no messages"):
        scenario_from_object(document)


def test_sizes_are_written_in_binary_units() -> None:
    assert [size_text(size) for size in (1020, 1024, 1536, 3 << 20, 1 << 30)] == [
        "1020B",
        "1KiB",
        "1536B",
        "3MiB",
        "1GiB",
    ]


def test_a_scenario_without_sizes_keeps_its_digest() -> None:
    assert "messageBytes" not in scenario_from_object(scenario_document()).canonical_json()
