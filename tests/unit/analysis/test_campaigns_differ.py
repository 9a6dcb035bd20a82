"""How much campaigns differ is estimated from earlier runs, and only as precisely as few campaigns allow."""

import sys
from collections.abc import Sequence

import numpy as np
import pytest
from gate_sides import side

from conftest import ROOT
from stepmark.analysis.alike import Side
from stepmark.analysis.campaigns import between
from stepmark.analysis.gate import gate
from stepmark.analysis.welch import welch

sys.path.insert(0, str(ROOT / "benchmarks"))
from gate_rates import World, rate

RNG = np.random.default_rng(4)


def launches(shift: float, spread: float = 0.001, count: int = 5) -> tuple[float, ...]:
    return tuple(np.exp(shift + spread * RNG.standard_normal(count)).tolist())


def campaign(shift: float, cells: Sequence[str] = ("a", "b"), **changes: object) -> Side:
    return side({key: launches(shift) for key in cells}, **changes)


SHIFTS = (0.0, 0.01, -0.01, 0.012, -0.008, 0.004)


def test_the_variance_between_campaigns_is_found_beside_that_of_launches() -> None:
    rng = np.random.default_rng(1)
    logs = rng.normal(0, 0.01, (3000, 1)) + rng.normal(0, 0.005, (3000, 4))
    found = between({"c": np.exp(logs).tolist()})["c"]
    assert found.variance == pytest.approx(0.01**2, rel=0.1)
    assert found.degrees == 2999


def test_launches_alone_give_no_variance_between_campaigns_on_average() -> None:
    rng = np.random.default_rng(2)
    found = between({"c": np.exp(rng.normal(0, 0.005, (3000, 4))).tolist()})["c"]
    assert found.variance < 0.1 * 0.005**2


def test_many_cells_give_no_more_degrees_of_freedom_for_campaigns_than_one_cell() -> None:
    cells = {f"c{i}": [launches(shift) for shift in (0.0, 0.01, -0.01)] for i in range(50)}
    assert {one.degrees for one in between(cells).values()} == {2.0}


def test_the_variance_of_a_cell_with_few_campaigns_is_pooled_and_with_many_it_is_its_own() -> None:
    def share(count: int) -> float:
        quiet, wild = ([launches(size * s, 1e-6) for s in (1, -1) * count] for size in (0.001, 0.01))
        found = between({"quiet": quiet, "wild": wild})
        return found["quiet"].variance / found["wild"].variance

    assert share(1) > 0.4
    assert share(20) < 0.1


def test_a_cell_without_a_history_of_its_own_gets_the_variance_of_the_others() -> None:
    found = between({"old": [launches(s) for s in SHIFTS], "new": [launches(0.0)]})
    assert found["new"].variance == pytest.approx(found["old"].variance)
    assert (found["new"].degrees, found["new"].campaigns) == (5.0, 1)


def test_the_variance_is_unknown_without_two_campaigns_of_two_launches() -> None:
    assert between({"c": [launches(0)]}) == {}
    assert between({"c": [(1.0,), (1.1,)]}) == {}


def test_a_welch_test_with_campaigns_adds_their_variance_twice_and_has_degrees_between_both() -> None:
    plain = welch(launches(0), launches(0))
    assert plain.with_campaigns(0.0, 2).standard_error == pytest.approx(plain.standard_error)
    wide = plain.with_campaigns(0.01**2, 3)
    assert wide.standard_error**2 == pytest.approx(plain.standard_error**2 + 2 * 0.01**2)
    assert 3 <= wide.degrees < plain.degrees


def test_chance_between_campaigns_fails_a_gate_without_a_history_and_no_gate_with_one() -> None:
    old, new, *earlier = (campaign(shift) for shift in (0.0, 0.02, *SHIFTS))
    without, with_them = gate(old, new), gate(old, new, None, earlier)
    assert not without.passed
    assert with_them.passed
    assert {cell.verdict for cell in with_them.cells} == {"inconclusive"}
    assert "campaigns vary by" in with_them.cells[0].reason
    assert with_them.cells[0].campaign_spread == pytest.approx(0.0086, rel=0.2)
    assert with_them.cells[0].campaigns == 7


def test_a_slowdown_beyond_what_campaigns_differ_by_is_found() -> None:
    assert not gate(campaign(0.0), campaign(0.1), None, [campaign(shift) for shift in SHIFTS]).passed


def test_a_report_without_a_history_or_with_a_short_one_warns_and_says_what_to_do() -> None:
    old, new = campaign(0), campaign(0)
    [none] = gate(old, new).warnings
    assert none.startswith("no history: campaigns may differ by more than their launches show; give 3 or more runs")
    [short] = gate(old, new, None, [campaign(0.001)]).warnings
    assert short.startswith("history of only 1 run, so the intervals are very wide")
    assert gate(old, new, None, [campaign(s) for s in SHIFTS[:3]]).warnings == ()


def test_a_history_holds_alike_runs_once_and_neither_side_of_the_gate() -> None:
    old, new, one = campaign(0), campaign(0), campaign(0.001)
    unlike, other = campaign(0, cpu_model="Y", cpu_count=4), campaign(0, cells=("c",))
    report = gate(old, new, None, [new, old, one, one, unlike, other])
    assert report.history.used == ("folder",)
    assert [left.reason for left in report.history.left_out] == [
        "this run is the new one",
        "this run is the old one, which counts already",
        "this run is that of folder, which counts already",
        "machine: cpu_model: X -> Y, and 1 more",
        "this run measured none of the old run's cells",
    ]


def test_a_history_in_which_no_run_can_be_used_counts_as_no_history() -> None:
    report = gate(campaign(0), campaign(0), None, [campaign(0, cpu_model="Y")])
    assert report.warnings[0].startswith("no history")


@pytest.mark.parametrize("kind", ["one effect", "of each cell", "uneven"])
@pytest.mark.parametrize("earlier", [3, 5])
def test_gates_without_a_change_fail_in_at_most_5_percent_where_campaigns_differ(kind: str, earlier: int) -> None:
    assert rate(World(kind, 0.01, earlier), gates=100) <= 0.05


def test_gates_without_a_history_fail_far_more_often_where_campaigns_differ() -> None:
    assert rate(World("one effect", 0.01, 0), gates=100) > 0.2
