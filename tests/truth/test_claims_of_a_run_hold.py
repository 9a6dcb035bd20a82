"""How often any claim of a run is false, over many simulated runs. The benchmarks print rates of thousands of runs."""

import sys

import numpy as np
import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import warmup_tails
from interval_coverage import SPREADS_OF_A_FAMILY, Rule, claims, family_claims

RUNS = 400
FALSE_MOST = 0.05 + 3 * (0.05 * 0.95 / RUNS) ** 0.5


@pytest.mark.parametrize("rule", [Rule(5, 5), Rule(10, 10), Rule(5, 20)])
@pytest.mark.parametrize("size", [4, 16])
@pytest.mark.parametrize("shape", ["equal", "half five times as large"])
def test_a_run_whose_candidates_are_equal_rarely_claims_anything(rule: Rule, size: int, shape: str) -> None:
    assert shape in SPREADS_OF_A_FAMILY
    assert family_claims(np.random.default_rng(11), rule, size, RUNS, shape=shape) <= FALSE_MOST


def test_comparisons_that_are_not_corrected_claim_something_in_every_third_run() -> None:
    """The control is 16 comparisons, each at its own 95 %."""
    alone = claims(np.random.default_rng(12), Rule(5, 5), 0.02, 0.0, 2000)
    assert 1 - (1 - alone) ** 16 > 0.3


def test_a_large_family_keeps_its_power_by_sharing_spreads() -> None:
    """The effect is 6 %, the spread 2 %, with 48 comparisons and five blocks."""
    assert family_claims(np.random.default_rng(13), Rule(5, 5), 48, 40, effect=0.06) > 0.5


@pytest.mark.parametrize(("amplitude", "tau"), [(0.2, 50), (0.5, 100), (0.2, 300)])
def test_a_warm_up_tail_rarely_makes_equal_cells_different(amplitude: float, tau: float) -> None:
    ours, control = warmup_tails.rate(np.random.default_rng(14), 9, amplitude, tau, (0.01, 0.003), 25)
    assert ours <= 0.1
    assert control > 0.5


def test_different_cells_without_a_warm_up_tail_are_still_found_different() -> None:
    assert warmup_tails.power(np.random.default_rng(15), 9, 0.1, (0.01, 0.003), 25) >= 0.8
