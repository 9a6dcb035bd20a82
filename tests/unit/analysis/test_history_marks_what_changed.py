"""A scenario's runs over time: marks are the gate's claims, and each change is named once."""

from collections.abc import Mapping, Sequence
from typing import Any

from stepmark.analysis.alike import Side
from stepmark.analysis.history import History, history
from unit.analysis.gate_sides import cell, side

STEADY = (1.0, 1.001, 0.999)


def over_time(*sides: Side) -> History:
    return history("test", [(one, 100.0 * index) for index, one in enumerate(sides)])


def run(medians: Mapping[str, Sequence[float]], **changes: Any) -> Side:
    return side(medians, **changes)


def changes_of(found: History, key: str) -> list[str | None]:
    [only] = [one for one in found.cells if one.key == key]
    return [point.change for point in only.points]


def test_a_mark_stands_where_the_gate_claims_a_difference_and_nowhere_else() -> None:
    slow = tuple(1.1 * value for value in STEADY)
    found = over_time(*(run({"a": medians, "b": STEADY}) for medians in (STEADY, STEADY, slow, slow, STEADY)))
    assert changes_of(found, "a") == [None, None, "slower", None, "faster"]
    assert changes_of(found, "b") == [None] * 5
    assert "10.0% more time per step" in [point.text for point in found.cells[0].points]


def shifted(shift: float, **changes: Any) -> Side:
    return run({"a": tuple(shift * factor for factor in (1.0, 1.0002, 0.9999))}, **changes)


def test_chance_between_campaigns_is_not_marked_once_there_are_enough_runs() -> None:
    luck = (1.0, 1.012, 0.991, 1.011, 0.993, 1.009, 0.99)
    found = over_time(*map(shifted, luck), shifted(1.2))
    assert changes_of(found, "a")[-4:] == [None, None, None, "slower"]


def test_a_mark_that_has_a_reason_ends_the_history_and_one_without_does_not() -> None:
    luck = (1.0, 1.012, 0.991, 1.011, 0.993)
    newer = over_time(*map(shifted, luck), shifted(1.3, kernel="6.2"), shifted(1.32, kernel="6.2"))
    assert changes_of(newer, "a")[-2:] == ["slower", "slower"]
    same = over_time(*map(shifted, luck), shifted(1.3), shifted(1.32))
    assert changes_of(same, "a")[-2:] == ["slower", None]


def test_a_difference_too_small_to_matter_is_not_marked() -> None:
    found = over_time(run({"a": STEADY}), run({"a": tuple(1.005 * value for value in STEADY)}))
    assert changes_of(found, "a") == [None, None]


def test_a_cell_that_no_longer_runs_is_marked_with_the_reason() -> None:
    found = over_time(side([cell("a", STEADY), cell("b", STEADY)]), side([cell("a", STEADY), cell("b", ())]))
    assert changes_of(found, "b") == [None, "no longer runs"]
    assert "out of memory" in found.cells[1].points[1].text


def test_versions_and_machine_are_named_where_they_change_and_a_new_host_is_not() -> None:
    found = over_time(
        run({"a": STEADY}, host="pod-1"),
        run({"a": STEADY}, host="pod-2"),
        run({"a": STEADY}, host="pod-3", packages={"torch": "2.14"}),
        run({"a": STEADY}, host="pod-4", packages={"torch": "2.14"}, cpu_model="Y"),
    )
    assert [one.changed for one in found.runs] == [
        (), (), ("package torch: 2.13 -> 2.14",), ("machine: cpu_model: X -> Y",),
    ]  # fmt: skip


def test_a_run_that_measured_nothing_does_not_break_the_history() -> None:
    found = over_time(run({"a": STEADY}), run({"a": ()}), run({"a": STEADY}))
    assert changes_of(found, "a") == [None, "no longer runs", None]
    assert len(found.runs) == 3
    assert over_time() == History(scenario="test", runs=(), cells=())


def test_a_cell_that_was_not_asked_for_has_no_point() -> None:
    found = over_time(run({"a": STEADY}), run({"a": STEADY, "b": STEADY}))
    assert [(one.key, [p.run_id for p in one.points]) for one in found.cells] == [
        ("a", ["folder", "folder"]), ("b", ["folder"]),
    ]  # fmt: skip
