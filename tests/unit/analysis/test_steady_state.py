"""Known truth: shapes of step times, and what must be said of them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from stepmark.analysis.steady import steady_state


def noisy(level: NDArray[np.float64], seed: int, spread: float = 0.02) -> NDArray[np.float64]:
    return 0.01 * level * np.exp(spread * np.random.default_rng(seed).standard_normal(len(level)))


@pytest.mark.parametrize("seed", range(10))
def test_a_flat_series_is_steady_from_its_start(seed: int) -> None:
    state = steady_state(noisy(np.ones(300), seed))
    assert (state.verdict, state.start) == ("steady", 0)


@pytest.mark.parametrize("seed", range(10))
def test_a_slow_beginning_is_left_out(seed: int) -> None:
    state = steady_state(noisy(np.concatenate([np.full(60, 1.5), np.ones(240)]), seed))
    assert state.verdict == "steady"
    assert abs(state.start - 60) <= 5


@pytest.mark.parametrize("seed", range(10))
def test_a_later_and_slower_level_is_a_slowdown(seed: int) -> None:
    assert steady_state(noisy(np.concatenate([np.ones(150), np.full(150, 1.2)]), seed)).verdict == "slowdown"


@pytest.mark.parametrize("seed", range(10))
def test_a_change_at_the_very_end_is_no_steady_state(seed: int) -> None:
    assert steady_state(noisy(np.concatenate([np.ones(250), np.full(50, 1.3)]), seed)).verdict == "no steady state"


@pytest.mark.parametrize("seed", range(10))
def test_a_slow_drift_is_not_steady(seed: int) -> None:
    assert steady_state(noisy(np.linspace(1, 1.1, 300), seed, 0.005)).verdict != "steady"


def test_outliers_do_not_move_the_start() -> None:
    seconds = noisy(np.ones(300), 3)
    seconds[[20, 90, 200]] *= 20
    assert steady_state(seconds).start == 0


def test_a_long_series_is_classified_as_a_short_one() -> None:
    state = steady_state(noisy(np.concatenate([np.full(1000, 1.5), np.ones(4000)]), 1))
    assert state.verdict == "steady"
    assert abs(state.start - 1000) <= 30
