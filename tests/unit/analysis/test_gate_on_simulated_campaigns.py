"""The gate's promises, kept over many simulated campaigns: false alarms over all cells together, and power."""

from collections.abc import Iterator

import numpy as np
import pytest
from gate_sides import side
from scipy import stats

from stepmark.analysis.gate import gate
from stepmark.analysis.gate_report import GateReport
from stepmark.analysis.welch import holm, welch

SPREAD, LAUNCHES = 0.01, 5


def campaigns(gates: int, cells: int, slowdown: float = 1.0) -> Iterator[GateReport]:
    """Yield gates of sides whose launches vary by 1 %; the first cell of the new side is slower."""
    rng = np.random.default_rng(7)
    for _ in range(gates):
        old, new = np.exp(rng.normal(0, SPREAD, (2, cells, LAUNCHES)))
        new[0] *= slowdown
        yield gate(*(side({f"c{i}": tuple(row) for i, row in enumerate(rows.tolist())}) for rows in (old, new)))


def test_a_gate_without_a_change_fails_in_at_most_5_percent_however_many_cells_it_has() -> None:
    failed = np.mean([not report.passed for report in campaigns(400, cells=50)])
    assert failed <= 0.05


def test_a_slowdown_of_5_percent_is_found_at_5_launches_a_side() -> None:
    found = [report.cells[0].verdict == "slower" for report in campaigns(400, cells=1, slowdown=1.05)]
    assert np.mean(found) >= 0.95


def test_a_slowdown_of_5_percent_is_found_among_ten_cells_as_well() -> None:
    found = [report.cells[0].verdict == "slower" for report in campaigns(400, cells=10, slowdown=1.05)]
    assert np.mean(found) >= 0.95


def test_a_slowdown_below_the_minimum_effect_fails_no_gate() -> None:
    old, new = ({"c": [value * (1 + 1e-6 * i) for i in range(5)]} for value in (1.0, 1.009))
    report = gate(side(old), side(new))
    assert report.cells[0].verdict == "no measurable difference"
    assert report.cells[0].p_value is not None
    assert report.cells[0].p_value < 1e-6


def test_welchs_test_agrees_with_scipys() -> None:
    rng = np.random.default_rng(3)
    old, new = np.exp(rng.normal(0, 0.01, 4)), np.exp(rng.normal(0.02, 0.05, 7))
    ours = welch(old, new)
    known = stats.ttest_ind(np.log(new), np.log(old), equal_var=False)
    interval, ratio = known.confidence_interval(0.98), ours.ratio(0.98)
    assert ours.p_value == pytest.approx(known.pvalue)
    assert (np.log(ratio.low), np.log(ratio.high)) == (pytest.approx(interval.low), pytest.approx(interval.high))  # type: ignore[arg-type]


def test_launches_without_any_spread_cause_no_division_by_zero() -> None:
    assert welch([1.0, 1.0], [1.0, 1.0]).p_value == 1.0
    ratio = welch([1.0, 1.0], [1.2, 1.2]).ratio(0.95)
    assert ratio.low == pytest.approx(1.2, rel=1e-6)


def test_two_launches_far_apart_have_an_interval_that_json_can_hold() -> None:
    ratio = welch([1e-9, 1e9], [1e9, 1e-9]).ratio(0.9999)
    assert np.isfinite(ratio.high or np.inf)
    assert gate(side({"c": [1e-9, 1e9]}), side({"c": [1e9, 1e-9]})).model_dump_json()


def test_holms_correction_agrees_with_the_textbook() -> None:
    adjusted, _ = holm([0.01, 0.04, 0.03, 0.005], 0.05)
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_intervals_exclude_1_for_exactly_the_cells_that_holm_rejects() -> None:
    rng = np.random.default_rng(11)
    for _ in range(200):
        tests = [welch(*np.exp(rng.normal([[0], [shift]], 0.01, (2, 4)))) for shift in (0, 0.01, 0.02, 0.03, 0.05)]  # type: ignore[arg-type]
        adjusted, level = holm([test.p_value for test in tests], 0.05)
        assert [p <= 0.05 for p in adjusted] == [test.ratio(level).excludes(1.0) for test in tests]
