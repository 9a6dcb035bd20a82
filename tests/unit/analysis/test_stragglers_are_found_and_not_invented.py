"""Simulated ranks with autocorrelated jitter, shared noise and spikes. Rates: `benchmarks/straggler_report.py`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import lfilter

from stepmark.analysis.rank_ratios import variance_of_mean
from stepmark.analysis.stragglers import DETECTION_POWER, StragglerReport, straggler_report
from stepmark.analysis.welch import holm


def simulate(
    seed: int, ranks: int = 32, steps: int = 2000, jitter: float = 0.02, memory: float = 0.5
) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    own = lfilter([np.sqrt(1 - memory**2)], [1, -memory], rng.standard_normal((ranks, steps + 100)), axis=1)[:, 100:]
    return 0.05 * np.exp(jitter * own + 0.05 * rng.standard_normal(steps))


def launches(
    seed: int, blocks: int = 5, ranks: int = 4, samples: int = 16, jitter: float = 0.02, process: float = 0.005
) -> list[NDArray[np.float64]]:
    """Return what a run supplies: few samples a launch, in which each rank's process has a speed of its own."""
    rng = np.random.default_rng(seed)
    speeds = np.exp(process * rng.standard_normal((blocks, ranks, 1)))
    return [simulate(1000 * seed + b, ranks, samples, jitter, 0.0) * speed for b, speed in enumerate(speeds)]


def slow_ranks(report: StragglerReport) -> list[int]:
    return [slow.rank for slow in report.slow]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("jitter", "memory"), [(0.02, 0.0), (0.02, 0.9), (0.05, 0.5)])
def test_a_rank_3_percent_slow_is_found_and_no_other(seed: int, jitter: float, memory: float) -> None:
    times = simulate(seed, jitter=jitter, memory=memory)
    times[7] *= 1.03
    report = straggler_report([times])
    assert slow_ranks(report) == [7]
    assert report.slow[0].slower == pytest.approx(0.03, abs=0.01)
    assert report.slow[0].low < 0.03 + 0.01
    assert report.slow[0].p_value < 0.01


def test_noise_with_a_long_autocorrelation_is_not_called_a_straggler() -> None:
    """With short windows and no minimum effect the test alone has to hold.

    Without blocks of steps there are alarms in 10 of these 300 series.
    """
    seeds = range(300)
    alarms = [bool(straggler_report([simulate(seed, 16, 300, 0.05, 0.9)], minimum_effect=0).slow) for seed in seeds]
    assert sum(alarms) <= 3


def test_blocks_of_steps_are_longer_than_the_autocorrelation() -> None:
    assert straggler_report([simulate(0, memory=0.0)]).block_steps == 25
    assert (straggler_report([simulate(0, memory=0.9)]).block_steps or 0) > 60


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_the_variance_of_a_mean_counts_every_pair_of_steps(memory: float) -> None:
    lags = np.abs(np.subtract.outer(np.arange(30), np.arange(30)))
    assert variance_of_mean(30, memory) == pytest.approx((memory**lags).mean())


def test_holm_multiplies_by_the_hypotheses_that_remain() -> None:
    assert holm(np.array([0.04, 0.01, 0.03]), 0.05)[0] == pytest.approx([0.06, 0.03, 0.06])


def test_a_rank_with_lone_spikes_is_no_straggler() -> None:
    times = simulate(0)
    times[3, ::50] *= 30
    assert straggler_report([times]).slow == ()


def test_a_long_stall_neither_accuses_a_rank_nor_hides_it() -> None:
    times = simulate(0)
    times[3, 300:420] *= 20
    assert straggler_report([times]).slow == ()
    times[3] *= 1.03
    assert slow_ranks(straggler_report([times])) == [3]


@pytest.mark.parametrize("ranks", [2, 3, 4, 5])
def test_among_few_ranks_the_whole_slowness_is_charged_to_the_slow_rank(ranks: int) -> None:
    times = simulate(1, ranks=ranks)
    times[1] *= 1.05
    report = straggler_report([times])
    assert slow_ranks(report) == [1]
    assert report.slow[0].slower == pytest.approx(0.05, abs=0.01)


def test_a_real_slowness_below_the_minimum_effect_is_not_reported() -> None:
    times = simulate(0, jitter=0.002)
    times[3] *= 1.005
    assert straggler_report([times]).slow == ()
    assert slow_ranks(straggler_report([times], minimum_effect=0.003)) == [3]


def test_a_slow_host_is_named() -> None:
    times = simulate(0, ranks=32)
    times[8:16] *= 1.04
    times[20] *= 1.08
    report = straggler_report([times], [f"node{rank // 8}" for rank in range(32)])
    assert report.slow_hosts == ("node1",)
    assert slow_ranks(report)[0] == 20
    assert set(slow_ranks(report)[1:]) == set(range(8, 16))
    assert report.slow[0].host == "node2"


def test_the_spread_of_many_equal_ranks_is_as_expected_and_a_slow_rank_exceeds_it() -> None:
    times = simulate(0, ranks=256, jitter=0.02)
    alike = straggler_report([times])
    times[0] *= 1.2
    bad = straggler_report([times])
    assert alike.spread_mean == pytest.approx(alike.spread_expected, rel=0.05)
    assert bad.spread_mean == pytest.approx(0.2, abs=0.02)
    assert bad.spread_expected == pytest.approx(alike.spread_expected, rel=0.05)


