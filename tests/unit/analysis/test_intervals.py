"""The mathematics of intervals and ratios, for any figures."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepmark.analysis.intervals import Estimate, geometric_mean, paired_ratio

FIGURES = st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=20)
PAIRS = st.dictionaries(st.integers(0, 30), st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)), min_size=2)
quick = settings(max_examples=100, deadline=None)


def ends(estimate: Estimate | None) -> tuple[float, float, float]:
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.value, estimate.high


def test_the_interval_is_students_interval_on_logarithms() -> None:
    """Logarithms 0, 1, 2 have mean 1 and standard error 1 / sqrt 3; t(0.975; 2) is 4.302653 in any table."""
    low, value, high = ends(geometric_mean(np.exp([0.0, 1.0, 2.0])))
    half = 4.302653 / math.sqrt(3)
    assert np.log([low, value, high]) == pytest.approx([1 - half, 1, 1 + half])


def test_one_block_has_no_interval() -> None:
    assert geometric_mean(np.array([2.0])) == Estimate(value=2.0, low=None, high=None)


@quick
@given(values=FIGURES, unit=st.floats(1e-3, 1e3))
def test_another_unit_only_scales_the_interval(values: list[float], unit: float) -> None:
    scaled = ends(geometric_mean(unit * np.array(values)))
    assert scaled == pytest.approx([unit * end for end in ends(geometric_mean(np.array(values)))])


@quick
@given(values=FIGURES, seed=st.integers(0, 1000))
def test_the_order_of_blocks_does_not_matter(values: list[float], seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(values)
    assert ends(geometric_mean(shuffled)) == pytest.approx(ends(geometric_mean(np.array(values))))


@quick
@given(values=FIGURES)
def test_the_value_lies_inside_its_interval_and_in_the_middle_of_the_logarithms(values: list[float]) -> None:
    low, value, high = ends(geometric_mean(np.array(values)))
    assert low <= value * (1 + 1e-12)
    assert math.log(low) + math.log(high) == pytest.approx(2 * math.log(value), abs=1e-6)


def test_the_widest_interval_has_finite_ends_above_zero() -> None:
    found = geometric_mean(np.array([1e-6, 1e6]), 0.99)
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.high < float("inf")


@quick
@given(values=FIGURES, levels=st.tuples(st.floats(0.5, 0.99), st.floats(0.5, 0.99)))
def test_more_confidence_is_never_a_narrower_interval(values: list[float], levels: tuple[float, float]) -> None:
    sure, surer = (geometric_mean(np.array(values), level).relative_half_width for level in sorted(levels))
    assert sure is not None
    assert surer is not None
    assert sure <= surer * (1 + 1e-9) + 1e-12


@quick
@given(pairs=PAIRS)
def test_the_ratio_of_swapped_sides_is_the_reciprocal(pairs: dict[int, tuple[float, float]]) -> None:
    ours, theirs = ({block: pair[side] for block, pair in pairs.items()} for side in (0, 1))
    low, value, high = ends(paired_ratio(ours, theirs))
    assert ends(paired_ratio(theirs, ours)) == pytest.approx((1 / high, 1 / value, 1 / low))


@quick
@given(pairs=PAIRS, machine=st.lists(st.floats(0.1, 10), min_size=31, max_size=31))
def test_a_factor_of_both_sides_of_a_block_cancels(pairs: dict[int, tuple[float, float]], machine: list[float]) -> None:
    ours, theirs = ({block: pair[side] for block, pair in pairs.items()} for side in (0, 1))
    slower = [{block: value * machine[block] for block, value in side.items()} for side in (ours, theirs)]
    assert ends(paired_ratio(*slower)) == pytest.approx(ends(paired_ratio(ours, theirs)))  # type: ignore[arg-type]


@quick
@given(pairs=PAIRS, alone=st.floats(1e-3, 1e3))
def test_a_block_that_only_one_side_has_does_not_count(pairs: dict[int, tuple[float, float]], alone: float) -> None:
    ours, theirs = ({block: pair[side] for block, pair in pairs.items()} for side in (0, 1))
    assert paired_ratio(ours | {99: alone}, theirs | {98: alone}) == paired_ratio(ours, theirs)
