"""Which differences a gate refuses, which it only lists, and which cells fail it without being slower."""

from typing import Any

import pytest
from gate_sides import cell, side

from stepmark.analysis.alike import rank_facts
from stepmark.analysis.disturbance import Disturbance
from stepmark.analysis.gate import Choices, Unlike, gate
from stepmark.errors import CannotRun

STEADY = [1.0, 1.001, 0.999]
SLOW = [1.2, 1.201, 1.199]


@pytest.mark.parametrize(
    ("changes", "field", "old", "new"),
    [
        ({"cpu_model": "Y"}, "machine: cpu_model", "X", "Y"),
        ({"cpu_count": 4}, "machine: cpu_count", "8", "4"),
        ({"cpu_governor": "powersave"}, "machine: cpu_governor", "none", "powersave"),
        ({"cgroup_cpu_limit": 2.0}, "machine: cgroup_cpu_limit", "none", "2.0"),
        ({"memory_bytes": 32 << 30}, "machine: memory_bytes", str(64 << 30), str(32 << 30)),
        (
            {"workload": {"model": "scripted", "params": {"stepSeconds": 0.005}}},
            "settings: workload.params.stepSeconds", "0.004", "0.005",
        ),
    ],
)  # fmt: skip
def test_unlike_machines_and_settings_are_refused_with_field_both_values_and_a_remedy(
    changes: dict[str, Any], field: str, old: str, new: str
) -> None:
    with pytest.raises(Unlike) as refused:
        gate(side({"c": STEADY}), side({"c": STEADY}, **changes))
    assert f"{field}: expected {old} as in the old run, found {new} in the new one" in str(refused.value)
    assert "--allow-unlike-" in str(refused.value)
    assert refused.value.exit_code == 2


def test_an_allowed_difference_is_compared_and_stays_in_the_report() -> None:
    old, new = side({"c": STEADY}), side({"c": SLOW}, cpu_model="Y")
    with pytest.raises(Unlike):
        gate(old, new, Choices(allow_unlike_settings=True))
    report = gate(old, new, Choices(allow_unlike_machines=True))
    assert not report.passed
    assert [one.field for one in report.unlike] == ["cpu_model"]


def test_changes_of_packages_and_kernel_are_listed_and_refuse_nothing() -> None:
    new = side({"c": STEADY}, packages={"torch": "2.14", "jax": "1"}, kernel="6.2", memory_bytes=int(1.02 * (64 << 30)))
    report = gate(side({"c": STEADY}), new)
    assert report.passed
    assert {(one.field, one.old, one.new) for one in report.changed} == {
        ("package torch", "2.13", "2.14"),
        ("package jax", None, "1"),
        ("kernel", "6.1", "6.2"),
    }


def test_a_default_written_out_is_no_difference() -> None:
    workload = {"model": "scripted", "params": {"stepSeconds": 0.004, "jitter": 0.0}}
    assert gate(side({"c": STEADY}), side({"c": STEADY}, workload=workload)).changed == ()


def test_another_batch_is_refused_once_for_all_cells_that_have_it() -> None:
    cells = [cell(f"c{i}", STEADY, batch_per_worker=16) for i in range(5)]
    with pytest.raises(Unlike, match=r"expected 8 as in the old run, found 16 .* \(c0, c1, c2 and 2 more\)"):
        gate(side({f"c{i}": STEADY for i in range(5)}), side(cells))


def test_another_device_is_refused_and_another_default_of_a_framework_is_only_listed() -> None:
    old = side({"c": STEADY}, {"c": {"device_name": "A", "tf32": "off"}})
    report = gate(old, side({"c": STEADY}, {"c": {"device_name": "A", "tf32": "on"}}))
    assert [(one.field, one.cells) for one in report.changed] == [("tf32", ("c",))]
    with pytest.raises(Unlike, match="machine: device_name: expected A"):
        gate(old, side({"c": STEADY}, {"c": {"device_name": "B", "tf32": "off"}}))


