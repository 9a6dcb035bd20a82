"""Disturbed launches are made again once, with those that they are compared with, up to the scenario's limit."""

from conftest import scenario_document
from stepmark.orchestrate.remaining import Remaining
from stepmark.plan.blocks import Launch, Plan, make_plan
from stepmark.plan.cells import Machine
from stepmark.results.record import Failure, LaunchHeader
from stepmark.scenario.load import scenario_from_object


def plan(**measurement: int) -> Plan:
    document = scenario_document(
        candidates=[{"name": name, "engine": "sleeper", "strategy": "parallel"} for name in ("a", "b")],
        scale={"workers": [1, 2], "batchPerWorker": 8},
        measurement={"launches": 2, "maxMadeAgain": None} | measurement,
    )
    return make_plan(scenario_from_object(document), Machine(places=2, programs=()))


def header(launch: Launch, failed: bool = False) -> LaunchHeader:
    return LaunchHeader(
        launch_id=launch.id, scenario_digest="0" * 64, cell=launch.cell, block=launch.block, attempt=launch.attempt,
        position=launch.position, launcher="bare", forked=True, started_at="", wall_seconds=1,
        failure=Failure(rank=0, cause="oh") if failed else None,
    )  # fmt: skip


def after_first_block(disturbed: set[str], failed: str = "", **measurement: int) -> tuple[Plan, Remaining]:
    made = plan(**measurement)
    names = {f"b000.{name}" for name in disturbed} | {f"b000a1.{name}" for name in disturbed}
    remaining = Remaining(made, lambda found: "others" if found.launch_id in names else None, [])
    for launch in remaining.of_block(made.blocks[0]):
        remaining.finished(header(launch, launch.cell.key == failed))
    return made, remaining


def test_an_undisturbed_block_has_no_launches_left() -> None:
    made, remaining = after_first_block(set())
    assert remaining.of_block(made.blocks[0]) == ()
    assert remaining.of_block(made.blocks[1]) == made.blocks[1]


def test_a_disturbed_launch_and_those_compared_with_it_are_made_again_in_the_same_block() -> None:
    made, remaining = after_first_block({"a.eager.float32.w2"})
    again = remaining.of_block(made.blocks[0])
    assert {launch.id for launch in again} == {"b000a1.a.eager.float32.w2", "b000a1.b.eager.float32.w2"}
    assert {launch.block for launch in again} == {0}


def test_a_disturbed_launch_is_made_again_only_once() -> None:
    made, remaining = after_first_block({"a.eager.float32.w2"})
    for launch in remaining.of_block(made.blocks[0]):
        remaining.finished(header(launch))
    assert remaining.of_block(made.blocks[0]) == ()


def test_a_failed_launch_is_not_made_again() -> None:
    made, remaining = after_first_block({"a.eager.float32.w2"}, failed="b.eager.float32.w2")
    assert [launch.id for launch in remaining.of_block(made.blocks[0])] == ["b000a1.a.eager.float32.w2"]


def test_no_more_launches_are_made_again_than_the_scenario_allows() -> None:
    both = {"a.eager.float32.w1", "b.eager.float32.w2"}
    for most, expected in ((0, 0), (1, 0), (2, 2), (3, 2), (4, 4)):
        made, remaining = after_first_block(both, maxMadeAgain=most)
        assert len(remaining.of_block(made.blocks[0])) == expected


def test_half_of_the_plan_may_be_made_again_unless_the_scenario_says_how_many() -> None:
    made, remaining = after_first_block({"a.eager.float32.w1", "b.eager.float32.w2"})
    assert len(remaining.of_block(made.blocks[0])) == 4 == sum(map(len, made.blocks)) // 2


def test_a_resumed_run_makes_the_rest_of_a_pair_again_and_counts_what_was_made_again_before() -> None:
    made, remaining = after_first_block({"a.eager.float32.w1"})
    again = remaining.of_block(made.blocks[0])
    stored = [header(launch) for launch in (*made.blocks[0], again[0])]
    resumed = Remaining(made, lambda found: "others" if ".a.eager.float32.w1" in found.launch_id else None, stored)
    assert resumed.of_block(made.blocks[0]) == again[1:]
    resumed.finished(header(again[1]))
    assert resumed.of_block(made.blocks[0]) == ()
