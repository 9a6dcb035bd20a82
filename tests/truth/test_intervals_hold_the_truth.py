"""Coverage, false claims and power over simulated runs; benchmarks/interval_coverage.py has more of them."""

import sys

import numpy as np
import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
from interval_coverage import Rule, claims, coverage

RUNS = 20_000


@pytest.mark.parametrize("launches", [3, 5, 10])
def test_intervals_of_a_fixed_number_of_blocks_hold_the_truth(launches: int) -> None:
    share, _ = coverage(np.random.default_rng(1), Rule(launches, launches), 0.01, RUNS)
    assert 0.945 <= share <= 0.955


@pytest.mark.parametrize("spread", [0.003, 0.01, 0.016, 0.025])
@pytest.mark.parametrize(("launches", "most"), [(3, 10), (3, 30), (5, 20), (10, 30)])
def test_intervals_of_blocks_added_until_they_are_precise_hold_the_truth(
    launches: int, most: int, spread: float
) -> None:
    share, blocks = coverage(np.random.default_rng(2), Rule(launches, most), spread, RUNS)
    assert 0.935 <= share <= 0.965
    assert launches <= blocks <= most


def test_intervals_of_runs_that_stop_as_soon_as_they_look_precise_miss_the_truth_too_often() -> None:
    share, _ = coverage(np.random.default_rng(3), Rule(3, 30, repaired=False), 0.016, RUNS)
    assert share < 0.92


@pytest.mark.parametrize("cells", [1, 4])
def test_intervals_of_cells_that_wait_for_others_hold_the_truth(cells: int) -> None:
    share, _ = coverage(np.random.default_rng(4), Rule(5, 20), 0.016, RUNS // 4, cells)
    assert 0.93 <= share <= 0.97


@pytest.mark.parametrize("rule", [Rule(5, 5), Rule(10, 10), Rule(3, 20)])
@pytest.mark.parametrize("spread", [0.004, 0.02])
def test_equal_candidates_are_rarely_called_different(rule: Rule, spread: float) -> None:
    assert claims(np.random.default_rng(5), rule, spread, 0.0, 3000) <= 0.055


@pytest.mark.parametrize("spread", [0.004, 0.0097])
def test_ten_launches_find_a_difference_of_two_per_cent(spread: float) -> None:
    """The spreads are the median and the upper quartile of published ones (DLPerf)."""
    assert claims(np.random.default_rng(6), Rule(10, 10), spread, 0.02, 2000) >= 0.95
