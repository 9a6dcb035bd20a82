"""When there are enough blocks, and how many forks a zygote should serve. The coverage is tested in tests/truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepmark.analysis.intervals import geometric_mean
from stepmark.analysis.stopping import (
    SEQUENTIAL_CONFIDENCE,
    confidence,
    enough,
    may_stop,
    nested_variances,
    optimal_forks,
    relative_half_widths,
)

quick = settings(max_examples=100, deadline=None)
POSITIVE = st.floats(1e-6, 1e3)


@quick
@given(values=st.lists(st.floats(1e-4, 1e4), min_size=2, max_size=30))
def test_widths_are_those_of_the_interval_over_the_first_blocks(values: list[float]) -> None:
    widths = relative_half_widths(values, SEQUENTIAL_CONFIDENCE)
    assert widths[0] == np.inf
    for n in range(2, len(values) + 1):
        expected = geometric_mean(np.array(values[:n]), SEQUENTIAL_CONFIDENCE).relative_half_width
        assert widths[n - 1] == pytest.approx(expected, abs=1e-6)


def test_a_run_may_stop_after_five_blocks_at_the_earliest() -> None:
    assert may_stop(np.ones(6), 0.01).tolist() == [False, False, False, False, True, True]


def test_blocks_that_are_precise_only_once_are_not_enough() -> None:
    """In the first case three blocks agree by chance and two show the spread; the second is the other way round."""
    assert not enough([1.0, 1.0, 1.0, 1.1, 0.9], 0.01)
    assert not enough([1.01, 0.99, 1.0, 1.0, 1.0], 0.012)


def test_blocks_that_are_still_precise_two_blocks_later_are_enough() -> None:
    assert enough([1.0, 1.001, 0.999, 1.0, 1.001], 0.01)
    assert not enough([1.0, 1.001, 0.999, 1.0, 1.001], 0.0001)


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_fewer_than_three_blocks_are_not_enough(blocks: int) -> None:
    assert not enough(np.ones(blocks), 1.0)


@quick
@given(
    values=st.lists(st.floats(0.9, 1.1), min_size=1, max_size=20),
    unit=st.floats(1e-3, 1e3),
    precision=st.floats(1e-3, 0.2),
)
def test_the_unit_does_not_matter_and_less_precision_needs_no_more_blocks(
    values: list[float], unit: float, precision: float
) -> None:
    assert (may_stop(values, precision) <= may_stop(values, 1.01 * precision)).all()
    clear = np.abs(relative_half_widths(values, SEQUENTIAL_CONFIDENCE) - precision) > 1e-9
    if clear.all():
        assert (may_stop(unit * np.array(values), precision) == may_stop(values, precision)).all()


@pytest.mark.parametrize(("most", "level"), [(None, 0.95), (5, 0.95), (6, 0.96)])
def test_only_a_run_that_may_add_blocks_has_wider_intervals(most: int | None, level: float) -> None:
    assert confidence(5, most) == level


def test_the_number_of_forks_follows_the_published_formula() -> None:
    """The formula is that of Kalibera and Jones, ISMM 2013: sqrt(100 / 1 * 4 / 1) = 20."""
    assert optimal_forks(1.0, 4.0, 100.0, 1.0) == 20


def test_one_fork_is_best_where_launches_are_costly_and_zygotes_differ() -> None:
    assert optimal_forks(9.0, 1.0, 5.0, 5.0) == 1


@pytest.mark.parametrize(("within", "forks"), [(1.0, 100), (0.0, 1)])
def test_zygotes_that_do_not_differ_serve_the_most_forks_or_one_if_forks_do_not_differ(
    within: float, forks: int
) -> None:
    assert optimal_forks(0.0, within, 5.0, 1.0) == forks
    assert optimal_forks(-0.1, within, 5.0, 1.0) == forks


@quick
@given(between=POSITIVE, within=POSITIVE, zygote=POSITIVE, fork=POSITIVE)
def test_no_other_number_of_forks_is_better(between: float, within: float, zygote: float, fork: float) -> None:
    def variance_times_seconds(forks: int) -> float:
        return (between + within / forks) * (zygote + forks * fork)

    chosen = optimal_forks(between, within, zygote, fork, most=50)
    best = min(variance_times_seconds(forks) for forks in range(1, 51))
    assert variance_times_seconds(chosen) == pytest.approx(best)


@pytest.mark.parametrize(("zygote", "fork"), [(-1.0, 1.0), (1.0, 0.0)])
def test_impossible_costs_are_refused(zygote: float, fork: float) -> None:
    with pytest.raises(ValueError, match="of at least 0"):
        optimal_forks(1.0, 1.0, zygote, fork)


@pytest.mark.parametrize("sizes", [[6] * 3000, [2, 10] * 1500])
def test_variances_are_found_whatever_the_number_of_forks(sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    found = nested_variances([rng.normal(rng.normal(0, 3), 2, size) for size in sizes])
    assert found == pytest.approx((9, 4), rel=0.1)


def test_variances_agree_with_a_calculation_by_hand() -> None:
    """With zygote means 1 and 5 and a variance of 2 within, the variance between is var(1, 5) - 2 / 2 = 7."""
    assert nested_variances([[0.0, 2.0], [4.0, 6.0]]) == pytest.approx((7.0, 2.0))


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], [[1.0], [2.0]], [[1.0, 2.0], []]])
def test_variances_need_two_zygotes_and_two_forks(values: list[list[float]]) -> None:
    assert nested_variances(values) is None
