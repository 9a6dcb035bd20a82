"""What a run may claim: all comparisons together, time per step with its slow steps, and cells that have settled."""

from collections.abc import Sequence

import numpy as np
import pytest

from conftest import scenario_document
from stepmark.analysis.compare import Comparison, FamilyFacts, comparisons
from stepmark.analysis.pairs import Measured
from stepmark.plan.cells import Machine, cells
from stepmark.scenario.load import scenario_from_object

Rows = Sequence[float]


def run(
    *candidates: Measured, reference: Measured, minimum_effect: float = 0.01
) -> tuple[list[Comparison], FamilyFacts | None]:
    """Compare every candidate with the reference in one run in which parity is only reported."""
    names = ["reference", *(f"candidate-{index}" for index in range(len(candidates)))]
    document = scenario_document(
        candidates=[{"name": name, "engine": "sleeper", "strategy": "parallel"} for name in names],
        parity="reported",
        measurement={"minimumEffect": minimum_effect},
    )
    scenario = scenario_from_object(document)
    found = cells(scenario, Machine(places=2, programs=()))
    measured = dict(zip((cell.key for cell in found), (reference, *candidates), strict=True))
    return comparisons(scenario, found, measured, {})


def of(means: Rows, medians: Rows | None = None, slopes: Rows = ()) -> Measured:
    return Measured(dict(enumerate(means)), dict(enumerate(means if medians is None else medians)), tuple(slopes))


STEADY = [0.100, 0.101, 0.099, 0.1005, 0.0995]


def times(factor: float, noise: Rows = (0, 0.004, -0.004, 0.002, -0.002)) -> list[float]:
    """Return the steady reference's times multiplied by `factor`, with noise of their own."""
    return [one * factor * (1 + own) for one, own in zip(STEADY, noise, strict=True)]


def test_a_clear_difference_is_claimed() -> None:
    [one], family = run(of(times(1.2)), reference=of(STEADY))
    assert one.verdict == "slower"
    assert family is not None
    assert (family.size, family.error) == (1, 0.05)


def test_a_difference_that_one_comparison_would_claim_is_not_claimed_among_many() -> None:
    noise = (0.03, -0.02, 0.01, 0.02, -0.01)
    [alone], _ = run(of(times(1.034, noise)), reference=of(STEADY))
    others = [of(times(1.0, tuple(np.roll(noise, shift)))) for shift in range(14)]
    together, family = run(of(times(1.034, noise)), *others, reference=of(STEADY))
    assert (alone.verdict, together[0].verdict) == ("slower", "inconclusive")
    assert alone.p_value is not None
    assert together[0].p_adjusted is not None
    assert together[0].p_adjusted > alone.p_value
    assert family is not None
    assert (family.size, family.interval_level > 0.99) == (15, True)


def test_the_interval_excludes_one_exactly_where_a_difference_is_established() -> None:
    rng = np.random.default_rng(3)
    candidates = [of(times(1 + 0.01 * index, tuple(rng.normal(0, 0.01, 5)))) for index in range(8)]
    found, family = run(*candidates, reference=of(STEADY), minimum_effect=0.0)
    assert family is not None
    established = [one.p_adjusted <= family.tested_at for one in found if one.p_adjusted is not None]
    assert established == [one.ratio is not None and one.ratio.excludes(1.0) for one in found]
    assert {True, False} == set(established)


@pytest.mark.parametrize("factor", [1.5, 1.0])
def test_nothing_is_claimed_below_five_blocks(factor: float) -> None:
    [one], family = run(of([factor * 0.1] * 4), reference=of([0.1] * 4))
    assert (one.verdict, one.reason) == ("inconclusive", "4 blocks have measured both sides, and a claim needs 5")
    assert family is None


def test_slow_steps_that_turn_the_sign_withhold_the_claim_and_both_ratios_are_shown() -> None:
    """Every 20th step is five times as long and the others are 2 % faster, so the job takes 17.5 % longer."""
    [one], _ = run(of(times(1.175), times(0.98)), reference=of(STEADY))
    assert one.verdict == "inconclusive"
    assert "x 1.175 with slow steps, x 0.980 in the median" in one.reason


def test_a_difference_in_slow_steps_alone_is_neither_claimed_nor_called_equal() -> None:
    [slower], _ = run(of(times(1.10), times(1.0)), reference=of(STEADY))
    [equal], _ = run(of(times(1.0, (0,) * 5), times(1.10)), reference=of(STEADY))
    assert [one.verdict for one in (slower, equal)] == ["inconclusive", "inconclusive"]
    assert "mean and median step disagree" in slower.reason
    assert "mean and median step disagree" in equal.reason


def test_a_large_difference_stands_where_mean_and_median_differ_in_size_only() -> None:
    [one], _ = run(of(times(1.43), times(1.40)), reference=of(STEADY))
    assert one.verdict == "slower"
    assert one.ratio is not None
    assert one.median_ratio is not None
    assert (round(one.ratio.value, 2), round(one.median_ratio.value, 2)) == (1.43, 1.40)


FALLING = [
    -0.010,
    -0.012,
    -0.009,
    -0.011,
    -0.010,
]  # for each launch: the change of the logarithm of its step times over one window


def test_a_cell_that_still_becomes_faster_is_not_called_slower() -> None:
    [one], _ = run(of(times(1.10), slopes=FALLING), reference=of(STEADY))
    assert one.verdict == "inconclusive"
    assert "still changing" in one.reason
    assert "candidate-0.eager.float32.w1 by -1.0%" in one.reason


def test_a_reference_that_still_becomes_faster_does_not_withhold_that_a_candidate_is_slower() -> None:
    [one], _ = run(of(times(1.10)), reference=of(STEADY, slopes=FALLING))
    assert one.verdict == "slower"


def test_slopes_without_a_common_direction_withhold_no_claim() -> None:
    [one], _ = run(of(times(1.10), slopes=[-0.01, 0.012, -0.011, 0.009, 0.001]), reference=of(STEADY))
    assert one.verdict == "slower"


def test_a_difference_far_beyond_what_the_change_explains_is_claimed() -> None:
    [one], _ = run(of(times(1.5), slopes=FALLING), reference=of(STEADY))
    assert one.verdict == "slower"


def test_ratios_at_two_levels_are_not_claimed_from_five_blocks() -> None:
    [one], _ = run(of(times(1.0, (0.100, 0.101, 0.100, 0.250, 0.251))), reference=of(STEADY))
    assert one.verdict == "inconclusive"
    assert "launches lie at two levels, x 1.100 in 3 blocks and x 1.250 in 2" in one.reason


def test_steps_that_become_slower_count_with_their_change_over_one_window() -> None:
    rising = [-slope for slope in FALLING]
    [far], _ = run(of(times(0.9), slopes=rising), reference=of(STEADY))
    [near], _ = run(of(times(0.985, (0, 0.001, -0.001, 0, 0)), slopes=rising), reference=of(STEADY))
    assert (far.verdict, near.verdict) == ("faster", "inconclusive")
