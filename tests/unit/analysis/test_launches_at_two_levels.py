"""Launches at two levels are found and have an interval that covers the truth; chance rarely makes two levels."""

import numpy as np
import pytest

from stepmark.analysis.intervals import geometric_mean, typical
from stepmark.analysis.levels import median_interval, two_levels


def test_both_levels_are_found_with_their_launches() -> None:
    found = two_levels([0.0100, 0.0101, 0.0115, 0.0100, 0.0099])
    assert found is not None
    assert (found.count_low, found.count_high) == (4, 1)
    assert (found.low, found.high) == (pytest.approx(0.0100, rel=1e-3), pytest.approx(0.0115))


@pytest.mark.parametrize("launches", [5, 6, 9, 10, 20])
def test_chance_alone_rarely_looks_like_two_levels(launches: int) -> None:
    rng = np.random.default_rng(launches)
    seen = [two_levels(np.exp(rng.normal(0, 0.03, launches))) is not None for _ in range(3000)]
    assert np.mean(seen) <= 0.065


def test_a_small_gap_between_launches_is_not_reported() -> None:
    assert two_levels([1.0, 1.0001, 1.0002, 1.0001, 1.015]) is None


def test_fewer_than_five_launches_have_no_levels_and_no_interval_of_the_median() -> None:
    assert two_levels([1.0, 1.0, 1.0, 2.0]) is None
    assert median_interval(np.ones(4)) is None


@pytest.mark.parametrize(("share", "slower"), [(0.08, 0.15), (0.3, 0.1), (0.5, 0.1)])
@pytest.mark.parametrize("launches", [5, 10])
def test_the_interval_of_a_typical_launch_covers_the_truth_with_rare_slow_and_bimodal_launches(
    share: float, slower: float, launches: int
) -> None:
    rng = np.random.default_rng(7)
    drawn = np.exp(0.005 * rng.standard_normal((2000, launches))) * (
        1 + slower * (rng.random((2000, launches)) < share)
    )
    many = np.exp(0.005 * rng.standard_normal(200_001)) * (1 + slower * (rng.random(200_001) < share))
    truth = float(np.median(many))
    assert np.mean([not typical(run).excludes(truth) for run in drawn]) >= 0.90


def test_a_t_interval_alone_would_not_cover_the_truth() -> None:
    """The control: of ten launches 30 % are 10 % slower, and the truth is the median launch."""
    rng = np.random.default_rng(8)
    drawn = np.exp(0.003 * rng.standard_normal((1000, 10))) * (1 + 0.1 * (rng.random((1000, 10)) < 0.3))
    assert np.mean([not geometric_mean(run).excludes(1.0) for run in drawn]) < 0.8
