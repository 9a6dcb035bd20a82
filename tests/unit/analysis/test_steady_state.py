"""Series of step times of known shapes, and their verdicts. Rates over generated series are in tests/truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stepmark.analysis.steady import pooled_change_below, steady_state

SEEDS = range(10)


def noisy(level: NDArray[np.float64], seed: int, spread: float = 0.01) -> NDArray[np.float64]:
    return 0.01 * level * np.exp(spread * np.random.default_rng(seed).standard_normal(len(level)))


def flat(steps: int, seed: int, spread: float = 0.01) -> NDArray[np.float64]:
    return noisy(np.ones(steps), seed, spread)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_flat_series_is_steady_from_its_start(seed: int) -> None:
    state = steady_state(flat(300, seed))
    assert (state.verdict, state.start, state.reason) == ("steady", 0, "")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_slow_beginning_is_left_out(seed: int) -> None:
    state = steady_state(noisy(np.concatenate([np.full(60, 1.5), np.ones(240)]), seed))
    assert state.verdict == "steady"
    assert abs(state.start - 60) <= 5


def test_the_slow_end_of_a_decaying_warm_up_is_left_out_with_it() -> None:
    decay = 1 + 0.5 * np.exp(-np.arange(1000) / 40)
    states = [steady_state(noisy(decay, seed)) for seed in range(30)]
    assert sum(state.verdict == "steady" for state in states) >= 28
    assert np.mean([decay[state.start] - 1 for state in states]) < 0.007


@pytest.mark.parametrize("seed", SEEDS)
def test_a_later_and_slower_level_is_a_slowdown(seed: int) -> None:
    state = steady_state(noisy(np.concatenate([np.ones(150), np.full(150, 1.05)]), seed))
    assert state.verdict == "slowdown"
    assert "5." in state.reason or "4." in state.reason


@pytest.mark.parametrize("seed", SEEDS)
def test_levels_within_one_per_cent_are_one_level(seed: int) -> None:
    state = steady_state(noisy(np.concatenate([np.ones(150), np.full(150, 1.007)]), seed, 0.001))
    assert (state.verdict, state.start) == ("steady", 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_short_faster_beginning_is_no_level_of_its_own(seed: int) -> None:
    assert steady_state(noisy(np.concatenate([np.full(6, 0.5), np.ones(94)]), seed, 0.005)).verdict == "steady"


@pytest.mark.parametrize("factor", [0.8, 1.3])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_change_near_the_end_is_no_steady_state(seed: int, factor: float) -> None:
    state = steady_state(noisy(np.concatenate([np.ones(250), np.full(50, factor)]), seed))
    assert (state.verdict, state.start, state.change_below) == ("no steady state", 0, None)


@pytest.mark.parametrize("total", [0.9, 1.03])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_drift_is_named_with_its_direction(seed: int, total: float) -> None:
    state = steady_state(noisy(np.linspace(1, total, 400), seed))
    assert state.verdict == "drifting"
    assert ("-" if total < 1 else "+") in state.reason


@pytest.mark.parametrize("seed", SEEDS)
def test_an_established_drift_too_small_to_matter_is_steady(seed: int) -> None:
    assert steady_state(noisy(np.linspace(1, 1.003, 400), seed, 0.001)).verdict == "steady"


def test_a_warmup_does_not_hide_a_drift_behind_it() -> None:
    warm = np.concatenate([np.full(40, 2.0), np.linspace(1, 1.1, 360)])
    assert all(steady_state(noisy(warm, seed)).verdict == "drifting" for seed in SEEDS)


def test_the_change_over_a_window_is_measured_and_bounded() -> None:
    states = [steady_state(noisy(np.linspace(1, 1.04, 400), seed)) for seed in range(20)]
    changes = [state.change for state in states if state.change is not None]
    assert len(changes) == 20
    assert np.mean(changes) == pytest.approx(0.04, abs=0.003)
    assert all(state.change_below is not None and state.change_below > 0.03 for state in states)


def test_a_short_and_noisy_window_is_undecided_with_a_bound_on_its_change() -> None:
    state = steady_state(flat(60, 1, spread=0.1))
    assert state.verdict == "undecided"
    assert state.change_below is not None
    assert state.change_below > 0.1
    assert "60 steps" in state.reason


def test_the_size_of_a_material_change_decides_between_steady_and_undecided() -> None:
    seconds = flat(100, 4, spread=0.02)
    assert steady_state(seconds, material=0.05).verdict == "steady"
    assert steady_state(seconds, material=0.005).verdict == "undecided"


def test_autocorrelation_widens_the_change_that_cannot_be_excluded() -> None:
    """With an autocorrelation of 0.9, 400 steps are worth 21 independent ones."""
    noise = np.zeros(400)
    for step, innovation in enumerate(np.random.default_rng(5).standard_normal(400)):
        noise[step] = 0.9 * noise[step - 1] + 0.436 * innovation
    alone, remembering = steady_state(flat(400, 5)), steady_state(0.01 * np.exp(0.01 * noise))
    assert alone.change_below is not None
    assert remembering.change_below is not None
    assert remembering.change_below > 2 * alone.change_below


def test_outliers_do_not_move_the_start() -> None:
    seconds = flat(100, 3)
    seconds[[20, 60, 90]] *= 20
    state = steady_state(seconds)
    assert (state.verdict, state.start) == (steady_state(flat(100, 3)).verdict, 0)
    assert state.change_below == pytest.approx(steady_state(flat(100, 3)).change_below, abs=0.01)


def test_steps_that_alternate_between_two_durations_are_one_state() -> None:
    """A third of the steps is 10 % slower, a few in a row: a median filter alone would make levels of them."""
    verdicts = []
    for seed in range(20):
        slow = np.repeat(np.random.default_rng(seed).random(150) < 0.35, 2)
        verdicts.append(steady_state(noisy(np.where(slow, 1.1, 1.0), seed, 0.002)).verdict)
    assert sum(verdict not in ("steady", "undecided") for verdict in verdicts) <= 1


@pytest.mark.parametrize("steps", [20, 40, 99, 100, 101, 5000])
def test_steps_that_all_take_equally_long_are_steady(steps: int) -> None:
    state = steady_state(np.full(steps, 0.02))
    assert (state.verdict, state.start, state.change_below) == ("steady", 0, pytest.approx(0, abs=1e-4))


@pytest.mark.parametrize("steps", [1, 10, 19])
def test_too_few_steps_are_undecided(steps: int) -> None:
    assert steady_state(flat(steps, 0)).verdict == "undecided"


def test_a_long_series_is_classified_as_a_short_one() -> None:
    state = steady_state(noisy(np.concatenate([np.full(1000, 1.5), np.ones(4000)]), 1))
    assert state.verdict == "steady"
    assert abs(state.start - 1000) <= 50


def test_the_median_without_the_first_ten_steps_is_given_as_well() -> None:
    seconds = np.concatenate([np.full(10, 3.0), np.full(30, 1.0)])
    assert steady_state(seconds).median_after_first_seconds == 1.0
    assert steady_state(seconds[:10]).median_after_first_seconds is None


def test_launches_together_exclude_a_change_that_none_could_exclude_alone() -> None:
    launches = [steady_state(flat(100, seed, spread=0.03)) for seed in range(20)]
    assert all(launch.verdict == "undecided" for launch in launches)
    below = pooled_change_below(launches)
    assert below is not None
    assert below < 0.02


def test_a_drift_that_all_launches_share_is_not_pooled_away() -> None:
    launches = [steady_state(noisy(np.linspace(1, 1.03, 100), seed, 0.03)) for seed in range(20)]
    below = pooled_change_below(launches)
    assert below is not None
    assert below > 0.03


def test_one_launch_has_no_pooled_bound_of_change() -> None:
    assert pooled_change_below([steady_state(flat(100, 0))]) is None


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), steps=st.integers(20, 600), unit=st.floats(1e-5, 1e5), drift=st.floats(-0.1, 0.1))
def test_the_unit_of_time_does_not_matter(seed: int, steps: int, unit: float, drift: float) -> None:
    seconds = noisy(np.linspace(1, 1 + drift, steps), seed, 0.02)
    one, other = steady_state(seconds), steady_state(unit * seconds)
    assert (one.verdict, one.start) == (other.verdict, other.start)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), steps=st.integers(20, 600), spread=st.floats(0, 2), warm=st.floats(0.5, 20))
def test_any_series_gets_a_start_inside_and_a_reason_unless_steady(
    seed: int, steps: int, spread: float, warm: float
) -> None:
    level = np.where(np.arange(steps) < steps // 4, warm, 1.0)
    state = steady_state(noisy(level, seed, spread))
    assert 0 <= state.start < 0.7 * steps
    assert (state.verdict == "steady") == (state.reason == "")
    if state.verdict == "steady":
        assert state.change is not None
        assert state.change_below is not None
        assert abs(state.change) <= state.change_below <= 0.02
