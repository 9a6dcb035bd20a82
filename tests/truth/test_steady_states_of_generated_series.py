"""Rates over generated series of known truth; benchmarks/steady_truth.py states the truth and runs thousands."""

import sys

import numpy as np
import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
from steady_truth import STEADY, UNSTEADY, Case, Judged, Rates, ideally_undecided, inventions, judged, rates

Found = list[Judged]


@pytest.fixture(scope="module")
def found() -> Found:
    return judged(1200, seed=20)


@pytest.fixture(scope="module")
def seen(found: Found) -> Rates:
    return rates(found)


def test_the_series_are_of_every_kind_and_length(found: Found) -> None:
    assert {one.case.kind for one in found} == STEADY.keys() | UNSTEADY.keys()
    assert min(len(one.case.seconds) for one in found) < 50
    assert max(len(one.case.seconds) for one in found) > 4500
    assert max(one.case.memory for one in found) > 0.85


def test_the_median_is_biased_by_at_most_three_per_mille(seen: Rates) -> None:
    assert seen.unbiased >= 0.95


def test_the_median_agrees_with_that_of_the_true_steady_part(seen: Rates) -> None:
    assert seen.like_oracle >= 0.93


def test_dropping_the_first_ten_steps_instead_is_more_biased(seen: Rates) -> None:
    assert seen.unbiased_if_dropped < 0.85


def test_a_series_that_is_not_steady_is_not_called_steady(seen: Rates) -> None:
    assert seen.misses <= 0.02


def test_a_steady_series_is_not_called_unsteady(seen: Rates) -> None:
    assert seen.false_alarms <= 0.05


def test_hardly_more_series_are_undecided_than_cannot_be_decided(found: Found, seen: Rates) -> None:
    ideal = np.mean([ideally_undecided(one.case) for one in found if one.case.steady])
    assert seen.steady_undecided <= ideal + 0.05


def test_clear_drifts_and_slowdowns_are_found(found: Found) -> None:
    """The drifts and slowdowns are seven times the standard error of a slope fitted to as many steps."""
    clear = [one for one in found if one.case.kind in ("drift", "slowdown") and signal_to_noise(one.case) > 7]
    assert len(clear) > 80
    assert np.mean([one.state.verdict in ("drifting", "slowdown", "no steady state") for one in clear]) >= 0.95


def signal_to_noise(case: Case) -> float:
    steps = len(case.shape)
    size = abs(case.shape[-1] - case.shape[steps // 3]) if case.kind == "drift" else np.ptp(case.shape)
    return size / (case.spread * np.sqrt(12 * (1 + case.memory) / (1 - case.memory) / steps))


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_no_change_is_found_in_pure_noise(memory: float) -> None:
    assert inventions(np.random.default_rng(3), 100, memory, 300) <= 0.05