@given(factor=st.integers(1, 10**6), order=st.permutations(range(8)))
@settings(max_examples=20, deadline=None)
def test_neither_the_unit_nor_the_order_of_ranks_matters(factor: int, order: list[int]) -> None:
    times = np.round(simulate(2, ranks=8, steps=400) * 1e9).astype(np.int64)
    times[5] = times[5] * 21 // 20
    report = straggler_report([(times * factor)[order]])
    assert [order[rank] for rank in slow_ranks(report)] == [5]
    assert report.slow[0].slower == pytest.approx(straggler_report([times]).slow[0].slower, rel=1e-6)


def test_a_report_of_too_few_ranks_or_steps_says_why_it_has_no_test() -> None:
    assert "at least two ranks, found one" in straggler_report([np.ones((1, 100))]).reason
    report = straggler_report([np.ones((4, 10))])
    assert "too few" in report.reason
    assert report.spread_mean is None


def test_ranks_with_constant_times_are_no_stragglers() -> None:
    assert straggler_report([np.ones((4, 200))]).slow == ()


@pytest.mark.parametrize(("times", "hosts"), [(np.zeros((2, 100)), None), (np.ones((2, 100)), ["only one"])])
def test_times_of_zero_and_a_wrong_number_of_hosts_are_refused(
    times: NDArray[np.float64], hosts: list[str] | None
) -> None:
    with pytest.raises(ValueError, match=r"expected positive times|expected a host for each of 2 ranks, found 1"):
        straggler_report([times], hosts)


def test_few_samples_of_several_launches_find_a_rank_that_is_always_slow() -> None:
    times = launches(1)
    for one in times:
        one[2] *= 1.05
    report = straggler_report(times)
    assert [(slow.rank, slow.block) for slow in report.slow] == [(2, None)]
    assert (report.launches, report.steps) == (5, 80)
    assert report.slow[0].slower == pytest.approx(0.05, abs=0.015)


def test_a_process_that_is_slow_in_one_launch_is_named_with_that_block_alone() -> None:
    times = launches(2)
    times[3][1] *= 1.2
    report = straggler_report(times, blocks=[0, 1, 2, 4, 5])
    assert [(slow.rank, slow.block) for slow in report.slow] == [(1, 4)]
    assert report.slow[0].slower == pytest.approx(0.2, abs=0.05)


def test_speeds_that_change_with_every_process_make_no_slow_rank() -> None:
    """Processes are slow in their launch, as a test within first launches says of 53 of these 60; no rank always is."""
    reports = [straggler_report(launches(seed, samples=50, process=0.03)) for seed in range(60)]
    assert sum(bool(report.slow) for report in reports) <= 1


def test_a_slow_launch_does_not_hide_a_rank_that_is_always_slow() -> None:
    times = launches(3)
    times[0][1] *= 1.5
    for one in times:
        one[2] *= 1.05
    found = {(slow.rank, slow.block) for slow in straggler_report(times).slow}
    assert found == {(2, None), (1, 0)}


@pytest.mark.parametrize(("ranks", "samples", "blocks"), [(2, 16, 5), (8, 10, 5), (2, 25, 9)])
def test_a_slowness_of_the_size_called_detectable_is_found_as_often_as_promised(
    ranks: int, samples: int, blocks: int
) -> None:
    seeds, found = range(60), 0
    for seed in seeds:
        detectable = straggler_report(launches(seed, blocks, ranks, samples)).detectable
        assert detectable is not None
        again = launches(1000 + seed, blocks, ranks, samples)
        for one in again:
            one[0] *= 1 + detectable
        found += 0 in slow_ranks(straggler_report(again))
    assert found == pytest.approx(DETECTION_POWER * len(seeds), abs=9)  # three standard deviations


def test_more_blocks_make_a_smaller_slowness_detectable() -> None:
    sizes = [straggler_report(launches(4, blocks)).detectable or 1.0 for blocks in (2, 3, 5, 9)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.04


def test_two_launches_of_two_ranks_find_only_gross_slowness() -> None:
    times = launches(5, blocks=2, ranks=2)
    report = straggler_report(times)
    assert 0.1 < (report.detectable or 0) < 0.4
    for one in times:
        one[1] *= 1.5
    assert slow_ranks(straggler_report(times)) == [1]


def test_nothing_is_called_detectable_in_noise_in_which_twice_as_slow_would_not_show() -> None:
    assert straggler_report(launches(5, blocks=2, ranks=2, process=0.5)).detectable is None


def test_a_noisy_rank_is_not_a_slow_one() -> None:
    """With the noise of a typical rank in place of its own, the noisy rank is called slow in six runs of ten."""
    rng, wrong = np.random.default_rng(0), 0
    for seed in range(100):
        times = launches(seed, ranks=8, process=0.0)
        for one in times:
            one[5] *= np.exp(0.2 * rng.standard_normal(one.shape[1]))
        wrong += bool(straggler_report(times).slow)
    assert wrong <= 1