def test_a_launch_without_ranks_has_no_facts() -> None:
    class Failed:
        ranks = ()

    assert rank_facts(Failed()) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize("verdict", ["failed", "not measured", "unsupported"])
def test_a_cell_that_no_longer_runs_fails_with_its_reason(verdict: str) -> None:
    lost = cell("c", [], verdict=verdict, reason="the driver is gone")
    report = gate(side({"c": STEADY}), side([lost]), Choices(allow_missing=True))
    assert not report.passed
    assert (report.cells[0].verdict, report.cells[0].reason) == ("no longer runs", f"{verdict}: the driver is gone")


def test_a_cell_that_is_not_asked_for_any_more_fails_unless_that_is_allowed() -> None:
    sides = side({"c": STEADY, "gone": STEADY}), side({"c": STEADY})
    assert not gate(*sides).passed
    assert gate(*sides, Choices(allow_missing=True)).passed


def test_new_cells_and_cells_that_never_ran_fail_no_gate() -> None:
    old = side([cell("c", STEADY), cell("never", []), cell("mended", [])])
    new = side([cell("c", STEADY), cell("never", []), cell("mended", SLOW), cell("more", SLOW)])
    report = gate(old, new)
    assert report.passed
    assert [c.verdict for c in report.cells[1:]] == [
        "measured in neither",
        "not measured in old",
        "not measured in old",
    ]


def test_a_cell_with_one_launch_is_inconclusive_and_leaves_the_other_cells_their_confidence() -> None:
    report = gate(side({"c": STEADY, "one": [1.0]}), side({"c": STEADY, "one": SLOW}))
    assert report.interval_level == pytest.approx(0.95)
    one = report.cells[1]
    assert (one.verdict, one.p_value, one.fails) == ("inconclusive", None, False)
    assert one.ratio is not None
    assert (one.ratio.value, one.ratio.low) == (pytest.approx(1.2, rel=1e-3), None)


def test_runs_without_a_common_measured_cell_are_refused() -> None:
    with pytest.raises(Unlike, match="found none in common"):
        gate(side({"a": STEADY}), side({"b": STEADY}), Choices(allow_missing=True))
    with pytest.raises(CannotRun, match="expected measured cells"):
        gate(side([cell("c", [])]), side({"c": STEADY}))


def test_the_minimum_effect_is_the_new_scenarios_unless_given() -> None:
    old, new = side({"c": STEADY}), side({"c": SLOW}, measurement={"launches": 2, "minimumEffect": 0.5})
    assert gate(old, new).passed
    assert not gate(old, new, Choices(minimum_effect=0.1)).passed


def test_campaigns_that_added_blocks_are_judged_more_strictly() -> None:
    new = side({"c": STEADY}, measurement={"launches": 2, "maxLaunches": 9})
    assert gate(side({"c": STEADY}), new).interval_level == pytest.approx(0.96)


def test_doubts_about_a_cell_are_shown_beside_its_verdict() -> None:
    doubtful = {"verdict": "drifting", "reason": "+3 %", "parity": "not comparable: bias"}
    report = gate(side([cell("c", STEADY, **doubtful)]), side([cell("c", SLOW, **doubtful | {"parity": None})]))
    assert report.cells[0].verdict == "slower"
    assert report.cells[0].notes == ("old and new: drifting: +3 %", "old: parity: not comparable: bias")


def test_a_cell_whose_every_launch_was_disturbed_still_runs() -> None:
    busy = Disturbance(launches_made=2, launches_disturbed=2, because="others took 40.0% of the cores of rank 0")
    lost = cell("c", [], verdict="not measured", reason=busy.text, disturbance=busy)
    report = gate(side({"c": STEADY}), side([lost]), Choices())
    assert report.passed
    assert (report.cells[0].verdict, report.cells[0].reason) == ("inconclusive", f"not measured: {busy.text}")
