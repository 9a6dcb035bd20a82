import numpy as np
import pytest

from stepmark.analysis.compare import judge
from stepmark.analysis.intervals import Estimate, geometric_mean, paired_ratio


@pytest.mark.parametrize(
    ("low", "value", "high", "verdict"),
    [
        (0.80, 0.85, 0.90, "faster"),
        (1.10, 1.15, 1.20, "slower"),
        (0.995, 1.0, 1.005, "no measurable difference"),
        (0.80, 0.95, 1.10, "inconclusive"),
        (0.992, 0.995, 0.998, "no measurable difference"),  # established, and too small to matter
        (0.97, 0.995, 0.999, "inconclusive"),
    ],
)
def test_a_difference_is_claimed_if_its_interval_excludes_1_and_it_exceeds_the_minimum_effect(
    low: float, value: float, high: float, verdict: str
) -> None:
    assert judge(Estimate(value=value, low=low, high=high), 0.01)[0] == verdict


def test_one_block_gives_no_interval_and_no_claim() -> None:
    ratio = paired_ratio({0: 1.0}, {0: 2.0})
    assert ratio is not None
    assert (ratio.value, ratio.low, ratio.high) == (0.5, None, None)
    assert judge(ratio, 0.01)[0] == "inconclusive"


def test_sides_without_a_common_block_have_no_ratio() -> None:
    assert paired_ratio({0: 1.0}, {1: 1.0}) is None


def test_pairing_cancels_a_factor_that_a_block_shares() -> None:
    machine = {block: 1.0 + 0.3 * block for block in range(5)}
    ratio = paired_ratio({b: 0.9 * m for b, m in machine.items()}, machine)
    assert ratio is not None
    assert ratio.low == pytest.approx(0.9)
    assert ratio.high == pytest.approx(0.9)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = [not geometric_mean(np.exp(rng.normal(0, 0.01, 5))).excludes(1.0) for _ in range(2000)]
    assert 0.935 <= np.mean(covered) <= 0.965
